# ruff: noqa: ARG002 - the signatures are those of what is stood in for
"""A small world around the real controller, in which anything may fail at any time.

The controller and its phases are the real ones, and so is the memory fleet. What the gates say is made up, block by
block. Everything that the controller does passes the monitor.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from k8s.rollout.answers import Decision
from k8s.rollout.backend import Backend
from k8s.rollout.blocks import Arm, CanaryBlock, PairSums, ShadowBlock, Waiting
from k8s.rollout.canary import CanaryState
from k8s.rollout.controller import Controller, TickReport
from k8s.rollout.evidence import Answer, LabelQuestion, Question
from k8s.rollout.fleets import Copies, FleetError
from k8s.rollout.gates import Gates
from k8s.rollout.history import HistoryError, MemoryHistory
from k8s.rollout.labelled import Labelled
from k8s.rollout.leases import MemoryLease
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.memory_fleet import MemoryFleet
from k8s.rollout.model_rollout import Attempt, Event, ModelRollout, Pause, Request, Spec, Status
from k8s.rollout.plan import CanaryPlan, Plan, ShadowPlan
from k8s.rollout.routers import NotInForceError, Role, RouterError, Split
from k8s.rollout.shadow import ShadowState
from k8s.rollout.stores import ConflictError, StoreError
from tests.doubles.rollout_monitor import Broken, Monitor

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
STABLE, GOOD, OTHER = "risk_scorer:s", "risk_scorer:a", "risk_scorer:b"
PLAN = Plan(
    block_seconds=10,
    shadow=ShadowPlan(min_blocks=1, deadline_blocks=30),
    canary=CanaryPlan(step_blocks=1, min_blocks=3, deadline_blocks=20, extended_blocks=30),
    unavailable_blocks=4,
    progress_blocks=12,
    watch_hours=0.1,
)
STEPS = tuple(step.weight for step in PLAN.canary.steps)
HOLD, WELL, HARM = 0, 1, 2


class Killed(BaseException):
    """The controller is dead from here on."""


@dataclass
class Fuse:
    """Kills or fails one of the coming operations, or of the coming changes, before or after it has taken effect."""

    left: int = -1
    after: bool = False
    error: Callable[[str], BaseException] | None = None
    changes_only: bool = False

    def around(self, kind: str, effect: Callable[[], Any], *, look: bool = False) -> Any:
        self.left -= not (look and self.changes_only)
        if self.left != 0 or self.error is None:
            return effect()
        self.left = -1
        if self.after:
            effect()
        raise self.error(kind)


def killed(kind: str) -> BaseException:
    return Killed(kind)


def api_error(kind: str) -> BaseException:
    return {"router": RouterError, "fleet": FleetError, "store": StoreError, "history": HistoryError}[kind]("away")


@dataclass
class World:
    """All of it. `step` does one random thing; `calm` lets faults stop and time pass."""

    rng: random.Random
    now: datetime = START
    fuse: Fuse = field(default_factory=Fuse)
    plan: Plan = PLAN

    def __post_init__(self) -> None:
        self.fleet = MemoryFleet()
        self.fleet.assign("stable", STABLE)
        self.fleet.scale("stable", 2)
        self.fleet.settle()
        self.split = self.in_force = Split(100, 0)
        self.altered = ""
        """What is written, and what the gateway does: a gateway that is stuck takes nothing."""
        self.stuck = False
        self.object = ModelRollout(spec=Spec(plan=self.plan), version="1")
        self.history = MemoryHistory()
        self.evidence = MemoryEvidence(self._canary_block, self._shadow_block, self.history)
        self.mood = WELL
        self.taken: list[Event] = []
        """Events that the history has taken, also twice."""
        self.monitor = Monitor(self)
        self.controller = self._new_controller()
        self.ticks = 0

    def _new_controller(self) -> Controller:
        backend = Backend(
            _Router(self), _Fleet(self), _Evidence(self), _Store(self), _History(self), lambda *_: None, MemoryLease({})
        )
        gates = Gates(self._decide_shadow, self._decide_canary, self._decide_watch, lambda *_: None)
        return Controller(backend, lambda: self.now, gates)

    def _shadow_block(self, question: Question, number: int) -> ShadowBlock | None:
        return ShadowBlock(number, 10.0, PairSums(), PairSums(), Arm(errors=self._mood()))

    def _canary_block(self, question: Question, number: int) -> CanaryBlock | None:
        return CanaryBlock(number, 10.0, 0.5, Arm(), Arm(errors=self._mood()))

    def _mood(self) -> int:
        return self.mood if self.mood != HOLD else self.rng.choices((HOLD, WELL, HARM), (60, 34, 6))[0]

    def _decide_shadow(
        self,
        state: ShadowState,
        blocks: Any,
        plan: Plan,
        prediction: Any,
        *,
        waiting: Any,
        age_blocks: float,
        unpredicted: str = "",
        labels: Any = None,
    ) -> Decision[ShadowState]:
        attempt = self.attempt()
        for block in blocks:
            state = replace(state, block=block.number)
            if block.stable.errors == HARM:
                self.monitor.ledgers[attempt.id].harmed = True
                return Decision("fail", "flips", "harm", (), replace(state, failed="flips"))
            if block.stable.errors == WELL and age_blocks >= plan.shadow.min_blocks:  # type: ignore[union-attr]
                self.monitor.ledgers[attempt.id].passed = True
                return Decision("pass", None, "well", (), state)
        if age_blocks >= plan.shadow.deadline_blocks:  # type: ignore[union-attr]
            return Decision("inconclusive", "deadline", "late", (), state)
        return Decision("hold", None, "waits", (), state)

    def _decide_canary(
        self,
        state: CanaryState,
        blocks: Any,
        plan: Plan,
        *,
        step: int | None,
        rho: float,
        waiting: Waiting | None,
        age_blocks: float,
        step_age_blocks: float,
        labels: Any = None,
    ) -> Decision[CanaryState]:
        ledger, last = self.monitor.ledgers[self.attempt().id], step == len(STEPS) - 1
        if state.failed:
            return Decision("rollback", "errors", "harm", (), state)
        for block in blocks:
            state = replace(state, block=block.number)
            if block.canary.errors == HARM:
                ledger.harmed = True
                return Decision("rollback", "errors", "harm", (), replace(state, failed="errors"))
            if block.canary.errors == WELL and step is not None and step_age_blocks >= plan.canary.step_blocks:
                ledger.promoted = ledger.promoted or last
                return Decision("promote" if last else "advance", None, "well", (), state)
        if age_blocks >= plan.canary.extended_blocks:
            return Decision("inconclusive", "deadline", "late", (), state)
        return Decision("hold", None, "waits", (), state)

    def _decide_watch(
        self, state: CanaryState, blocks: Any, plan: Plan, *, waiting: Any, age_blocks: float, labels: Any = None
    ) -> Decision[CanaryState]:
        for block in blocks:
            state = replace(state, block=block.number)
            if block.canary.errors == HARM:
                self.monitor.undoing = True
                return Decision("rollback", "crash", "harm", (), state)
        return Decision("hold", None, "waits", (), state)

    @property
    def status(self) -> Status:
        return self.object.status

    def attempt(self) -> Attempt:
        assert self.status.attempt is not None
        return self.status.attempt

    def copies(self, role: Role) -> Copies:
        return self.fleet.look()[role]

    def tick(self, fuse: Fuse | None = None) -> TickReport | None:
        """One tick; None when the controller was killed in it. A new one takes its place."""
        self.ticks += 1
        self.fuse = fuse or Fuse()
        traffic = self.served()
        try:
            report = self.controller.tick()
        except Killed:
            self.controller = self._new_controller()
            return None
        else:
            self.monitor.on_whole_tick(report)
            return report
        finally:
            self.fuse = Fuse()
            self.monitor.demand(self.served() or not traffic, "a tick left nobody to answer")

    def served(self) -> bool:
        """Whether the role with most of the traffic answers."""
        return self.copies("canary" if self.split.canary > 50 else "stable").serving > 0

    def write(self, split: Split) -> None:
        self.split, self.altered = split, ""
        if self.stuck:
            raise NotInForceError("the gateway does not follow")
        self.in_force = split

    def change_spec(self, **fields: Any) -> None:
        spec = Spec.model_validate({**dict(self.object.spec), **fields})
        self.object = ModelRollout(spec=spec, status=self.status, version=str(int(self.object.version) + 1))

    def request(self, tag: str, *, skip_gates: bool = False) -> Request:
        return Request(tag=tag, by="ann", reason="asked", at=self.now, skip_gates=skip_gates)

    def start(self, tag: str, *, forced: bool = False) -> None:
        request = self.request(tag)
        self.change_spec(candidate=tag, asked=request, abort=None, promotion=None, forced=request if forced else None)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def step(self) -> None:
        """One random thing; most often a tick, or what makes the next tick see something new."""
        things: list[tuple[int, Callable[[], object]]] = [
            (30, self.tick),
            (14, lambda: self.tick(self._random_fuse())),
            (26, lambda: self.pass_time(self.rng.choice((1, 5, 10, 10, 20)))),
            (20, lambda: self.fleet.advance(self.rng.choice(("stable", "canary", "shadow")))),
            (12, self.fleet.settle),
            (3, self._user),
            (4, self._fault),
            (4, self._repair),
        ]
        self.rng.choices([thing for _, thing in things], [weight for weight, _ in things])[0]()

    def _random_fuse(self) -> Fuse:
        error = self.rng.choice((killed, killed, api_error))
        changes_only = self.rng.random() < 0.5
        most = 4 if changes_only else 9
        return Fuse(self.rng.randint(1, most), self.rng.random() < 0.5, error, changes_only)

    def _user(self) -> None:
        tag = self.rng.choice((GOOD, OTHER, STABLE))
        candidate = self.object.spec.candidate
        wishes: list[tuple[int, Callable[[], object]]] = [
            (30, lambda: self.start(tag, forced=self.rng.random() < 0.3)),
            (3, lambda: self.change_spec(candidate=None)),
            (5, lambda: self.change_spec(paused=Pause(by="ann", reason="lunch", at=self.now))),
            (10, lambda: self.change_spec(paused=None)),
            (3, lambda: candidate and self.change_spec(abort=self.request(candidate))),
            (3, lambda: candidate and self.change_spec(promotion=self.request(candidate, skip_gates=True))),
            (3, self._undo),
        ]
        self.rng.choices([wish for _, wish in wishes], [weight for weight, _ in wishes])[0]()

    def _undo(self) -> None:
        if self.status.attempt is None and self.status.previous is not None:
            request = self.request(self.status.previous, skip_gates=True)
            self.change_spec(candidate=request.tag, asked=request, promotion=request, forced=request, abort=None)

    def _fault(self) -> None:
        role: Role = self.rng.choice(("canary", "canary", "shadow", "stable"))
        faults: list[tuple[int, Callable[[], object]]] = [
            (30, lambda: self.fleet.crash(role)),
            (8, lambda: self.fleet.trouble("canary" if role == "stable" else role, "broken")),
            (10, self._no_evidence),
            (20, lambda: setattr(self, "mood", HOLD)),
            (2, self._set_clock_back),
            (1, lambda: self.pass_time(86_400)),
            (2, self._weights_by_hand),
            (1, self._tags_by_hand),
            (1, self._copies_by_hand),
            (5, lambda: setattr(self, "stuck", True)),
            (1, self._lose_object),
        ]
        self.rng.choices([fault for _, fault in faults], [weight for weight, _ in faults])[0]()

    def _no_evidence(self) -> None:
        self.evidence.obstacle = Waiting("store away", "no answer")

    def _set_clock_back(self) -> None:
        """A weight that rose before the controller died may then look as if it had not been due."""
        self.pass_time(-300)
        self._by_hand()
        self.monitor.ledgers = {
            key: value for key, value in self.monitor.ledgers.items() if value is self.monitor.ledger()
        }

    def _by_hand(self) -> None:
        if (ledger := self.monitor.ledger()) is not None:
            ledger.touched_by_hand = True

    def _weights_by_hand(self) -> None:
        self._by_hand()
        canary = self.rng.choice((0, 0, 5, 10, 25, 50))
        self.split = self.in_force = Split(100 - canary, canary)
        self.altered = self.rng.choice(("", "somebody else changed the route"))

    def _tags_by_hand(self) -> None:
        """Of the canary, or of stable while it has a stable's traffic."""
        if self.split.canary == 0:
            self.fleet.assign_by_hand(self.rng.choice(("canary", "stable")), OTHER)

    def _copies_by_hand(self) -> None:
        """Of the roles that nobody is served by now."""
        role: Role = "shadow" if self.split.canary else self.rng.choice(("canary", "shadow"))
        self.fleet.scale_by_hand(role, self.rng.choice((0, 1, 3)))

    def _lose_object(self) -> None:
        """The status and the spec are gone; what runs is what is left."""
        if self.status.attempt is None or self.status.attempt.verdict is None:
            self.monitor.ledgers = {}
            self.object = ModelRollout(spec=Spec(plan=self.plan), version=str(int(self.object.version) + 1))

    def _repair(self) -> None:
        for role in ("stable", "canary", "shadow"):
            self.fleet.trouble(role, "")
        self.evidence.obstacle = None
        self.stuck = False
        self.mood = self.rng.choice((WELL, HOLD))

    def calm(self, ticks: int = 400) -> None:
        """Faults stop: what was begun must end, and everything be put away."""
        self._repair()
        self.mood = WELL
        self.change_spec(paused=None)
        for _ in range(ticks):
            self.fleet.settle()
            self.pass_time(10)
            self.tick()
            if self.status.attempt is None and self.split == Split(100, 0) and not self._anything_left():
                return
        raise Broken(f"does not end: {self.status.phase} {self.status.message}")

    def _anything_left(self) -> bool:
        """Somebody's candidate that may still start, or copies that nobody needs."""
        roles: Mapping[Role, Copies] = self.fleet.look()
        return any(roles[role].wanted or roles[role].tag for role in ("canary", "shadow"))


