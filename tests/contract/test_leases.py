import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k8s.rollout.errors import HeldError, LostError, NotRunningError
from k8s.rollout.kubernetes_api import Kind
from k8s.rollout.kubernetes_lease import KubernetesLease
from k8s.rollout.leases import FileLease, Holder, Lease, MemoryLease
from tests.doubles.memory_cluster import MemoryCluster
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
HOLD = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from k8s.rollout.leases import FileLease
FileLease(Path(sys.argv[1])).take("the other", datetime.now(UTC))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["file", "memory", "kubernetes objects", pytest.param("cluster", marks=pytest.mark.cluster)])
def lease(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Lease]:
    """Competitors for one lease."""
    if request.param == "file":
        return lambda: FileLease(tmp_path / "folder" / "lease")
    if request.param == "memory":
        places: dict[str, Holder] = {}
        return lambda: MemoryLease(places)
    cluster: Any = MemoryCluster()
    if request.param == "cluster":
        cluster = request.getfixturevalue("real_cluster")
        request.getfixturevalue("namespace")("delete", "leases", "--all")
    return lambda: KubernetesLease(cluster, lambda: NOW)


def test_nobody_holds_a_lease_that_was_never_taken(lease: Callable[[], Lease]) -> None:
    assert lease().holder() is None


def test_one_holds_it_and_the_other_is_told_who(lease: Callable[[], Lease]) -> None:
    one, other = lease(), lease()
    one.take("ann", NOW)
    one.renew(NOW)
    assert other.holder() == Holder("ann", NOW)
    with pytest.raises(HeldError, match="ann, since 2026-11-23 21:00:00 UTC"):
        other.take("bob", NOW)
    other.release()  # it is not the other's: nothing happens
    assert other.holder() == Holder("ann", NOW)


def test_it_can_be_taken_once_it_was_given_back(lease: Callable[[], Lease]) -> None:
    one, other = lease(), lease()
    one.take("ann", NOW)
    one.release()
    one.release()
    assert other.holder() is None
    other.take("bob", NOW)
    assert one.holder() == Holder("bob", NOW)


def test_one_that_was_not_taken_can_not_be_renewed(lease: Callable[[], Lease]) -> None:
    with pytest.raises(LostError):
        lease().renew(NOW)


def test_a_lease_ends_with_its_process_even_one_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        held = FileLease(path).holder()
        assert held is not None
        assert held.who == "the other"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    wait_for(lambda: FileLease(path).holder() is None)
    FileLease(path).take("ann", NOW)


def test_a_lease_whose_file_was_replaced_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    one = FileLease(path)
    one.take("ann", NOW)
    path.unlink()
    with pytest.raises(LostError, match="replaced"):
        one.renew(NOW)
    path.write_text("")
    with pytest.raises(LostError):
        one.renew(NOW)


def test_a_holder_whose_name_can_not_be_read_holds_it_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    FileLease(path).take("ann", NOW)
    path.write_text("{")
    assert str(FileLease(path).holder()) == "a controller that is just starting"


def test_a_lease_that_can_not_be_written_says_which_file_and_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "lease"
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NotRunningError, match=r"/lease can't be locked: No space left on device"):
        FileLease(path).take("ann", NOW)
    monkeypatch.undo()
    FileLease(path).take("bob", NOW)


def test_a_cluster_is_written_only_when_a_renewal_is_due() -> None:
    cluster: Any = MemoryCluster()
    one = KubernetesLease(cluster, lambda: NOW)
    one.take("ann", NOW)

    def renewed(seconds: float) -> str:
        one.renew(NOW + timedelta(seconds=seconds))
        written: str = cluster.get(Kind.LEASES, "rollout")["spec"]["renewTime"]
        return written[11:19]

    assert [renewed(each) for each in (1, 7, 9, 10, 18)] == ["21:00:00", "21:00:00", "21:00:09", "21:00:09", "21:00:18"]
