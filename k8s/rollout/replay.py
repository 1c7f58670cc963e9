"""What the recorded evidence of an attempt decides when it is decided again, beside what was decided then. Pure.

Each decision was recorded with all that it was made of but the block (which is recorded as evidence) and the state
(which follows from the blocks before). With the same code and plan each must come out the same; with another plan the
report says what would have been different.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from k8s.rollout.answers import Decision, GateNumbers
from k8s.rollout.blocks import CanaryBlock, ShadowBlock
from k8s.rollout.canary import CanaryState
from k8s.rollout.decide import watched
from k8s.rollout.gates import Gates
from k8s.rollout.history import DECISION, Recorded
from k8s.rollout.labelled import Labelled, judged
from k8s.rollout.model_rollout import Event
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction
from k8s.rollout.shadow import ShadowState

STARTED: Final = "rollout.started"
"""Kind of the event that holds an attempt's plan."""

_PREDICTIONS: Final[TypeAdapter[Prediction | None]] = TypeAdapter(Prediction | None)
_LABELLED: Final[TypeAdapter[Labelled | None]] = TypeAdapter(Labelled | None)
_TOLERANCE: Final = 1e-9
"""Relative: evidence is a sum of floating-point numbers, and a library may round one differently."""


@dataclass(frozen=True)
class Replayed:
    """One decision, as it was recorded and as it comes out now. `again` is None where the evidence is missing."""

    phase: str
    block: int
    at: datetime
    recorded: str
    recorded_gate: str | None
    recorded_harm: float | None
    again: str | None = None
    again_gate: str | None = None
    again_harm: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether action, gate and evidence are the same."""
        same = (self.recorded, self.recorded_gate) == (self.again, self.again_gate)
        return same and (self.recorded_harm is None or _near(self.recorded_harm, self.again_harm))


@dataclass(frozen=True)
class Report:
    """All decisions of an attempt, in the order in which they were made; recorded blocks that none was made on."""

    decisions: tuple[Replayed, ...]
    undecided: int

    @property
    def agrees(self) -> bool:
        """Whether every decision comes out as it was recorded."""
        return all(each.agrees for each in self.decisions)

    @property
    def different(self) -> tuple[Replayed, ...]:
        """The decisions that do not."""
        return tuple(each for each in self.decisions if not each.agrees)


def plan_of(events: Iterable[Event]) -> Plan | None:
    """The plan that an attempt was started with, out of its events; None when they don't have it."""
    plans = [event.numbers["plan"] for event in events if event.kind == STARTED and "plan" in event.numbers]
    return Plan.model_validate(plans[-1]) if plans else None


def replay(events: Sequence[Event], evidence: Sequence[Recorded], plan: Plan, gates: Gates | None = None) -> Report:
    """Decides an attempt again. `events` and `evidence` are the attempt's own, as `History` gives them."""
    blocks = {(each.since, each.phase, each.block.number): each.block for each in evidence}
    used = set()
    again = _Again(plan, gates or Gates())
    found = []
    for event in sorted(events, key=lambda event: (event.at, event.number)):
        if event.kind != DECISION:
            continue
        numbers = event.numbers
        phase = "shadow" if numbers["phase"] == "shadow" else "canary"
        key = (datetime.fromisoformat(numbers["since"]), phase, int(numbers["block"]))
        block = blocks.get(key)  # type: ignore[arg-type]
        decision = again.decide(numbers, block) if block else None
        used.add(key)
        found.append(_replayed(event, decision))
    return Report(tuple(found), len(blocks.keys() - used))


class _Again:
    """The states, from decision to decision."""

    def __init__(self, plan: Plan, gates: Gates) -> None:
        self._plan, self._gates = plan, gates
        self._shadow = ShadowState()
        self._canary = CanaryState()
        self._watch: CanaryState | None = None

    def decide(self, numbers: dict[str, Any], block: CanaryBlock | ShadowBlock) -> Decision[Any]:
        """The decision on a block, with the ages and the rest that the recorded one was made with."""
        if isinstance(block, ShadowBlock):
            return self._decide_shadow(numbers, block)
        if numbers["phase"] == "watch":
            return self._decide_watch(numbers, block)
        return self._decide_canary(numbers, block)

    def _decide_shadow(self, numbers: dict[str, Any], block: ShadowBlock) -> Decision[Any]:
        prediction = _PREDICTIONS.validate_python(numbers.get("prediction"))
        age = float(numbers["age_blocks"])
        decision = self._gates.shadow(
            self._shadow, (block,), self._plan, prediction, age_blocks=age, labels=self._labels(numbers)
        )
        self._shadow = decision.state
        return decision

    def _decide_canary(self, numbers: dict[str, Any], block: CanaryBlock) -> Decision[Any]:
        moment = {name: numbers[name] for name in ("step", "rho", "age_blocks", "step_age_blocks")}
        moment["labels"] = self._labels(numbers)
        # Between two blocks a controller decides as well, without one: that is when a deadline is extended.
        self._canary = self._gates.canary(self._canary, (), self._plan, **moment).state
        decision = self._gates.canary(self._canary, (block,), self._plan, **moment)
        self._canary = decision.state
        return decision

    def _decide_watch(self, numbers: dict[str, Any], block: CanaryBlock) -> Decision[Any]:
        state = self._watch or watched(self._canary)
        age, labels = float(numbers["age_blocks"]), self._labels(numbers)
        decision = self._gates.watch(state, (block,), self._plan, age_blocks=age, labels=labels)
        self._watch = decision.state
        return decision

    def _labels(self, numbers: dict[str, Any]) -> GateNumbers | None:
        """The gate on the looks that were known; None for what was recorded before there were any."""
        return judged(_LABELLED.validate_python(numbers.get("labels")), self._plan)


def _replayed(event: Event, decision: Decision[Any] | None) -> Replayed:
    numbers = event.numbers
    recorded = Replayed(
        phase=numbers["phase"],
        block=int(numbers["block"]),
        at=event.at,
        recorded=numbers["action"],
        recorded_gate=numbers["gate"],
        recorded_harm=numbers.get("harm"),
    )
    if decision is None:
        return recorded
    return replace(recorded, again=decision.action, again_gate=decision.gate, again_harm=decision.harm)


def _near(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) <= _TOLERANCE * max(abs(one), abs(other))
