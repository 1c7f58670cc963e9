"""What decisions cost: the prices, the loss of each row, and the cost of what a policy decides.

A missed positive costs a fixed part and a part of its amount: the money is gone, and somebody works on the claim. The
loss of an event whose amount is not known is taken at the mean of the known amounts beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.policy import Costs, Decision, Policy

from .datasets import Dataset

REVIEW_SHARE: Final = 0.05
FALSE_BLOCK_SHARE: Final = 0.5
"""Default prices relative to the mean amount of a positive, so that they fit any currency: a review 5 %, a false block
50 % (the customer's lost business, which a bank knows better)."""

_Floats = NDArray[np.float64]
_Labels = NDArray[np.int8]


@dataclass(frozen=True)
class CostOptions:
    """The price of each outcome in currency; None takes the default that `default_costs` explains."""

    missed: float | None = None
    missed_per_amount: float | None = None
    review: float | None = None
    false_block: float | None = None


def default_costs(training: Dataset, options: CostOptions) -> Costs:
    """The costs, with defaults for those that are None.

    With M the mean amount of the training part's positives (1 when no amount is known or it is less than that), a
    review costs 5 % of M, a false block 50 % of M, and a missed positive its own amount plus the work on the claim,
    priced as one review. Where no amount is known it costs M. Whoever gives one part of a missed positive's loss has
    said all of it: the other part is 0.
    """
    amounts = training.frame.loc[training.labels == 1, "amount"].to_numpy()
    known = amounts[~np.isnan(amounts)]
    mean = max(float(known.mean()), 1.0) if len(known) else 1.0
    review = round(REVIEW_SHARE * mean, 4)
    if options.missed is not None or options.missed_per_amount is not None:
        missed, per_amount = options.missed or 0.0, options.missed_per_amount or 0.0
    elif len(known):
        missed, per_amount = review, 1.0
    else:
        missed, per_amount = mean, 0.0
    return Costs(
        missed=missed,
        missed_per_amount=per_amount,
        review=options.review or review,
        false_block=options.false_block or round(FALSE_BLOCK_SHARE * mean, 4),
    )


def amounts(dataset: Dataset) -> _Floats:
    """The amount of each row; where not known, the mean of those that are (0 when none is)."""
    values: _Floats = dataset.frame["amount"].to_numpy(dtype=np.float64)
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), known.mean() if len(known) else 0.0, values)


def losses(amounts: _Floats, costs: Costs) -> _Floats:
    """What each row would cost as a missed positive."""
    return costs.missed + costs.missed_per_amount * amounts


def decide_all(scores: _Floats, policy: Policy) -> Mapping[Decision, NDArray[np.bool_]]:
    """For each decision, the rows that get it: `Policy.decide` for an array."""
    blocked = scores >= policy.block_from
    reviewed = (scores >= policy.review_from) & ~blocked
    return {Decision.APPROVE: ~(blocked | reviewed), Decision.REVIEW: reviewed, Decision.BLOCK: blocked}


def row_costs(labels: _Labels, scores: _Floats, amounts: _Floats, policy: Policy) -> _Floats:
    """What each row's decision costs: a positive approved its loss, any row reviewed, a negative blocked."""
    decided, price = decide_all(scores, policy), policy.costs
    total: _Floats = (
        losses(amounts, price) * (decided[Decision.APPROVE] & (labels == 1))
        + price.review * decided[Decision.REVIEW]
        + price.false_block * (decided[Decision.BLOCK] & (labels == 0))
    )
    return total
