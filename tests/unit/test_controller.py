# ruff: noqa: ARG002 - the signatures are those of what is stood in for
"""One tick of the controller: what it reads, does, remembers and tells, whatever is away."""

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, PairSums, ShadowBlock
from k8s.rollout.controller import Controller, TickReport
from k8s.rollout.errors import LostError, NotRunningError, RolloutError
from k8s.rollout.evidence import Question
from k8s.rollout.file_store import FileStore
from k8s.rollout.fleets import FleetError
from k8s.rollout.history import HistoryError, MemoryHistory
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.model_rollout import OUTBOX, Event, ModelRollout, Outcome, Pause, Phase, Spec, Status
from k8s.rollout.stores import RolloutStore, StoreError
from k8s.rollout.turn import SIGN_OF_LIFE
from monitoring.comparisons import Comparison
from monitoring.errors import MonitoringError
from tests.doubles.memory_backend import CANDIDATE, STABLE, World


class AwayHistory(MemoryHistory):
    """A history that can be away."""

    away = False

    def add_events(self, events: Any) -> None:
        if self.away:
            raise HistoryError("no answer")
        super().add_events(events)


@dataclass
class Place:
    """A world in memory whose candidate is as good as stable, and the controller of it."""

    world: World = field(default_factory=World)
    store: RolloutStore | None = None
    problem: MonitoringError | None = None

    def __post_init__(self) -> None:
        world = self.world
        world.fleet.assign("stable", STABLE)
        world.fleet.scale("stable", 2)
        world.history = self.history = AwayHistory()
        world.evidence = MemoryEvidence(self.canary_block, shadow_block, self.history)
        world.comparison = Comparison(
            STABLE, CANDIDATE, world.now, "accepted", {}, None, None, 1000, 0.0, 0.001, 0.0, 0.001, 1.0
        )
        self.controller = self.another()

    def another(self) -> Controller:
        backend = replace(self.world.backend(), comparisons=self.compared)
        if self.store is not None:
            backend = replace(backend, store=self.store)
        return Controller(backend, lambda: self.world.now)

    def compared(self, stable: str, candidate: str) -> Comparison | None:
        if self.problem is not None:
            raise self.problem
        return self.world.comparison

    def canary_block(self, question: Question, number: int) -> CanaryBlock:
        return CanaryBlock(number, 30, 0.5, arm(), arm())

    def rollout(self) -> ModelRollout:
        return (self.store or self.world.store).read()

    def tick(self, times: int = 1) -> TickReport:
        for _ in range(times):
            report = self.controller.tick()
            self.world.now += timedelta(seconds=10)
        return report

    def until(self, phase: Phase) -> TickReport:
        for _ in range(300):
            report = self.tick()
            if report.rollout is not None and report.rollout.status.phase is phase:
                return report
        raise AssertionError(f"never {phase}")


def arm() -> Arm:
    return Arm(10_000, 10, 100, 0, 200, Affected(10, 10_000), Affected(200, 10_000))


def shadow_block(question: Question, number: int) -> ShadowBlock:
    pairs = PairSums(1_000, 2, 2, 0.0, 0.1)
    return ShadowBlock(number, 30, pairs, pairs, Arm(requests=1_000), Arm(requests=1_000), 0, 20, 20)


@pytest.fixture
def place() -> Place:
    made = Place()
    made.world.store.change_spec(lambda _: Spec(candidate=CANDIDATE))
    return made


def test_real_gates_take_a_good_candidate_to_stable(place: Place) -> None:
    place.until(Phase.PROMOTING)
    place.until(Phase.IDLE)
    status = place.rollout().status
    assert status.stable == CANDIDATE
    assert status.last is not None
    assert status.last.verdict is not None
    assert status.last.verdict.outcome is Outcome.PROMOTED
    assert status.last.rho == pytest.approx(1.0)


