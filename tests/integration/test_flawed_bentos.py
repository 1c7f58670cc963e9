"""Bentos with a fault in their serving code: each is one of its own, right offline, and wrong live in its own way."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bentos import artifacts, offline
from bentos.risk_scorer import identity
from k8s.local import flawed_bentos, outgoing
from k8s.local.errors import UsageError
from k8s.local.flawed_bentos import Fault
from k8s.local.interrupts import Interrupts
from k8s.local.ports import free_ports, get
from k8s.local.processes import Command, Supervisor
from tests.doubles import stand_in_bentos
from training import datasets, event_rows, package, synthesize

EVENTS = datasets.from_frame(synthesize.plain(300, seed=7, end=datetime(2026, 3, 5, tzinfo=UTC)))
FAULTS = {
    "leaking pool": flawed_bentos.leaking_pool(per_second=10, reserve=20),
    "slow tail": flawed_bentos.slow_tail(one_in=20, seconds=0.2),
    "skewed feature": flawed_bentos.skewed_feature("velocity_5m", 0.0),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="module")
def build(model_dir: Path, home: Path) -> Callable[[str], str]:
    """The tag of a fault's Bento; 'none' is the sound one."""
    made: dict[str, str] = {}

    def tag(name: str) -> str:
        if name not in made:
            made[name] = (
                package.build(model_dir, home) if name == "none" else flawed_bentos.build(FAULTS[name], model_dir, home)
            )
        return made[name]

    return tag


def _folder(tag: str, home: Path) -> Path:
    return home / "bentos" / identity.NAME / tag.partition(":")[2]


@contextmanager
def _served(tag: str, home: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    (port,) = free_ports(1)
    settings = {"PATH": os.defpath, "SCORER_PORT": str(port), "SCORER_ROLE": "canary"}
    command = Command("scorer", stand_in_bentos.RUN, _folder(tag, home) / "src", tmp_path / "log", settings)
    with ExitStack() as held:
        supervisor = held.enter_context(Supervisor(held.enter_context(Interrupts())))
        child = supervisor.start(command)
        supervisor.wait_ready(child, lambda: get(port, "/readyz") is not None, 30)
        yield held.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}"))


def _answers(client: httpx.Client) -> list[httpx.Response]:
    return [client.post("/score", content=each.body, headers=each.headers) for each in outgoing.requests(EVENTS.frame)]


@pytest.mark.parametrize("name", FAULTS)
def test_each_is_a_bento_of_its_own_that_is_right_offline_and_says_its_own_tag(
    name: str, build: Callable[[str], str], home: Path, tmp_path: Path
) -> None:
    assert build(name) != build("none")
    rows = list(event_rows.known_features(EVENTS))
    here, sound = (
        offline.score(offline.Program.of_bento(_folder(tag, home)), rows) for tag in (build(name), build("none"))
    )
    assert here.scores.tolist() == sound.scores.tolist()
    assert here.decisions.tolist() == sound.decisions.tolist()
    url = (tmp_path / "store").as_uri()
    artifacts.publish(build(name), url, home)
    assert artifacts.pull(build(name), url, tmp_path / "pulled").is_dir()
    with _served(build(name), home, tmp_path) as client:
        answer = client.post("/score", content=outgoing.requests(EVENTS.frame)[0].body)
        assert answer.json()["model_version"] == build(name)


def test_the_pool_leaks_only_above_its_rate(build: Callable[[str], str], home: Path, tmp_path: Path) -> None:
    with _served(build("leaking pool"), home, tmp_path) as client:
        one = outgoing.requests(EVENTS.frame)[0]
        slowly = []
        for _ in range(10):
            slowly.append(client.post("/score", content=one.body).status_code)
            time.sleep(0.11)  # the rate is what is tested
        fast = [each.status_code for each in _answers(client)]
    assert set(slowly) == {200}
    assert 100 < fast.count(500) < 300
    assert set(fast) == {200, 500}


def test_the_tail_is_slow_in_one_of_twenty(build: Callable[[str], str], home: Path, tmp_path: Path) -> None:
    with _served(build("slow tail"), home, tmp_path) as client:
        answers = _answers(client)
    assert {each.status_code for each in answers} == {200}
    assert sum(each.elapsed.total_seconds() >= 0.2 for each in answers) == pytest.approx(15, abs=5)


def test_the_skew_shows_in_scores_and_decisions_and_in_nothing_else(
    build: Callable[[str], str], home: Path, tmp_path: Path
) -> None:
    rows = list(event_rows.known_features(EVENTS))
    sound = offline.score(offline.Program.of_bento(_folder(build("none"), home)), rows)
    with _served(build("skewed feature"), home, tmp_path) as client:
        answers = _answers(client)
    assert {each.status_code for each in answers} == {200}
    decisions = [each.json()["decision"] for each in answers]
    assert sum(one != other for one, other in zip(decisions, sound.decisions, strict=True)) > 10


def test_a_fault_that_fits_nowhere_is_refused(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s.local.flawed_bentos._SCORED", "    no such line\n")
    with pytest.raises(UsageError, match="0 lines 'no such line'"):
        flawed_bentos.build(Fault("any", "", ""), model_dir, tmp_path)
