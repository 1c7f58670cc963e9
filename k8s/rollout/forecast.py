"""What a plan will do, said before anybody starts it: simulated with the decision's own code.

A few hundred streams of independent requests at the given traffic: how long it takes, how many entities it needs, and
which regressions it sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median, quantiles
from typing import Final

from k8s.rollout.plan import Plan, ShadowPlan
from k8s.rollout.simulation import Ended, Pairs, Rates, Traffic, run_plan, run_shadow

STREAMS: Final = 200
SHADOW_STREAMS: Final = 60
MOST_BLOCKS: Final = 600
"""A longer canary phase is forecast no further: it is as good as held."""
SHADOW_BLOCKS: Final = 240
"""A shadow phase is simulated in so many blocks; a longer one in blocks that are as much larger."""
SLOW: Final = 20.0
"""Requests a second below which a first step of 5 % has too little traffic."""


@dataclass(frozen=True)
class Spread:
    """Of ten streams one ends before `early` and one after `late`. In blocks."""

    early: float
    median: float
    late: float


@dataclass(frozen=True)
class ShadowForecast:
    """The shadow phase of a candidate that does what was predicted."""

    passed: float
    blocks: Spread | None
    entities: float | None
    """Median of the entities it took; None when hardly any stream passed."""


@dataclass(frozen=True)
class Regression:
    """What happens to a candidate that is worse in one way. Shares of streams; medians."""

    name: str
    rolled_back: float
    promoted: float
    blocks: float | None
    """Until it is rolled back."""
    bad_answers: float
    """Answers that stable would have given better, until then or until the end."""


@dataclass(frozen=True)
class Forecast:
    """What a plan does at a traffic. Blocks are `block_seconds` long."""

    rps: float
    block_seconds: float
    shadow: ShadowForecast | None
    promoted: float
    """Share of the good candidates that are promoted; the others are held until the end and not banned."""
    canary: Spread | None
    canary_requests: float
    """Median of the requests that the canary answers on its way."""
    regressions: tuple[Regression, ...]
    notes: tuple[str, ...]


def forecast(  # noqa: PLR0913 - a plan and what is known of the traffic
    plan: Plan,
    rps: float,
    *,
    entities: float | None = None,
    rates: Rates = Rates(),  # noqa: B008 - frozen
    flips: float = 0.04,
    streams: int = STREAMS,
    seed: int = 1,
) -> Forecast:
    """The forecast at `rps` requests a second of so many entities (None: no end of them).

    `rates` are stable's; `flips` is the share of decisions that differ, evenly up and down. Raises ValueError for a
    rate that is not above 0.
    """
    if not rps > 0:
        raise ValueError(f"the traffic is {rps} requests a second; expected more than 0")
    traffic = Traffic(rps, base=rates, candidate=rates, entities=entities)
    blocks = min(plan.canary.extended_blocks, MOST_BLOCKS)
    good = run_plan(plan, traffic, blocks, streams, seed)
    worse = tuple(_seen(plan, traffic, *kind, blocks, max(streams // 2, 1), seed) for kind in regressions(rates))
    shadow = _shadow(plan, plan.shadow, traffic, flips, seed) if plan.shadow else None
    promoted = [each for each in good if each.action == "promote"]
    return Forecast(
        rps,
        plan.block_seconds,
        shadow,
        len(promoted) / len(good),
        _spread([each.blocks for each in promoted]),
        median(each.served for each in good),
        worse,
        tuple(_notes(plan, traffic, shadow, good)),
    )


def regressions(rates: Rates) -> tuple[tuple[str, Rates], ...]:
    """What a plan is tried against, in words and in rates: of stable's rates, so much worse."""
    kinds = (
        ("errors", min(rates.errors + 0.002, 1.0)),
        ("errors", min(rates.errors + 0.01, 1.0)),
        ("errors", min(rates.errors + 0.05, 1.0)),
        ("over_slo", min(rates.over_slo * 5, 1.0)),
        ("flagged", min(rates.flagged * 2, 1.0)),
        ("flagged", rates.flagged / 2),
    )
    words = {"errors": "errors", "over_slo": "over the objective", "flagged": "flagged"}
    return tuple(
        (f"{words[name]} {getattr(rates, name):.2%} -> {rate:.2%}", replace(rates, **{name: rate}))
        for name, rate in kinds
    )