def test_everything_survives_the_file_of_the_local_stack(tmp_path: Path) -> None:
    place = Place(store=FileStore(tmp_path / "rollout.json"))
    assert place.store is not None
    place.store.change_spec(lambda _: Spec(candidate=CANDIDATE))
    for _ in range(130):
        place.tick()
        place.controller = place.another()
    assert place.rollout().status.stable == CANDIDATE


def test_each_block_is_an_event_from_which_it_can_be_decided_again(place: Place) -> None:
    place.until(Phase.PROMOTING)
    attempt = place.rollout().status.attempt
    assert attempt is not None
    decisions = [event for event in place.history.events(attempt.id) if event.kind == "rollout.decision"]
    read = place.history.evidence(attempt.id)
    assert len(decisions) == len(read)
    for phase, wanted in (
        ("shadow", {"phase", "since", "block", "action", "gate", "age_blocks", "prediction"}),
        ("canary", {"phase", "since", "block", "action", "gate", "age_blocks", "step", "step_age_blocks", "rho"}),
    ):
        ours = [event.numbers for event in decisions if event.numbers["phase"] == phase]
        assert [numbers["block"] for numbers in ours] == list(range(len(ours)))
        assert all(wanted <= numbers.keys() for numbers in ours)
    assert ours[-1]["action"] == "promote"


def test_the_attempts_begin_tells_its_plan(place: Place) -> None:
    place.tick(2)
    started = next(event for event in place.history.events() if event.kind == "rollout.started")
    assert started.numbers["plan"] == json.loads(Spec().plan.model_dump_json())


def test_without_a_comparison_the_candidate_waits_and_says_for_what(place: Place) -> None:
    place.world.comparison = None
    place.tick(3)
    assert place.rollout().status.phase is Phase.WAITING
    assert "training compare" in place.rollout().status.message


def test_a_comparison_that_can_not_be_read_is_no_comparison(place: Place) -> None:
    place.problem = MonitoringError("the store does not answer")
    place.tick(3)
    assert "the store does not answer" in place.rollout().status.message
    place.problem = None
    place.until(Phase.SHADOW)


@pytest.mark.parametrize("part", ["store", "router", "fleet"])
def test_a_part_that_can_not_be_seen_is_reported_and_everything_holds(place: Place, part: str) -> None:
    place.until(Phase.CANARY)
    before = place.world.router.current()
    if part == "store":
        place.world.store.failure = StoreError("no answer")
    elif part == "fleet":
        place.world.fleet.failure = FleetError("no answer")
    else:
        place.world.router._objects[place.world.router._name] = {"metadata": {"name": "broken"}}
        before = None  # type: ignore[assignment]
    report = place.tick(5)
    assert report.commands == ()
    assert "can't be seen" in report.problems[0]
    if before is not None:
        assert place.world.router.current() == before


def test_events_wait_while_the_history_is_away_and_are_sent_once_it_is_back(place: Place) -> None:
    place.history.away = True
    report = place.tick(3)
    assert report.unsent == 2
    assert any("history" in problem for problem in report.problems)
    assert place.history.events() == ()
    place.controller = place.another()
    place.history.away = False
    assert place.tick().unsent == 0
    assert [event.kind for event in place.history.events()][:2] == ["rollout.adopted", "rollout.started"]


def test_events_leave_the_status_once_the_history_has_them(place: Place) -> None:
    place.until(Phase.CANARY)
    place.tick(6)
    assert len(place.rollout().status.outbox) <= 2


def test_the_oldest_events_go_when_too_many_wait(place: Place) -> None:
    old = tuple(
        Event(number=number, at=place.world.now, attempt=None, kind="rollout.old", message="old")
        for number in range(1, OUTBOX + 1)
    )
    place.world.store.write_status(Status(events=OUTBOX, outbox=old), place.rollout().version)
    place.history.away = True
    place.tick()
    outbox = place.rollout().status.outbox
    assert len(outbox) == OUTBOX
    assert (outbox[0].number, outbox[-1].kind) == (2, "rollout.adopted")


