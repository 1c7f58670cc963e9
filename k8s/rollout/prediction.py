"""What the evaluation predicted of the candidate's behaviour on live inputs, and whether a rollout may rest on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k8s.rollout.plan import Plan

if TYPE_CHECKING:  # it needs a database driver, which deciding does not
    from monitoring.comparisons import Comparison


@dataclass(frozen=True, slots=True)
class Prediction:
    """Expected live difference of candidate and stable, with standard errors; all 0: none is expected."""

    net_flips: float = 0.0
    net_flips_se: float = 0.0
    score_difference: float = 0.0
    score_difference_se: float = 0.0
    flagged_ratio: float = 1.0
    """Flagged by the candidate for each one flagged by stable."""
    made_at: datetime | None = None
    verdict: str = "accepted"
    entities: int | None = None
    live: bool = True
    """Whether logged live inputs were scored; if not, only the verdict says something."""


def from_comparison(comparison: "Comparison") -> Prediction:
    """The prediction in a row of `comparisons`. Without its live part, `live` is False and the numbers are 0."""
    numbers = (comparison.net_flips, comparison.score_difference)
    return Prediction(
        net_flips=comparison.net_flips or 0.0,
        net_flips_se=comparison.net_flips_se or 0.0,
        score_difference=comparison.score_difference or 0.0,
        score_difference_se=comparison.score_difference_se or 0.0,
        flagged_ratio=comparison.flagged_ratio or 1.0,
        made_at=comparison.made_at,
        verdict=comparison.verdict,
        entities=comparison.entities,
        live=all(number is not None for number in numbers),
    )


def usable(prediction: Prediction | None, now: datetime, plan: Plan) -> str | None:
    """Why the shadow can't be compared with the prediction, as a sentence; None when it can."""
    if prediction is None:
        return "There is no prediction: run `python -m training compare` for stable and the candidate."
    if not prediction.live:
        return (
            "The comparison has no live part (too few logged inputs), so nothing is predicted: "
            "run `python -m training compare` again when a day of inputs is logged."
        )
    if prediction.made_at is not None and now - prediction.made_at > timedelta(hours=plan.prediction_hours):
        return (
            f"The prediction is of {prediction.made_at:%Y-%m-%d %H:%M} and older than {plan.prediction_hours:g} hours: "
            "run `python -m training compare` again."
        )
    return None


def admission(prediction: Prediction | None, now: datetime, plan: Plan, forced: bool) -> str | None:
    """Why the candidate may not start, as a sentence; None when it may.

    A verdict against it is refused, one that asks for a person waits for one; `forced` is that person's word. A plan
    without a shadow phase starts without a comparison, too: its gates are centred on no difference then.
    """
    if forced:
        return None
    if prediction is not None and prediction.verdict != "accepted":
        return _REFUSED.get(prediction.verdict, f"The comparison's verdict is {prediction.verdict!r}: not accepted.")
    return usable(prediction, now, plan) if plan.shadow is not None else None


_REFUSED = {
    "not good enough": "The comparison with stable found the candidate not good enough; force the start to overrule.",
    "not enough data": "The comparison with stable had not enough data to judge; give it more, or force the start.",
    "needs approval": "The comparison found a change that a person has to approve: force the start to approve it.",
}
