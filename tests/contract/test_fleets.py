"""What every fleet promises, asked of the one in memory, of the local stack's files, and of its real processes."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s.local.interrupts import Interrupts
from k8s.local.local_fleet import LocalFleet, write_status
from k8s.local.processes import Command, Supervisor
from k8s.local.pulled_bentos import PulledBentos
from k8s.local.replicas import Place, Replicas
from k8s.local.rolling import Wish
from k8s.local.state import State, StateLock
from k8s.rollout.fleets import Copies, Fleet, FleetError
from k8s.rollout.kubernetes_api import Cluster
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.memory_fleet import MemoryFleet
from k8s.rollout.routers import SERVICES, Role
from tests.doubles import stand_in_bentos
from tests.doubles.instant_endpoints import InstantEndpoints
from tests.doubles.memory_cluster import Kubelet, MemoryCluster
from tests.doubles.small_deployment import small_deployment
from tests.e2e.kubectl import Kubectl
from tests.waiting import wait_for

MODELS = ("risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb")
UNKNOWN = "risk_scorer:000000000000"


@dataclass(frozen=True)
class World:
    """A fleet that anybody can open again, two models that it can run, and what lets time pass for it."""

    reopen: Callable[[], Fleet]
    models: tuple[str, str]
    pass_time: Callable[[], object]
    seconds: float = 30
    """How long anything may take."""

    def until(self, condition: Callable[[Mapping[Role, Copies]], bool]) -> list[Mapping[Role, Copies]]:
        """What was seen on the way to the condition."""
        seen: list[Mapping[Role, Copies]] = []

        def holds() -> bool:
            seen.append(self.reopen().look())
            self.pass_time()
            return condition(seen[-1])

        wait_for(holds, self.seconds)
        return seen

    def run(self, role: Role, tag: str, copies: int) -> None:
        fleet = self.reopen()
        fleet.assign(role, tag)
        fleet.scale(role, copies)
        self.until(lambda seen: seen[role] == Copies(tag, copies, copies))


def _memory() -> World:
    fleet = MemoryFleet(MODELS)
    return World(lambda: fleet, MODELS, lambda: [fleet.advance(role) for role in SERVICES])


def _kubernetes() -> World:
    kubelet = Kubelet(MemoryCluster(), MODELS)
    return World(lambda: KubernetesFleet(kubelet.cluster, kubelet.clock), MODELS, kubelet.tend)  # type: ignore[arg-type]


def _local(tmp_path: Path, held: ExitStack) -> World:
    state = State(tmp_path)
    held.enter_context(StateLock(state, datetime.now(UTC)))
    supervisor = held.enter_context(Supervisor(held.enter_context(Interrupts())))
    url = (tmp_path / "artifacts").as_uri()

    def command(place: Place) -> Command:
        settings = {"PATH": os.defpath, "SCORER_ROLE": place.role, "SCORER_PORT": str(place.port)}
        log = state.scorer_log(place.role, place.slot)
        return Command(f"scorer {place.role}", stand_in_bentos.RUN, place.bento / "src", log, settings)

    replicas = Replicas(supervisor, PulledBentos(state, url, supervisor), InstantEndpoints(), command)
    held.callback(replicas.close)

    def tend() -> None:
        write_status(state, replicas.tend(LocalFleet(state).wishes()))

    models = (stand_in_bentos.add(state, "one"), stand_in_bentos.add(state, "other"))
    return World(lambda: LocalFleet(state), models, tend)


def _cluster(namespace: Kubectl, cluster: Cluster) -> World:
    """Real pods, which run nothing."""
    namespace("delete", "deployments", "--all", "--wait", "--cascade=foreground")
    namespace.apply([small_deployment(role, MODELS) for role in SERVICES])
    for role in SERVICES:
        KubernetesFleet(cluster).scale(role, 0)
    world = World(lambda: KubernetesFleet(cluster), MODELS, lambda: time.sleep(0.1), seconds=90)
    world.until(lambda seen: all(copies == Copies() for copies in seen.values()))
    return world


@pytest.fixture(
    params=["memory", "kubernetes objects", "local processes", pytest.param("cluster", marks=pytest.mark.cluster)]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "kubernetes objects":
        yield _kubernetes()
        return
    if request.param == "cluster":
        yield _cluster(request.getfixturevalue("namespace"), request.getfixturevalue("real_cluster"))
        return
    with ExitStack() as held:
        yield _memory() if request.param == "memory" else _local(tmp_path, held)


def test_at_first_nothing_is_wanted_of_any_role(world: World) -> None:
    assert world.reopen().look() == {role: Copies() for role in SERVICES}


def test_what_is_wanted_is_seen_at_once_and_comes_true_later(world: World) -> None:
    fleet, (one, _) = world.reopen(), world.models
    fleet.assign("canary", one)
    fleet.scale("canary", 2)
    first = world.reopen().look()["canary"]
    assert (first.tag, first.wanted, first.ready) == (one, 2, 0)
    seen = world.until(lambda seen: seen["canary"].ready == 2)
    assert seen[-1]["canary"] == Copies(one, 2, 2)
    assert seen[-1]["stable"] == Copies()


def test_a_roll_never_has_fewer_ready_copies_than_before(world: World) -> None:
    one, other = world.models
    world.run("stable", one, 2)
    world.reopen().assign("stable", other)
    seen = world.until(lambda seen: seen["stable"] == Copies(other, 2, 2))
    assert min(each["stable"].serving for each in seen) == 2
    assert any(each["stable"].ready_other for each in seen)
    assert not any(each["stable"].settled for each in seen if each["stable"].ready_other)


def test_scaled_to_nothing_it_is_settled_once_nobody_is_left(world: World) -> None:
    one, _ = world.models
    world.run("shadow", one, 1)
    world.reopen().scale("shadow", 0)
    world.until(lambda seen: seen["shadow"] == Copies(one))


def test_fewer_copies_leave_the_others_alone(world: World) -> None:
    one, _ = world.models
    world.run("canary", one, 2)
    world.reopen().scale("canary", 1)
    seen = world.until(lambda seen: seen["canary"] == Copies(one, 1, 1))
    assert min(each["canary"].ready for each in seen) == 1


def test_a_model_that_was_never_published_is_a_problem_and_the_old_one_goes_on(world: World) -> None:
    one, _ = world.models
    world.run("stable", one, 1)
    world.reopen().assign("stable", UNKNOWN)
    seen = world.until(lambda seen: "no such artifact" in seen["stable"].problem)
    assert all(each["stable"].serving == 1 for each in seen)
    assert (seen[-1]["stable"].ready, seen[-1]["stable"].ready_other) == (0, 1)
    world.reopen().assign("stable", one)
    world.until(lambda seen: seen["stable"] == Copies(one, 1, 1))


def test_a_version_is_taken_away_only_from_a_role_without_copies(world: World) -> None:
    fleet, (one, _) = world.reopen(), world.models
    world.run("canary", one, 1)
    with pytest.raises(FleetError, match="scale it to 0"):
        fleet.assign("canary", None)
    fleet.scale("canary", 0)
    fleet.assign("canary", None)
    world.until(lambda seen: seen["canary"] == Copies())


def test_a_negative_number_of_copies_is_refused(world: World) -> None:
    with pytest.raises(FleetError, match="-1 copies"):
        world.reopen().scale("stable", -1)


def test_wanting_the_same_again_changes_nothing(world: World) -> None:
    one, _ = world.models
    world.run("stable", one, 1)
    world.reopen().assign("stable", one)
    world.reopen().scale("stable", 1)
    world.pass_time()
    assert world.reopen().look()["stable"] == Copies(one, 1, 1)


def test_without_a_stack_the_local_fleet_cannot_be_looked_at_but_told(tmp_path: Path) -> None:
    fleet = LocalFleet(State(tmp_path))
    fleet.assign("stable", UNKNOWN)
    assert fleet.wishes()["stable"] == Wish(UNKNOWN, 0)
    with pytest.raises(FleetError, match="no stack runs"):
        fleet.look()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"roles": {"other": {}}}', '{"roles": {"stable": {"copies": -1}}}']
)
def test_a_foreign_fleet_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "fleet.json").write_text(content)
    with pytest.raises(FleetError, match=r"fleet\.json can't be used"):
        LocalFleet(State(tmp_path)).scale("stable", 1)


def test_what_an_earlier_stack_saw_does_not_count(tmp_path: Path) -> None:
    state = State(tmp_path / "other")
    state.folder.mkdir()
    state.fleet_status.write_text('{"pid": 1, "roles": {"stable": {"copies": [{"tag": "a:b", "ready": true}]}}}')
    with StateLock(state, datetime.now(UTC)):
        assert LocalFleet(state).look()["stable"] == Copies()


def test_in_memory_a_crash_is_counted_and_comes_back() -> None:
    fleet = MemoryFleet(instant=True)
    fleet.assign("canary", "risk_scorer:a")
    fleet.scale("canary", 1)
    assert fleet.crash("canary")
    assert fleet.look()["canary"] == Copies("risk_scorer:a", 1, 0, restarts=1)
    fleet.trouble("canary", "CrashLoopBackOff")
    fleet.settle()
    assert fleet.look()["canary"] == Copies("risk_scorer:a", 1, 0, restarts=1, problem="CrashLoopBackOff")
    fleet.trouble("canary", "")
    fleet.settle()
    assert fleet.look()["canary"].ready == 1
