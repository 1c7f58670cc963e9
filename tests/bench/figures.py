"""Limits for simulated shares."""

from math import exp, lgamma, log, log1p


def upper_limit(events: int, trials: int, error: float = 0.05) -> float:
    """The upper Clopper-Pearson limit of a share: at this share so few events would have probability `error`."""
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(events, trials, middle) > error else (low, middle)
    return high


def _at_most(events: int, trials: int, share: float) -> float:
    return (
        sum(
            exp(
                lgamma(trials + 1)
                - lgamma(k + 1)
                - lgamma(trials - k + 1)
                + k * log(share)
                + (trials - k) * log1p(-share)
            )
            for k in range(events + 1)
        )
        if 0 < share < 1
        else float(share <= 0)
    )
