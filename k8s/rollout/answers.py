"""What a decision answers: the action, what it rests on in words and in numbers, and the state to go on from."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Action = Literal["hold", "advance", "promote", "rollback", "pass", "fail", "inconclusive"]
GateState = Literal["ok", "gathering", "failed", "holding", "not evaluated"]
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class GateNumbers:
    """One gate in numbers, for `status` and for the record.

    `harm` against `harm_bound`: at the bound it is rolled back. `shown` against `shown_bound`: below it, evidence that
    all is well is still missing; `missing_units` and `missing_blocks` say how much, and how long that takes at this
    traffic. A canary gate's `harm` is its share of the total that the bound is for.
    """

    gate: str
    state: GateState
    detail: str
    harm: float | None = None
    harm_bound: float | None = None
    shown: float | None = None
    shown_bound: float | None = None
    counts: tuple[tuple[str, float], ...] = ()
    missing_units: float | None = None
    missing_blocks: float | None = None


@dataclass(frozen=True, slots=True)
class Decision(Generic[State]):
    """One moment's answer.

    `gate` is what the action rests on: a gate's name, or what it holds for. `reason` is a sentence for someone on call.
    `next_blocks`: at this traffic, blocks until the next step can be expected; None when that can't be said.
    """

    action: Action
    gate: str | None
    reason: str
    gates: tuple[GateNumbers, ...]
    state: State
    next_blocks: float | None = None
    harm: float = 0.0
    """All gates' evidence of harm together."""
    harm_bound: float = 0.0
    """What `harm` is compared with: 1/alpha, by Ville's inequality at any time and however often one looks."""
    proposal: str = ""
    """In the watch after a promotion: why undoing is proposed to a person."""
