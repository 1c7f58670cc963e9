"""Where to review and where to block: the thresholds with the smallest expected cost on the calibration part.

For a row with the calibrated probability p and the loss L, approving costs p L in expectation, a review its price, and
blocking (1 - p) times the price of a false block. Taking p instead of the label is what makes the choice steady: the
amount is an input of the model, so p is the chance of a positive among events of that amount too, and every row
counts instead of the few positives, whose heavy-tailed amounts would move a threshold by themselves.

All pairs of cuts between neighbouring scores are compared, so the result is the exact minimum, with the review
capacity as a limit on the rows between the two cuts. Where the loss does not depend on the amount and nothing is
scarce, these are the thresholds of Elkan (2001).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.policy import Costs, Policy
from monitoring import decision_costs as prices
from monitoring.evaluation import ThresholdChoice

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kept:
    """The rows that thresholds are chosen on: calibrated scores, amounts (none missing) and labels, each (n,)."""

    scores: _Floats
    amounts: _Floats
    labels: NDArray[np.int8]


def choose(kept: Kept, costs: Costs, capacity: float | None = None) -> tuple[Policy, ThresholdChoice]:
    """The policy, and what decided it. `capacity` is the largest share of rows that may be reviewed, None for any."""
    line = _Line(kept, costs)
    free = line.cheapest(len(kept.scores))
    within = free if capacity is None else line.cheapest(int(capacity * len(kept.scores)))
    review_from, block_from = line.thresholds(within)
    policy = Policy(costs=costs, review_from=review_from, block_from=block_from, review_capacity=capacity)
    observed = prices.row_costs(kept.labels, kept.scores, kept.amounts, policy)
    return policy, ThresholdChoice(
        bound_by="costs" if within == free else "review capacity",
        review_share=line.review_share(within),
        review_share_unlimited=line.review_share(free),
        expected_cost_per_1000=line.cost_per_1000(within),
        expected_cost_per_1000_unlimited=line.cost_per_1000(free),
        observed_cost_per_1000=round(1000 * float(observed.mean()), 6),
    )


@dataclass(frozen=True)
class _Cuts:
    """Review begins at the distinct score number `review`, block at number `block`."""

    review: int
    block: int


class _Line:
    """The distinct scores in order, and what lies below each cut: rows, and their costs if approved or blocked."""

    def __init__(self, kept: Kept, costs: Costs) -> None:
        self._costs = costs
        self._scores, place = np.unique(kept.scores, return_inverse=True)
        approved = kept.scores * prices.losses(kept.amounts, costs)
        blocked = (1.0 - kept.scores) * costs.false_block
        self._rows = _below(np.bincount(place))
        self._approved = _below(np.bincount(place, weights=approved))
        self._blocked = _below(np.bincount(place, weights=blocked))
        self._preferred = self._preference(kept)

    def cheapest(self, most_reviewed: int) -> _Cuts:
        """The cuts with the smallest cost and at most so many rows between them; of equals, the lowest."""
        review = self._costs.review
        before = self._approved - review * self._rows
        after = review * self._rows - self._blocked
        first = np.searchsorted(self._rows, self._rows - most_reviewed, side="left")
        total = _window_minima(before, first) + after
        block = int(np.argmin(total))
        start = int(first[block])
        return _Cuts(review=start + int(np.argmin(before[start : block + 1])), block=block)

    def thresholds(self, cuts: _Cuts) -> tuple[float, float]:
        """Scores to cut at: the textbook's thresholds where the gaps that are cut hold them, else the middles."""
        review, block = self._at(cuts.review, self._preferred[0]), self._at(cuts.block, self._preferred[1])
        return min(review, block), block

    def review_share(self, cuts: _Cuts) -> float:
        return round(float((self._rows[cuts.block] - self._rows[cuts.review]) / self._rows[-1]), 6)

    def cost_per_1000(self, cuts: _Cuts) -> float:
        total = (
            self._approved[cuts.review]
            + self._costs.review * (self._rows[cuts.block] - self._rows[cuts.review])
            + self._blocked[-1]
            - self._blocked[cuts.block]
        )
        return round(1000 * float(total / self._rows[-1]), 6)

    def _at(self, cut: int, preferred: float) -> float:
        low = float(self._scores[cut - 1]) if cut else 0.0
        high = float(self._scores[cut]) if cut < len(self._scores) else 1.0
        return preferred if low < preferred <= high else (low + high) / 2

    def _preference(self, kept: Kept) -> tuple[float, float]:
        """The thresholds for an event of the mean amount that the scores expect of positives."""
        weight = float(kept.scores.sum())
        amount = float(kept.scores @ kept.amounts) / weight if weight else 0.0
        if self._costs.missed_at(amount) <= 0:
            return 1.0, 1.0
        policy = Policy.from_costs(self._costs, amount)
        return policy.review_from, policy.block_from


def _below(each: NDArray[Any]) -> _Floats:
    """Sums of what lies before each cut: one more than there are values."""
    return np.concatenate([[0.0], np.cumsum(each)])


def _window_minima(values: _Floats, first: NDArray[np.int64]) -> _Floats:
    """For each i the least of values[first[i]] to values[i], by minima over windows of powers of two."""
    lengths = np.arange(len(values)) - first + 1
    power = np.frexp(lengths)[1] - 1
    least, out = values, np.empty(len(values))
    for exponent in range(int(power.max()) + 1):
        here = np.flatnonzero(power == exponent)
        span = 1 << exponent
        out[here] = np.minimum(least[first[here]], least[here - span + 1])
        least = np.minimum(least[: len(least) - span], least[span:]) if len(least) > span else least
    return out
