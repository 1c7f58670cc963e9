"""tau: how much the rates of stable's own hash slices differ beyond chance, which two arms differ by as well.

With x_j events in slice j and mu_j = exposure x the mean rate of its hour, tau^2 = sum((x_j - mu_j)^2 - mu_j) /
sum(mu_j^2), never below 0: the variance that Poisson counts would not have. Both sums run over all slices of all hours
used, so that an hour weighs by what it can tell; a plain mean of hours would be the noise of the quiet ones.
"""

from collections import defaultdict
from collections.abc import Iterable

from k8s.rollout.blocks import UNKNOWN_NOISE, NoiseFloor
from monitoring.rollout_noise import Metric, Slice

ENOUGH_EVENTS = 200
"""Over all hours; below, the floor is not known."""


def noise_floor(slices: Iterable[Slice]) -> NoiseFloor:
    """Tau of each metric; `blocks.UNKNOWN_NOISE` where there are too few events."""
    by_metric: dict[Metric, list[Slice]] = defaultdict(list)
    for each in slices:
        by_metric[each.metric].append(each)
    return NoiseFloor(tau(by_metric["errors"]), tau(by_metric["over_slo"]), tau(by_metric["flagged"]))


def tau(slices: Iterable[Slice]) -> float:
    """Of one metric's slices in any number of hours."""
    by_hour: dict[object, list[Slice]] = defaultdict(list)
    for each in slices:
        by_hour[each.hour].append(each)
    if sum(each.events for hour in by_hour.values() for each in hour) < ENOUGH_EVENTS:
        return UNKNOWN_NOISE
    excess, scale = 0.0, 0.0
    for hour in by_hour.values():
        exposure = sum(each.exposure for each in hour)
        rate = sum(each.events for each in hour) / max(exposure, 1)
        for each in hour:
            expected = each.exposure * rate
            excess += (each.events - expected) ** 2 - expected
            scale += expected**2
    return float(max(0.0, excess / scale) ** 0.5) if scale else UNKNOWN_NOISE