def test_news_are_told_once(place: Place) -> None:
    told = [event.number for _ in range(100) for event in place.tick().events]
    assert told == sorted(set(told))
    assert told[-1] == place.rollout().status.events


def test_an_object_that_was_made_anew_is_told_about_from_its_first_event(place: Place) -> None:
    place.until(Phase.CANARY)
    place.world.store = type(place.world.store)()
    place.controller._backend = replace(place.controller._backend, store=place.world.store)
    place.world.now += timedelta(seconds=10)
    assert [event.kind for event in place.tick().events] == ["rollout.adopted"]
    assert place.history.events()[-1].kind == "rollout.adopted"


def test_somebody_who_changes_the_spec_in_between_costs_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.until(Phase.CANARY)
    store, write = place.world.store, place.world.store.write_status
    pause = Pause(by="ann", reason="lunch", at=place.world.now)
    changes: list[int] = []

    def write_late(status: Status, version: str) -> ModelRollout:
        if not changes:
            changes.append(1)
            store.change_spec(lambda spec: spec.model_copy(update={"paused": pause}))
        return write(status, version)

    monkeypatch.setattr(store, "write_status", write_late)
    report = place.tick(3)
    assert report.problems == ()
    assert place.rollout().spec.paused == pause
    assert place.rollout().status.phase is Phase.CANARY


def test_another_controllers_status_is_never_overwritten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tick(2)
    store, write = place.world.store, place.world.store.write_status

    def write_late(status: Status, version: str) -> ModelRollout:
        write(Status(message="another's"), store.read().version)
        return write(status, version)

    monkeypatch.setattr(store, "write_status", write_late)
    report = place.tick(2)
    assert "could not be done: status" in report.problems[0]
    assert place.rollout().status.message == "another's"


def test_a_controller_that_waits_shows_that_it_lives(place: Place) -> None:
    place.world.store.change_spec(lambda _: Spec())
    place.tick(5)
    version = place.rollout().version
    place.world.now -= timedelta(seconds=9)  # the tick that comes is 1 s after the last one
    place.tick()
    assert place.rollout().version == version
    place.tick()
    status = place.rollout().status
    assert status.ticked_at is not None
    assert place.world.now - status.ticked_at < SIGN_OF_LIFE + timedelta(seconds=10)


def test_gateway_snapshots_are_taken_at_every_tick_whatever_is_away(place: Place) -> None:
    place.world.store.failure = StoreError("no answer")
    place.tick(4)
    assert len(place.world.evidence.watched) == 4


def test_what_happens_is_a_line_of_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        place.until(Phase.CANARY)
    names = [record.getMessage() for record in caplog.records]
    assert {"rollout.started", "rollout.step", "rollout.split", "rollout.assign", "rollout.scale"} <= set(names)
    step = next(record for record in caplog.records if record.getMessage() == "rollout.step")
    assert vars(step)["numbers"] == {"step": 0, "weight": 5}


@pytest.mark.parametrize(("error", "leaves"), [(LostError("bob's"), True), (NotRunningError("no answer"), False)])
def test_nothing_more_is_changed_once_the_lease_is_in_doubt(place: Place, error: RolloutError, leaves: bool) -> None:
    changes_left = [1]

    def confirm() -> None:
        if not changes_left[0]:
            raise error
        changes_left[0] -= 1

    place.until(Phase.CANARY)
    before = place.world.router.current()
    place.world.fleet.scale("canary", 0)  # from here on a tick wants the weight 0, and to write that down
    version = place.rollout().version
    place.controller = Controller(place.world.backend(), lambda: place.world.now, confirm=confirm)
    if leaves:
        with pytest.raises(LostError):
            place.tick()
    else:
        assert place.tick().problems[0].endswith("no answer")
    assert place.world.router.current() != before
    assert place.rollout().version == version
