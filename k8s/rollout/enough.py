"""Evidence that all is well: that a harm of the step's size is excluded, for each metric.

L is the log likelihood ratio of "the candidate's rate is stable's" to "it is higher by d" (Poisson): against a truth
that is higher by d or more, exp(L) ever reaches 1/beta with probability beta at most.
"""

from dataclasses import dataclass
from math import log1p
from typing import Final

from k8s.rollout.blocks import METRICS, Metric
from k8s.rollout.plan import Step

PRIOR: Final[dict[Metric, float]] = {"errors": 1000, "over_slo": 100, "flagged": 50}
"""Stable's rate before anything is known: one event in so many."""
RELATIVE: Final[dict[Metric, float]] = {"errors": 1.0, "over_slo": 0.5, "flagged": 0.5}
"""A rise by this part of stable's own rate may be overlooked: where the rate is high, absolute steps are too fine."""
MOST_RELATIVE_ERRORS: Final = 0.01
"""Errors' margin does not grow with a sick stable beyond this: with it, a canary at 40 % beside 30 % was promoted."""
LEAST_PACE: Final = 1e-9
STRENGTH: Final = 2.0
"""The running rate counts as much as two events against the block's own rate."""
SHOWN: Final = ("errors", "over_slo", "flagged", "flagged_down")
Counts = tuple[float, float, float, float]
"""Events and exposure of the candidate, then of stable."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one step has shown: L of each of SHOWN, the candidate's exposure by metric, and in how many blocks.

    It begins anew at each step: a fault that comes with the load is not hidden by the good time before.
    """

    step: int = -1
    blocks: int = 0
    units: tuple[float, ...] = (0.0, 0.0, 0.0)
    logs: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)


def running_rate(metric: Metric, events: float, exposure: float) -> float:
    """Stable's rate so far: above 0, and 1 at most."""
    return min((events + 1) / (exposure + PRIOR[metric]), 1.0)


def margin(metric: Metric, step: Step, rate: float) -> float:
    """The rise that has to be excluded before leaving the step, at this rate of stable."""
    relative = RELATIVE[metric] * rate
    if metric == "errors":
        relative = min(relative, MOST_RELATIVE_ERRORS)
    floor: float = getattr(step, metric)
    return max(floor, relative)


def after(shown: Shown, number: int, step: Step, blocks: tuple[Counts, ...], rates: tuple[float, ...]) -> Shown:
    """What is shown after a block at step `number`; counts and stable's running rates in the order of METRICS."""
    if shown.step != number:
        shown = Shown(step=number)
    logs = [
        old + _rise_excluded(counts, rate, margin(metric, step, rate))
        for metric, counts, rate, old in zip(METRICS, blocks, rates, shown.logs[:3], strict=True)
    ]
    logs.append(shown.logs[3] + _fall_excluded(blocks[2], rates[2]))
    units = tuple(old + counts[1] for old, counts in zip(shown.units, blocks, strict=True))
    return Shown(number, shown.blocks + 1, units, tuple(logs))


def _block_rate(counts: Counts, rate: float) -> float:
    """Stable's rate in the block itself, drawn to its running rate: what hits both arms at once cancels."""
    _, _, events, exposure = counts
    return (events + STRENGTH) / (exposure + STRENGTH / rate)


def _rise_excluded(counts: Counts, rate: float, rise: float) -> float:
    events, exposure = counts[:2]
    return exposure * rise - events * log1p(rise / _block_rate(counts, rate))


def _fall_excluded(counts: Counts, rate: float) -> float:
    events, exposure = counts[:2]
    relative = RELATIVE["flagged"]
    return -events * log1p(-relative) - exposure * _block_rate(counts, rate) * relative


def pace(name: str, step: Step, rate: float) -> float:
    """What a unit of the candidate's exposure is expected to add to L when its rate is stable's; above 0."""
    if name == "flagged_down":
        return rate * (-log1p(-RELATIVE["flagged"]) - RELATIVE["flagged"])
    metric: Metric = METRICS[SHOWN.index(name)]
    rise = margin(metric, step, rate)
    return max(rise - rate * log1p(rise / rate), LEAST_PACE)
