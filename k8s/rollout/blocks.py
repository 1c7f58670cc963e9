"""What a block of evidence holds: plain counts, as the gates take them. The words are those of the plan's docs.

An entity counts once per metric per rollout, both arms together: `new` of `errors_affected` and `flagged_affected`
are the entities affected for the first time in this block, `at_risk` the requests of entities not counted before.
A request without an entity is its own unit, and so is a failure without a row (refused, reset, timed out).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Metric = Literal["errors", "over_slo", "flagged"]
METRICS: Final[tuple[Metric, ...]] = ("errors", "over_slo", "flagged")

UNKNOWN_NOISE: Final = 0.1
"""tau where stable's own history has fewer than 200 events to measure it by."""


@dataclass(frozen=True, slots=True)
class Affected:
    """Entities affected for the first time in this block, and the requests of entities not counted before."""

    new: int = 0
    at_risk: int = 0


@dataclass(frozen=True, slots=True)
class Arm:
    """One role's requests in a block. Errors: 5xx, 429, reset, timeout. Flagged: 2xx with review or block."""

    requests: int = 0
    errors: int = 0
    over_slo: int = 0
    over_500ms: int = 0
    flagged: int = 0
    errors_affected: Affected = Affected()
    flagged_affected: Affected = Affected()


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """tau of each metric: how much the rates of stable's own hash slices differ beyond chance (relative sd)."""

    errors: float = UNKNOWN_NOISE
    over_slo: float = UNKNOWN_NOISE
    flagged: float = UNKNOWN_NOISE


@dataclass(frozen=True, slots=True)
class CanaryBlock:
    """`number` counts from 0 at the first block of the canary phase; `weight` is the canary's share, 0 to 1."""

    number: int
    seconds: float
    weight: float
    stable: Arm
    canary: Arm
    noise: NoiseFloor = NoiseFloor()


@dataclass(frozen=True, slots=True)
class PairSums:
    """Pairs of one request scored by both; up: flagged by the candidate only. A difference is candidate - stable."""

    pairs: int = 0
    up: int = 0
    down: int = 0
    sum_diff: float = 0.0
    sum_diff2: float = 0.0


@dataclass(frozen=True, slots=True)
class ShadowBlock:
    """`first` holds one pair an entity, its first of the phase; `stable` and `shadow` are the mirrored requests."""

    number: int
    seconds: float
    every: PairSums
    first: PairSums
    stable: Arm = Arm()
    shadow: Arm = Arm()
    shed: int = 0
    """Mirrored requests that the shadow's own cap refused: neither pairs nor errors."""
    stable_flagged: int = 0
    shadow_flagged: int = 0
    """Among `first`: how many each flags. Their ratio is rho."""


Obstacle = Literal["not closed", "log behind", "store away", "gateway away", "clock skew"]
"""Why there is no newer block. 'not closed' is the normal state between two blocks."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What keeps the next block from closing, in words for whoever is on call. `since`: when that block ended."""

    obstacle: Obstacle
    detail: str
    since: datetime | None = None
