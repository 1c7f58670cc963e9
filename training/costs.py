"""The prices of what a policy decides, and the amount that each row puts at stake; `monitoring.decision_costs` adds up.

The loss of an event whose amount is not known is taken at the mean of the known amounts beside it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.policy import Costs
from monitoring import decision_costs

from .datasets import Dataset

REVIEW_SHARE: Final = 0.05
FALSE_BLOCK_SHARE: Final = 0.5
"""Default prices relative to the mean amount of a positive, so that they fit any currency: a review 5 %, a false block
50 % (the customer's lost business, which a bank knows better)."""

_Floats = NDArray[np.float64]


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
    """The amount of each row, without gaps."""
    return decision_costs.amounts(dataset.frame["amount"].to_numpy(dtype=np.float64))