def _seen(  # noqa: PLR0913, PLR0917 - one kind of candidate, simulated
    plan: Plan, traffic: Traffic, name: str, candidate: Rates, blocks: int, streams: int, seed: int
) -> Regression:
    ended = run_plan(plan, replace(traffic, candidate=candidate), blocks, streams, seed)
    back = [each.blocks for each in ended if each.action == "rollback"]
    base = traffic.base
    extra = sum(abs(getattr(candidate, one) - getattr(base, one)) for one in ("errors", "over_slo", "flagged"))
    return Regression(
        name,
        len(back) / len(ended),
        sum(each.action == "promote" for each in ended) / len(ended),
        median(back) if back else None,
        median(each.served for each in ended) * extra,
    )


def _shadow(plan: Plan, shadow: ShadowPlan, traffic: Traffic, flips: float, seed: int) -> ShadowForecast:
    """Blocks are merged when the phase may be long: its gates depend on little more than on totals."""
    merged = ceil(shadow.deadline_blocks / SHADOW_BLOCKS)
    merged = min(merged, _likely_blocks(plan, shadow, traffic, flips))
    shorter = shadow.model_copy(update={"min_blocks": ceil(shadow.min_blocks / merged)})
    per_block = traffic.rps * plan.block_seconds * shadow.mirror / 100 * merged
    pairs = Pairs(per_block, flips / 2, flips / 2, entities=traffic.entities)
    blocks = ceil(shadow.deadline_blocks / merged)
    blocks = min(blocks, 2 * SHADOW_BLOCKS)
    ended = run_shadow(plan.model_copy(update={"shadow": shorter}), pairs, blocks, SHADOW_STREAMS, seed)
    passed = [(number * merged, used) for action, number, used in ended if action == "pass"]
    entities = median(used for _, used in passed) if passed else None
    return ShadowForecast(len(passed) / len(ended), _spread([number for number, _ in passed]), entities)


def _likely_blocks(plan: Plan, shadow: ShadowPlan, traffic: Traffic, flips: float) -> int:
    """So many blocks may be merged that the phase still has about fifty of them."""
    needed = max(10 * flips / shadow.flip_margin**2, shadow.min_entities)
    per_block = traffic.rps * plan.block_seconds * shadow.mirror / 100
    return max(ceil(needed / per_block / 50), 1)


def _spread(blocks: Sequence[int]) -> Spread | None:
    if len(blocks) < 2:
        return None
    tenths = quantiles(blocks, n=10, method="inclusive")
    return Spread(tenths[0], median(blocks), tenths[-1])


def _notes(plan: Plan, traffic: Traffic, shadow: ShadowForecast | None, good: Sequence[Ended]) -> Iterator[str]:
    """What somebody should know before the start, in sentences."""
    share = sum(each.action == "promote" for each in good) / len(good)
    if plan.requires_labels:
        yield "The plan requires labels, and holds until they come: when that is, no forecast knows."
    if share < 0.9:
        yield f"Only {share:.0%} of good candidates are promoted at this traffic; the others end inconclusive."
    if traffic.rps < SLOW and plan.canary.steps[0].weight < 25:
        yield f"Below about {SLOW:g} requests a second begin at 25 %: a smaller first step has too little traffic."
    if shadow is not None and shadow.passed < 0.9:
        wanted = plan.shadow.deadline_blocks if plan.shadow else 0
        yield f"Only {shadow.passed:.0%} of good candidates pass the shadow phase within its {wanted} blocks."
    if traffic.entities is not None and shadow is not None and shadow.passed < 0.9:
        yield f"{traffic.entities:,.0f} entities may be too few: each counts once. Widen flip_margin, or have more."
