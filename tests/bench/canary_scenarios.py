"""The streams that the bench judges by, and what is asked of a rule on each (figures at 5, 50, 500 requests a second).

The targets are those of the reference in decisions.md, with some room for the simulation's own noise. It has no
figures for late faults, flags that fall at 5 a second, and most shadow streams: those targets were set from what the
first runs showed, and only guard against getting worse.
"""

from dataclasses import dataclass

from k8s.rollout.blocks import NoiseFloor
from k8s.rollout.simulation import Pairs, Rates, Traffic

RATES = (5, 50, 500)
ByRate = tuple[float, float, float]
GOOD = Rates()
QUIET = NoiseFloor(0.05, 0.05, 0.05)


@dataclass(frozen=True)
class Scenario:
    """A kind of stream. Shares are of streams; minutes are the median's, from the fault's beginning to the verdict."""

    name: str
    traffic: Traffic
    gate: str = ""
    """The gate that must be named by most rollbacks."""
    false_rollbacks: float | None = None
    """The upper 95 % limit of the share rolled back may be so much."""
    promoted_least: ByRate | None = None
    promoted_most: ByRate | None = None
    rolled_back_least: ByRate | None = None
    minutes_most: ByRate | None = None
    entities: bool = False
    """Drawn by tests.bench.canary_entities."""


def _faulty(name: str, candidate: Rates, **asked: object) -> Scenario:
    onset = {key: asked.pop(key) for key in ("onset", "onset_step") if key in asked}
    return Scenario(name, Traffic(0, candidate=candidate, noise=QUIET, **onset), **asked)


NEVER = (0.01, 0.01, 0.01)
SCENARIOS = (
    Scenario(
        "good, A/A, independent",
        Traffic(0, noise=QUIET),
        false_rollbacks=0.01,
        promoted_least=(0.7, 0.97, 0.97),
        minutes_most=(35, 16, 15),
    ),
    Scenario(
        "A/A, stalls on both arms, mixed arms",
        Traffic(0, stalls=0.05, spread=0.1, noise=NoiseFloor()),
        false_rollbacks=0.01,
    ),
    Scenario("A/A, entities, one broken client", Traffic(0), false_rollbacks=0.01, entities=True),
    Scenario(
        "A/A, sick stable (30 % errors in both)",
        Traffic(0, base=Rates(errors=0.3), candidate=Rates(errors=0.3), noise=QUIET),
        false_rollbacks=0.01,
        promoted_most=(0, 0, 0),
    ),
    Scenario(
        "sick stable 30 %, canary 40 %",
        Traffic(0, base=Rates(errors=0.3), candidate=Rates(errors=0.4), noise=QUIET),
        promoted_most=(0, 0, 0),
    ),
    _faulty(
        "errors .1 -> .3 %",
        Rates(errors=0.003),
        gate="errors",
        promoted_most=(0.08, 0.015, 0.01),
    ),
    _faulty(
        "errors .1 -> 1 %",
        Rates(errors=0.01),
        gate="errors",
        promoted_most=NEVER,
        rolled_back_least=(0.95, 0.99, 0.99),
        minutes_most=(29, 7.5, 3),
    ),
    _faulty(
        "errors .1 -> 5 %",
        Rates(errors=0.05),
        gate="errors",
        promoted_most=NEVER,
        rolled_back_least=(0.99, 0.99, 0.99),
        minutes_most=(7, 2.5, 2),
    ),
    _faulty(
        "crash",
        Rates(errors=1, over_slo=0, flagged=0),
        gate="crash",
        promoted_most=(0, 0, 0),
        rolled_back_least=(0.99, 0.99, 0.99),
        minutes_most=(1.5, 0.5, 0.5),
    ),
    _faulty(
        "slow 1 -> 5 %",
        Rates(over_slo=0.05),
        gate="over_slo",
        promoted_most=NEVER,
        rolled_back_least=(0.99, 0.99, 0.99),
        minutes_most=(16, 6, 4.5),
    ),
    _faulty(
        "flagged 2 -> 4 %",
        Rates(flagged=0.04),
        gate="flagged_up",
        promoted_most=NEVER,
        rolled_back_least=(0.8, 0.99, 0.99),
        minutes_most=(42, 8.5, 3.5),
    ),
    _faulty(
        "flagged 2 -> 1 %",
        Rates(flagged=0.01),
        gate="flagged_down",
        promoted_most=(0.05, 0.01, 0.01),
        rolled_back_least=(0.3, 0.99, 0.99),
        minutes_most=(50, 13, 5.5),
    ),
    _faulty(
        "errors 5 % from minute 8 on",
        Rates(errors=0.05),
        onset=16,
        gate="errors",
        promoted_most=NEVER,
        rolled_back_least=(0.99, 0.99, 0.99),
        minutes_most=(7, 5.5, 7),
    ),
    _faulty(
        "errors 1 % from the 25 % step on",
        Rates(errors=0.01),
        onset_step=1,
        gate="errors",
        promoted_most=(0.02, 0.01, 0.01),
        rolled_back_least=(0.9, 0.99, 0.99),
    ),
    Scenario("no traffic at all", Traffic(0), promoted_most=(0, 0, 0), false_rollbacks=0.01),
    Scenario(
        "no traffic at the canary",
        Traffic(0, canary_share=0, noise=QUIET),
        promoted_most=(0, 0, 0),
        false_rollbacks=0.01,
    ),
)
SILENT = SCENARIOS[-2].name


@dataclass(frozen=True)
class ShadowScenario:
    """A kind of shadow stream, at 1,500 new entities a block (50 requests a second, everybody new)."""

    name: str
    pairs: Pairs
    failed_most: float | None = None
    passed_least: float | None = None
    failed_least: float | None = None
    passed_most: float | None = None
    entities_most: float | None = None
    """The median to the verdict."""


SHADOWS = (
    ShadowScenario("same decisions", Pairs(1500, 0, 0), failed_most=0.01, passed_least=0.97, entities_most=10_000),
    ShadowScenario("4 % flips, none net", Pairs(500), failed_most=0.01, passed_least=0.97, entities_most=25_000),
    ShadowScenario(
        "8 % flips, none net", Pairs(1500, 0.04, 0.04), failed_most=0.01, passed_least=0.97, entities_most=50_000
    ),
    ShadowScenario("net flips at the margin", Pairs(1500, 0.0225, 0.0175), failed_most=0.01, passed_most=0.05),
    ShadowScenario("net flips 1 %", Pairs(1500, 0.025, 0.015), failed_least=0.97, passed_most=0.05),
    ShadowScenario("flagged 2 -> 4 %", Pairs(1500, 0.022, 0.002), failed_least=0.99, entities_most=4_500),
    ShadowScenario("flagged 2 -> 1 %", Pairs(1500, 0.001, 0.011), failed_least=0.97, entities_most=20_000),
    ShadowScenario("score + .03", Pairs(1500, 0.01, 0.01, 0.03), failed_least=0.99, passed_most=0.05),
    ShadowScenario("score at the margin", Pairs(1500, 0, 0, 0.02), failed_most=0.01, passed_most=0.05),
)
