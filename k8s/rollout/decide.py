"""The decision of one moment: state, evidence, plan and ages in; action, reasons, numbers and next state out. Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ShadowState:
    """What the shadow gates carry from block to block. Plain numbers: it is kept in the rollout's status."""

    block: int = -1


@dataclass(frozen=True, slots=True)
class CanaryState:
    """What the canary gates carry from block to block. Plain numbers: it is kept in the rollout's status."""

    block: int = -1


Action = Literal["hold", "advance", "promote", "rollback", "pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class GateNumbers:
    """One gate in numbers, for `status` and for the record.

    `harm` against `harm_bound`: at the bound it is rolled back. `shown` against `shown_bound`: below it, evidence that
    all is well is still missing; `missing_units` and `missing_blocks` say how much, and how long that takes at this
    traffic.
    """

    gate: str
    state: Literal["ok", "gathering", "failed", "holding", "not evaluated"]
    detail: str
    harm: float | None = None
    harm_bound: float | None = None
    shown: float | None = None
    shown_bound: float | None = None
    counts: tuple[tuple[str, float], ...] = ()
    missing_units: float | None = None
    missing_blocks: float | None = None
