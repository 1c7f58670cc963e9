"""Gates: conditions that a model must meet before it may go on. Pure: numbers in, verdicts with their numbers out.

Absolute gates look at one evaluation and hold for every model. Relative gates look at a champion and a challenger on
the same rows. A gate that lacks what it needs is 'not evaluated', which is neither passed nor failed, and says why.
"""

from collections.abc import Iterable
from typing import Final, Literal

from monitoring.evaluation import Comparison, Evaluation, Gate, Metrics, Slice

FEWEST_POSITIVES: Final = 200
"""Below this, the interval of a PR-AUC is too wide to tell a good model from a lucky one."""

GAIN: Final = 1.3
"""The lower bound of the PR-AUC must be above so many base rates; where that is not to be had, above half way to 1."""

SURELY_WORSE: Final = 0.95
"""A model is worse than the baseline when it was so in at least this share of the resamples."""

LARGEST_CALIBRATION_ERROR: Final = 0.05
INFERIORITY_MARGIN: Final = 0.01
MOST_INFERIOR: Final = 0.05
"""Non-inferior: the PR-AUC is more than the margin below the champion's in at most this share of the resamples."""

ENOUGH_BETTER: Final = 0.9
"""Better: the PR-AUC is above the champion's in at least this share of the resamples."""

SLACK: Final = 0.05
"""How much worse than the champion's the calibration error, and the recall of each slice, may be."""

FEWEST_IN_SLICE: Final = 100
"""Positives without which the recall of a slice is not compared."""

Mode = Literal["non-inferior", "better"]


def absolute(evaluation: Evaluation) -> tuple[Gate, ...]:
    """The gates that every model must pass."""
    return (
        enough_positives(evaluation.tested_on.positives),
        _better_than_chance(evaluation),
        _not_worse_than_baseline(evaluation.comparison),
        _calibrated(evaluation.model),
    )


def relative(comparison: Comparison, champion: Metrics, challenger: Metrics, mode: Mode) -> tuple[Gate, ...]:
    """The gates on ranking and calibration of a challenger; `comparison` is challenger minus champion."""
    ranking = _non_inferior(comparison) if mode == "non-inferior" else _better(comparison)
    return ranking, _calibration_kept(champion, challenger)


def enough_positives(count: int) -> Gate:
    """Whether there are enough positives for any of the other gates to mean something."""
    return _gate(
        "enough positives",
        f"{count:,} positives, at least {FEWEST_POSITIVES} wanted",
        held=count >= FEWEST_POSITIVES,
        positives=count,
        limit=FEWEST_POSITIVES,
    )


def slice_recalls(champion: Iterable[Slice], challenger: Iterable[Slice]) -> tuple[Gate, ...]:
    """One gate for each slice that both have: its recall is not much worse than the champion's."""
    theirs = {(each.field, each.band): each for each in champion}
    return tuple(
        _slice_recall(theirs[each.field, each.band], each) for each in challenger if (each.field, each.band) in theirs
    )


def _better_than_chance(evaluation: Evaluation) -> Gate:
    base, low = evaluation.base_rate, evaluation.model.pr_auc.low
    limit = min(GAIN * base, (1 + base) / 2)
    return _gate(
        "better than chance",
        f"lower bound of the PR-AUC {low:.4f}, more than {limit:.4f} wanted at a base rate of {base:.4f}",
        held=low > limit,
        low=low,
        limit=limit,
        base_rate=base,
    )


def _not_worse_than_baseline(comparison: Comparison | None) -> Gate:
    name = "not worse than logistic regression"
    if comparison is None:
        return Gate(name=name, verdict="not evaluated", detail="no logistic regression was grown beside the model")
    worse = round(1 - comparison.better_share, 6)
    difference = comparison.pr_auc_difference
    return _gate(
        name,
        f"PR-AUC difference {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}); worse in "
        f"{worse:.1%} of the resamples, less than {SURELY_WORSE:.0%} wanted",
        held=worse < SURELY_WORSE,
        difference=difference.value,
        worse_share=worse,
        limit=SURELY_WORSE,
    )


def _calibrated(model: Metrics) -> Gate:
    error = model.calibration_error.value
    return _gate(
        "calibrated",
        f"calibration error {error:.4f}, at most {LARGEST_CALIBRATION_ERROR} wanted",
        held=error <= LARGEST_CALIBRATION_ERROR,
        calibration_error=error,
        limit=LARGEST_CALIBRATION_ERROR,
    )


def _non_inferior(comparison: Comparison) -> Gate:
    difference, share = comparison.pr_auc_difference, comparison.inferior_share
    return _gate(
        "non-inferior",
        f"PR-AUC difference {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}); more than "
        f"{INFERIORITY_MARGIN} below the champion in {share:.1%} of the resamples, at most {MOST_INFERIOR:.0%} wanted",
        held=share <= MOST_INFERIOR,
        difference=difference.value,
        inferior_share=share,
        limit=MOST_INFERIOR,
    )


def _better(comparison: Comparison) -> Gate:
    difference, share = comparison.pr_auc_difference, comparison.better_share
    return _gate(
        "better",
        f"PR-AUC difference {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}); above the "
        f"champion in {share:.1%} of the resamples, at least {ENOUGH_BETTER:.0%} wanted",
        held=share >= ENOUGH_BETTER,
        difference=difference.value,
        better_share=share,
        limit=ENOUGH_BETTER,
    )


def _calibration_kept(champion: Metrics, challenger: Metrics) -> Gate:
    theirs, ours = champion.calibration_error.value, challenger.calibration_error.value
    return _gate(
        "calibration kept",
        f"calibration error {ours:.4f} against the champion's {theirs:.4f}, at most {SLACK} more wanted",
        held=round(ours - theirs, 6) <= SLACK,
        champion=theirs,
        challenger=ours,
        limit=SLACK,
    )


def _slice_recall(champion: Slice, challenger: Slice) -> Gate:
    name = f"recall kept where {challenger.field} is {challenger.band}"
    if champion.recall is None or challenger.recall is None or challenger.positives < FEWEST_IN_SLICE:
        detail = f"{challenger.positives:,} positives, and {FEWEST_IN_SLICE} are needed to tell"
        return Gate(name=name, verdict="not evaluated", detail=detail, numbers={"positives": challenger.positives})
    theirs, ours = champion.recall.value, challenger.recall.value
    return _gate(
        name,
        f"recall {ours:.1%} against the champion's {theirs:.1%} on {challenger.positives:,} positives, at most "
        f"{SLACK:.0%} less wanted",
        held=round(theirs - ours, 6) <= SLACK,
        champion=theirs,
        challenger=ours,
        positives=challenger.positives,
        limit=SLACK,
    )


def _gate(name: str, detail: str, *, held: bool, **numbers: float) -> Gate:
    verdict: Literal["passed", "failed"] = "passed" if held else "failed"
    return Gate(name=name, verdict=verdict, detail=detail, numbers=numbers)