class _Evidence:
    """While the store is away, what was read before can't be had either."""

    def __init__(self, world: World) -> None:
        self._world = world

    def watch(self, now: datetime) -> None:
        pass

    def shadow(self, question: Question, now: datetime) -> Answer[ShadowBlock]:
        evidence = self._world.evidence
        return Answer((), evidence.obstacle) if evidence.obstacle else evidence.shadow(question, now)

    def canary(self, question: Question, now: datetime) -> Answer[CanaryBlock]:
        evidence = self._world.evidence
        return Answer((), evidence.obstacle) if evidence.obstacle else evidence.canary(question, now)

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:
        return self._world.evidence.looks(question, now)


class _Router:
    def __init__(self, world: World) -> None:
        self._world = world

    def apply(self, split: Split) -> None:
        def effect() -> None:
            self._world.monitor.on_split(split)
            self._world.write(split)

        self._world.fuse.around("router", effect)

    def current(self) -> Split:
        split: Split = self._world.fuse.around("router", lambda: self._world.split, look=True)
        return split

    def altered(self) -> str:
        return self._world.altered


class _Fleet:
    def __init__(self, world: World) -> None:
        self._world = world

    def look(self) -> Mapping[Role, Copies]:
        copies: Mapping[Role, Copies] = self._world.fuse.around("fleet", self._world.fleet.look, look=True)
        return copies

    def assign(self, role: Role, tag: str | None) -> None:
        def effect() -> None:
            self._world.monitor.on_assign(role, tag)
            self._world.fleet.assign(role, tag)

        self._world.fuse.around("fleet", effect)

    def scale(self, role: Role, copies: int) -> None:
        def effect() -> None:
            self._world.monitor.on_scale(role, copies)
            self._world.fleet.scale(role, copies)

        self._world.fuse.around("fleet", effect)


class _Store:
    """Keeps the object as it is: it is frozen, and another test sees to it that it survives JSON."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self) -> ModelRollout:
        found: ModelRollout = self._world.fuse.around("store", lambda: self._world.object, look=True)
        return found

    def change_spec(self, change: Callable[[Spec], Spec]) -> ModelRollout:
        raise NotImplementedError("the controller never changes what is wanted")

    def write_status(self, status: Status, version: str) -> ModelRollout:
        world = self._world

        def effect() -> ModelRollout:
            if version != world.object.version:
                raise ConflictError("changed")
            world.monitor.on_status(status)
            world.object = ModelRollout(spec=world.object.spec, status=status, version=str(int(version) + 1))
            return world.object

        written: ModelRollout = world.fuse.around("store", effect)
        return written


class _History:
    def __init__(self, world: World) -> None:
        self._world = world

    def add_events(self, events: Any) -> None:
        self._world.fuse.around("history", lambda: self._world.taken.extend(events))

    def events(self, attempt: str | None = None, most: int | None = None) -> Any:
        return ()

    def evidence(self, attempt: str) -> Any:
        return ()
