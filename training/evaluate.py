"""Scores and labels to an evaluation. Pure: the random generator is passed in."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
)

from bentos.risk_scorer.policy import Decision, Policy

from .datasets import Dataset
from .evaluation import CalibrationBin, Comparison, CurvePoint, DataPart, Evaluation, Interval, Metrics, Split
from .ranking import Ranking

PRECISIONS: Final = (0.5, 0.8, 0.9)
BINS: Final = 10
RESAMPLES: Final = 200
_RECALLS: Final = np.linspace(0.0, 1.0, 51)
_TAILS: Final = (0.025, 0.975)
_DIGITS: Final = 6
"""Figures are rounded to this many decimals: far below their noise, and easy to read."""

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


def evaluate(  # keyword-only, and each is a different thing
    dataset: Dataset,
    scores: Scores,
    policy: Policy,
    *,
    rng: np.random.Generator,
    baseline: Scores | None = None,
    split: Split | None = None,
) -> Evaluation:
    """The evaluation of calibrated scores (one a row) on a data set, beside a baseline's scores when given.

    Both classes must be there (`splits.require_classes`).
    """
    labels = dataset.labels
    candidates = {"model": scores} if baseline is None else {"model": scores, "baseline": baseline}
    resampled = resampled_pr_auc(labels, candidates, dataset.entity_codes, rng)
    metrics = {name: measure(labels, each, policy, resampled[name]) for name, each in candidates.items()}
    return Evaluation(
        tested_on=data_part(dataset),
        split=split,
        entities=int(dataset.frame["entity_id"].nunique()) if dataset.has_entities else None,
        base_rate=_rounded(labels.mean()),
        resampled="entity" if dataset.has_entities else "event",
        resamples=RESAMPLES,
        policy=policy,
        approve_all_cost_per_1000=_rounded(1000 * policy.costs.missed * labels.mean()),
        model=metrics["model"],
        baseline=metrics.get("baseline"),
        comparison=None if baseline is None else _compared(metrics, resampled),
        notes=dataset.notes,
    )


def data_part(dataset: Dataset) -> DataPart:
    """Size and time span of a data set."""
    first, last = dataset.span() or (None, None)
    return DataPart(rows=len(dataset), positives=dataset.positives, first=first, last=last)


def measure(labels: Labels, scores: Scores, policy: Policy, resampled: NDArray[np.float64]) -> Metrics:
    """Every figure of one set of scores; `resampled` are its PR-AUCs over the resamples."""
    bins = calibration_bins(labels, scores)
    return Metrics(
        pr_auc=_interval(float(average_precision_score(labels, scores)), resampled),
        roc_auc=_rounded(roc_auc_score(labels, scores)),
        recall_at_precision={str(floor): recall_at(labels, scores, floor) for floor in PRECISIONS},
        brier=_rounded(brier_score_loss(labels, scores)),
        calibration_error=calibration_error(bins),
        cost_per_1000=_rounded(1000 * costs(labels, scores, policy).mean()),
        decisions={decision.value: _rounded(chosen.mean()) for decision, chosen in decide_all(scores, policy).items()},
        curve=_curve(labels, scores),
        calibration=bins,
    )


def recall_at(labels: Labels, scores: Scores, floor: float) -> float:
    """The largest recall at a precision of at least `floor`; 0 when no threshold reaches it."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    return _rounded(recall[precision >= floor].max(initial=0.0))


def decide_all(scores: Scores, policy: Policy) -> Mapping[Decision, NDArray[np.bool_]]:
    """For each decision, the rows that get it: `Policy.decide` for an array."""
    blocked = scores >= policy.block_from
    reviewed = (scores >= policy.review_from) & ~blocked
    return {Decision.APPROVE: ~(blocked | reviewed), Decision.REVIEW: reviewed, Decision.BLOCK: blocked}


def costs(labels: Labels, scores: Scores, policy: Policy) -> NDArray[np.float64]:
    """What each row's decision costs: a positive approved, any row reviewed, a negative blocked."""
    decided, price = decide_all(scores, policy), policy.costs
    total: NDArray[np.float64] = (
        price.missed * (decided[Decision.APPROVE] & (labels == 1))
        + price.review * decided[Decision.REVIEW]
        + price.false_block * (decided[Decision.BLOCK] & (labels == 0))
    )
    return total


def calibration_bins(labels: Labels, scores: Scores) -> tuple[CalibrationBin, ...]:
    """At most 10 bins of about equal mass, by score. Equal scores share a bin, so there may be fewer."""
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    place = np.searchsorted(edges, scores, side="left")
    rows = np.bincount(place, minlength=len(edges) + 1)
    filled = rows > 0
    mean = np.bincount(place, weights=scores, minlength=len(rows))[filled] / rows[filled]
    share = np.bincount(place, weights=labels, minlength=len(rows))[filled] / rows[filled]
    return tuple(
        CalibrationBin(rows=int(count), mean_score=_rounded(score), positive_share=_rounded(observed))
        for count, score, observed in zip(rows[filled], mean, share, strict=True)
    )


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Expected calibration error: the bins' |mean score - share of positives|, weighted by their rows."""
    rows = sum(each.rows for each in bins)
    return _rounded(sum(each.rows * abs(each.mean_score - each.positive_share) for each in bins) / rows)


def resampled_pr_auc(
    labels: Labels, candidates: Mapping[str, Scores], groups: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Each candidate's PR-AUC on the same resamples of whole groups (a paired cluster bootstrap), shape (RESAMPLES,).

    NaN where a resample drew no positive.
    """
    rankings = {name: Ranking(labels, scores) for name, scores in candidates.items()}
    count = int(groups.max()) + 1
    drawn = {name: np.empty(RESAMPLES) for name in candidates}
    for turn in range(RESAMPLES):
        times = np.bincount(rng.integers(0, count, count), minlength=count)[groups]
        for name, ranking in rankings.items():
            drawn[name][turn] = ranking.pr_auc(times)
    return drawn


def _compared(metrics: Mapping[str, Metrics], resampled: Mapping[str, NDArray[np.float64]]) -> Comparison:
    value = metrics["model"].pr_auc.value - metrics["baseline"].pr_auc.value
    difference = resampled["model"] - resampled["baseline"]
    known = difference[~np.isnan(difference)]
    return Comparison(
        pr_auc_difference=_interval(value, difference), better_share=_rounded((known > 0).mean() if len(known) else 0.0)
    )


def _curve(labels: Labels, scores: Scores) -> tuple[CurvePoint, ...]:
    precision, recall, _ = precision_recall_curve(labels, scores)
    best = np.maximum.accumulate(precision[:-1])
    rising = recall[:-1][::-1]
    places = np.minimum(np.searchsorted(rising, _RECALLS), len(rising) - 1)
    return tuple(
        CurvePoint(recall=_rounded(at), precision=_rounded(best[::-1][place]))
        for at, place in zip(_RECALLS, places, strict=True)
    )


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    known = resampled[~np.isnan(resampled)]
    low, high = np.quantile(known, _TAILS) if len(known) else (value, value)
    spread = known.std(ddof=1) if len(known) > 1 else 0.0
    return Interval(value=_rounded(value), low=_rounded(low), high=_rounded(high), sd=_rounded(spread))


def _rounded(value: float | np.floating) -> float:
    return round(float(value), _DIGITS)
