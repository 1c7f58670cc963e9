"""What decisions cost: the loss of each row, and the cost of what a policy decides.

A missed positive costs a fixed part and a part of its amount: the money is gone, and somebody works on the claim. The
loss of an event whose amount is not known is taken at the mean of the known amounts beside it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.policy import Costs, Decision, Policy

_Floats = NDArray[np.float64]
_Labels = NDArray[np.int8]


def amounts(values: _Floats) -> _Floats:
    """Amounts without gaps: where one is not known (NaN), the mean of those that are (0 when none is)."""
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
