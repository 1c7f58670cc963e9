"""Evidence of harm: an e-process per gate, fed with two arms' counts of a block.

Given all events m of a block, those of one arm are binomial(m, pi), pi = theta n / (theta n + n'), at a rate ratio
theta, whatever the common rate is: what hits both arms cancels. Each component bets against "the ratio is theta at
most"; its expected factor is 1 at most, so the wealth ever exceeds 1/alpha with probability alpha at most (Ville 1939;
ter Schure et al., Safe logrank test, 2024, of which this is the stratified form).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log, log1p, sqrt
from typing import Final

Wealth = tuple[float, ...]
"""Cash that is not in the game yet, then what each component has made of its deposits."""

FIRST_DEPOSIT: Final = 0.5
LATER_DEPOSIT: Final = 0.5 / 120
"""The second half enters over 120 blocks: late harm meets fresh money instead of what the good time has lost."""

MOST: Final = 1e100
"""Wealth is cut here. It only makes it smaller, so the bound holds, and no product overflows."""

LEAST_THETA: Final = log(1.25)
"""A rate ratio up to 1.25 is never called harm: hashing makes arms that differ by so much."""
NOISE_SPREADS: Final = 2.5
SLICE: Final = 0.05
"""The noise floor is measured on slices of 5 %; a larger share averages more entities."""


@dataclass(frozen=True, slots=True)
class Bets:
    """One gate's components: likelihood ratios at `ratios`, capped at `kappa` nats a block, and share bets."""

    gate: str
    weight: float
    ratios: tuple[float, ...]
    kappa: float
    fractions: tuple[float, ...] = ()
    logs: tuple[float, ...] = field(init=False)
    start: Wealth = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "logs", tuple(log(ratio) for ratio in self.ratios))
        object.__setattr__(self, "start", (1.0,) + (0.0,) * (len(self.ratios) + len(self.fractions)))


ERRORS: Final = Bets("errors", 0.4, (1.6, 3, 6, 20, 100), 1, (0.1, 0.3, 0.6, 0.85, 0.97))
"""The likelihood ratios are capped because errors come in bursts; the share bets find what is rare and one-sided."""
OVER_SLO: Final = Bets("over_slo", 0.2, (1.4, 2, 3, 5, 12), 1)
FLAGGED_UP: Final = Bets("flagged_up", 0.2, (1.3, 1.6, 2.2, 4, 10), 2)
FLAGGED_DOWN: Final = Bets("flagged_down", 0.2, (1.3, 1.6, 2.2, 4, 10), 2)
CANARY_GATES: Final = (ERRORS, OVER_SLO, FLAGGED_UP, FLAGGED_DOWN)


@dataclass(frozen=True, slots=True)
class Side:
    """One arm of a block: events, and the exposure they came from."""

    events: float
    exposure: float


def theta(tau: float, weight: float) -> float:
    """The rate ratio that hashing alone may make: at least 1.25, more where stable's own slices differ by tau."""
    return exp(max(LEAST_THETA, NOISE_SPREADS * tau * sqrt(SLICE / max(weight, SLICE))))


def after(wealth: Wealth, bets: Bets, suspect: Side, other: Side, ratio: float) -> Wealth:
    """The wealth after a block, having bet that the suspect's rate is more than `ratio` times the other's.

    Unchanged by a block that can say nothing: without events, or without exposure in one arm.
    """
    events = suspect.events + other.events
    if events <= 0 or suspect.exposure <= 0 or other.exposure <= 0:
        return wealth
    weighed = ratio * suspect.exposure
    share = weighed / (weighed + other.exposure)
    cash = wealth[0]
    deposit = min(cash, FIRST_DEPOSIT if cash == 1.0 else LATER_DEPOSIT)
    factors = _factors(bets, suspect.events, events, share)
    grown = [min((old + deposit) * factor, MOST) for old, factor in zip(wealth[1:], factors, strict=True)]
    return (cash - deposit, *grown)


def _factors(bets: Bets, suspect: float, events: float, share: float) -> list[float]:
    kappa = bets.kappa
    factors = [
        exp(min(kappa, suspect * log_ratio - events * log1p(share * (ratio - 1))))
        for ratio, log_ratio in zip(bets.ratios, bets.logs, strict=True)
    ]
    if bets.fractions:
        surplus = (suspect / events - share) / share
        factors += [1 + fraction * surplus for fraction in bets.fractions]
    return factors


def evidence(wealth: Wealth) -> float:
    """The e-value: the components' mean and the cash. 1 at the start."""
    return sum(wealth[1:]) / (len(wealth) - 1) + wealth[0]


def together(gates: Sequence[Bets], wealths: Sequence[Wealth]) -> tuple[float, ...]:
    """Each gate's share of the total evidence; their sum is an e-value again, as an average of e-values."""
    return tuple(bets.weight * evidence(wealth) for bets, wealth in zip(gates, wealths, strict=True))
