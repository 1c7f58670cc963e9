"""What every router promises, asked of each implementation."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.local.envoy_router import EnvoyFileRouter
from k8s.local.gateway_manifests import GATEWAY, http_route, read, traffic_policy
from k8s.rollout.kubernetes_router import KubernetesRouter
from k8s.rollout.routers import MemoryRouter, NotInForceError, Route, RouteError, Router, Split, SplitError
from tests.doubles.memory_cluster import MemoryCluster

TEMPLATE = read(GATEWAY / "httproute.yaml")
POLICY = traffic_policy(read(GATEWAY / "backendtrafficpolicy.yaml"), http_route(TEMPLATE))

Reopen = Callable[[], Router]
"""A router made anew on the same object, as after a restart."""


@pytest.fixture(
    params=["memory", "envoy file", "kubernetes objects", pytest.param("cluster", marks=pytest.mark.cluster)]
)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    objects: dict[str, Route] = {}
    if request.param == "memory":
        return lambda: MemoryRouter(TEMPLATE, objects)
    if request.param == "kubernetes objects":
        cluster = MemoryCluster()
        return lambda: KubernetesRouter(cluster, TEMPLATE, sleep=lambda _: None)  # type: ignore[arg-type]
    if request.param == "cluster":
        real = request.getfixturevalue("real_cluster")
        request.getfixturevalue("namespace")("delete", "httproutes", "--all", "--wait")
        return lambda: KubernetesRouter(real, TEMPLATE, wait=False)
    return lambda: EnvoyFileRouter(TEMPLATE, POLICY, tmp_path / "routes.json")


def test_before_anything_is_applied_stable_has_everything(reopen: Reopen) -> None:
    assert reopen().current() == Split(100, 0, 0)


@pytest.mark.parametrize("split", [Split(75, 25, 100), Split(0, 100), Split(100, 0, 7), Split(50, 50, 0)])
def test_what_is_applied_is_current(reopen: Reopen, split: Split) -> None:
    router = reopen()
    router.apply(split)
    assert router.current() == split


def test_the_last_of_several_counts(reopen: Reopen) -> None:
    router = reopen()
    for split in (Split(95, 5, 100), Split(75, 25), Split(100, 0)):
        router.apply(split)
    assert router.current() == Split(100, 0)


def test_applying_twice_changes_nothing(reopen: Reopen) -> None:
    router = reopen()
    router.apply(Split(75, 25, 100))
    router.apply(Split(75, 25, 100))
    assert router.current() == Split(75, 25, 100)


def test_a_restart_knows_the_last_split(reopen: Reopen) -> None:
    reopen().apply(Split(60, 40, 3))
    assert reopen().current() == Split(60, 40, 3)


def test_the_template_stays_as_it_was(reopen: Reopen) -> None:
    before = json.dumps(TEMPLATE)
    reopen().apply(Split(1, 99, 50))
    assert json.dumps(TEMPLATE) == before


@given(st.integers(-5, 105), st.integers(-5, 105), st.integers(-5, 105))
def test_only_whole_percentages_that_add_up_are_a_split(stable: int, canary: int, mirror: int) -> None:
    good = stable + canary == 100 and min(stable, canary, mirror) >= 0 and max(stable, canary, mirror) <= 100
    if good:
        Split(stable, canary, mirror)
    else:
        with pytest.raises(SplitError):
            Split(stable, canary, mirror)


@pytest.mark.parametrize("value", [True, 50.0, "50", None])
def test_a_weight_that_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(SplitError, match="canary"):
        Split(50, value)  # type: ignore[arg-type]


def test_a_half_written_file_is_never_seen(tmp_path: Path) -> None:
    file = tmp_path / "routes.json"
    EnvoyFileRouter(TEMPLATE, POLICY, file).apply(Split(100, 0))
    done = threading.Event()
    seen: set[Split] = set()

    def watch() -> None:
        while not done.is_set():
            seen.add(EnvoyFileRouter(TEMPLATE, POLICY, file).current())  # raises on half a file

    watcher = threading.Thread(target=watch)
    watcher.start()
    writer = EnvoyFileRouter(TEMPLATE, POLICY, file)
    for canary in [0, 25, 50] * 100:
        writer.apply(Split(100 - canary, canary, 100))
    done.set()
    watcher.join()
    assert seen <= {Split(100, 0), Split(100, 0, 100), Split(75, 25, 100), Split(50, 50, 100)}
    assert [each.name for each in tmp_path.iterdir()] == ["routes.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"resources": []}', '{"resources": [{"virtual_hosts": 1}]}'])
def test_a_foreign_file_is_an_error_and_can_be_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "routes.json"
    file.write_text(content)
    router = EnvoyFileRouter(TEMPLATE, POLICY, file)
    with pytest.raises(RouteError):
        router.current()
    router.apply(Split(90, 10))
    assert router.current() == Split(90, 10)


def test_a_split_that_envoy_does_not_take_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s.local.envoy_router.APPLY_SECONDS", 0.05)
    router = EnvoyFileRouter(TEMPLATE, POLICY, tmp_path / "routes.json", version_in_force=lambda: "an older one")
    with pytest.raises(NotInForceError, match="an older one"):
        router.apply(Split(90, 10))
