"""Every figure of one set of scores, each with its interval. Pure: rows and resamples in, `Metrics` out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.policy import Decision, Policy

from . import decision_costs as costs
from .evaluation import (
    AtCapacity,
    CalibrationBin,
    CostPoint,
    CurvePoint,
    Interval,
    LiftBin,
    Metrics,
)
from .ranking import Counts, Ranking
from .resampling import Resamples

PRECISIONS: Final = (0.5, 0.8, 0.9)
BINS: Final = 10
USUAL_CAPACITY: Final = 0.01
"""Share of the events whose review is assumed where the policy names no capacity."""

_RECALLS: Final = np.linspace(0.0, 1.0, 51)
_THRESHOLDS: Final = np.geomspace(0.001, 1.0, 37)
_TAILS: Final = (0.025, 0.975)
_DIGITS: Final = 6
"""Figures are rounded to this many decimals: far below their noise, and easy to read."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Scored:
    """Rows with their labels, calibrated scores and amounts (none missing), and the policy that decides on them."""

    labels: Labels
    scores: Floats
    amounts: Floats
    policy: Policy

    @cached_property
    def flagged(self) -> NDArray[np.bool_]:
        """The rows that the policy reviews or blocks."""
        return ~costs.decide_all(self.scores, self.policy)[Decision.APPROVE]

    @cached_property
    def costs(self) -> Floats:
        """What each row's decision costs."""
        return costs.row_costs(self.labels, self.scores, self.amounts, self.policy)

    @cached_property
    def ranking(self) -> Ranking:
        return Ranking(self.labels, self.scores)

    def take(self, rows: NDArray[np.bool_]) -> "Scored":
        """These rows only."""
        return Scored(self.labels[rows], self.scores[rows], self.amounts[rows], self.policy)


@dataclass(frozen=True)
class Resampled:
    """Figures under each resample, to be paired with another model's."""

    pr_auc: Floats
    cost_per_1000: Floats


def measure(rows: Scored, resamples: Resamples) -> tuple[Metrics, Resampled]:
    """All figures, and those that are compared between models. Both classes must be there."""
    now, drawn = rows.ranking.counts(), rows.ranking.resampled(resamples)
    counted = _flag_table(rows, resamples)
    metrics = Metrics(
        pr_auc=interval(now.pr_auc(), drawn.pr_auc()),
        roc_auc=rounded(roc_auc(rows.labels, rows.scores)),
        recall_at_precision={
            str(floor): interval(now.recall_at(floor), drawn.recall_at(floor)) for floor in PRECISIONS
        },
        at_capacity=_at_capacity(now, drawn, rows.policy.review_capacity or USUAL_CAPACITY),
        brier=_mean(np.square(rows.scores - rows.labels), drawn, resamples),
        calibration_error=_calibration_error(rows, resamples),
        recall=counted.recall,
        precision=counted.precision,
        false_positive_share=counted.false_positive_share,
        cost_per_1000=_mean(1000 * rows.costs, drawn, resamples),
        decisions={
            decision.value: rounded(chosen.mean())
            for decision, chosen in costs.decide_all(rows.scores, rows.policy).items()
        },
        curve=_curve(now, drawn),
        calibration=calibration_bins(rows, resamples),
        lift=_lift(rows, resamples),
        cost_curve=_cost_curve(rows, resamples),
    )
    cost = resamples.total(1000 * rows.costs) / drawn.all_rows
    return metrics, Resampled(pr_auc=drawn.pr_auc(), cost_per_1000=cost)


@dataclass(frozen=True)
class FlagTable:
    """What the policy flags: of the positives, of the negatives, and how much of that is positive."""

    recall: Interval
    precision: Interval
    false_positive_share: Interval


def _flag_table(rows: Scored, resamples: Resamples) -> FlagTable:
    cells = 2 * rows.labels + rows.flagged  # 0, 1: negatives passed and flagged; 2, 3: positives
    now = np.bincount(cells, minlength=4).astype(np.float64)
    drawn = resamples.sums(cells, 4)
    return FlagTable(
        recall=interval(_share(now[3], now[2]), _share(drawn[:, 3], drawn[:, 2])),
        precision=interval(np.nan_to_num(_share(now[3], now[1])), _share(drawn[:, 3], drawn[:, 1])),
        false_positive_share=interval(_share(now[1], now[0]), _share(drawn[:, 1], drawn[:, 0])),
    )


def calibration_bins(rows: Scored, resamples: Resamples) -> tuple[CalibrationBin, ...]:
    """At most 10 bins of about equal mass, by score. Equal scores share a bin, so there may be fewer."""
    place, size = _bins(rows.scores)
    count = np.bincount(place, minlength=size)
    score = np.bincount(place, weights=rows.scores, minlength=size) / count
    share = np.bincount(place, weights=rows.labels, minlength=size) / count
    drawn = _ratio(resamples.sums(place, size, rows.labels.astype(np.float64)), resamples.sums(place, size))
    shares = [interval(value, drawn[:, each]) for each, value in enumerate(share)]
    return tuple(
        CalibrationBin(
            rows=int(count[each]),
            mean_score=rounded(score[each]),
            positive_share=rounded(share[each]),
            low=shares[each].low,
            high=shares[each].high,
        )
        for each in range(size)
    )


def _calibration_error(rows: Scored, resamples: Resamples) -> Interval:
    """Expected calibration error: the bins' |mean score - share of positives|, weighted by their rows."""
    place, size = _bins(rows.scores)
    gap = rows.scores - rows.labels
    now = np.abs(np.bincount(place, weights=gap, minlength=size)).sum() / len(gap)
    drawn = np.abs(resamples.sums(place, size, gap)).sum(axis=1) / resamples.sums(place, size).sum(axis=1)
    return interval(now, drawn)


def _bins(scores: Floats) -> tuple[NDArray[np.int64], int]:
    """The bin of each row, from 0 on, and how many there are; none is empty."""
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    filled, place = np.unique(np.searchsorted(edges, scores, side="left"), return_inverse=True)
    return place, len(filled)


def _lift(rows: Scored, resamples: Resamples) -> tuple[LiftBin, ...]:
    """Bins of about a tenth of the rows, the highest scores first."""
    upwards, size = _bins(rows.scores)
    place = size - 1 - upwards
    positive = rows.labels.astype(np.float64)
    count, caught = np.bincount(place, minlength=size), np.bincount(place, weights=positive, minlength=size)
    drawn_count, drawn_caught = resamples.sums(place, size), resamples.sums(place, size, positive)
    base = _ratio(drawn_caught.sum(axis=1), drawn_count.sum(axis=1))
    lift = _ratio(_ratio(drawn_caught, drawn_count), base[:, None])
    return tuple(
        LiftBin(
            upto=rounded(count[: each + 1].sum() / count.sum()),
            lift=interval(caught[each] / count[each] / positive.mean(), lift[:, each]),
            caught=rounded(caught[: each + 1].sum() / caught.sum()),
        )
        for each in range(size)
    )


def _cost_curve(rows: Scored, resamples: Resamples) -> tuple[CostPoint, ...]:
    """The cost as a function of where review begins, which is at most where block begins."""
    policy, price = rows.policy, rows.policy.costs
    grid = np.unique(np.append(_THRESHOLDS[policy.block_from > _THRESHOLDS], [policy.review_from, policy.block_from]))
    place = np.searchsorted(grid, rows.scores, side="right")  # reviewed from the first `place` thresholds
    losses = np.where(rows.labels == 1, costs.losses(rows.amounts, price), 0.0)
    blocked = rows.scores >= policy.block_from
    review = np.where(blocked, 0.0, price.review)
    block = float(np.where(rows.labels == 0, price.false_block, 0.0)[blocked].sum())
    size = len(grid) + 1
    base = resamples.total(np.where(blocked & (rows.labels == 0), price.false_block, 0.0))

    def per_threshold(lost: Floats, reviewed: Floats, always: Floats | float) -> Floats:
        below = np.cumsum(lost, axis=-1)[..., :-1]
        above = np.cumsum(reviewed[..., ::-1], axis=-1)[..., ::-1][..., 1:]
        return np.asarray(below + above + np.asarray(always)[..., None])

    now = per_threshold(_sums(place, losses, size), _sums(place, review, size), block)
    drawn = per_threshold(resamples.sums(place, size, losses), resamples.sums(place, size, review), base)
    now, drawn = 1000 * now / len(place), 1000 * drawn / resamples.total(np.ones(len(place)))[:, None]
    shares = [float((~blocked & (rows.scores >= at)).mean()) for at in grid]
    bounds = [interval(value, drawn[:, each]) for each, value in enumerate(now)]
    return tuple(
        CostPoint(
            review_from=rounded(at), cost_per_1000=each.value, low=each.low, high=each.high, review_share=rounded(share)
        )
        for at, each, share in zip(grid, bounds, shares, strict=True)
    )


def _at_capacity(now: Counts, drawn: Counts, share: float) -> AtCapacity:
    caught, drawn_caught = now.caught_by(share), drawn.caught_by(share)
    return AtCapacity(
        share=share,
        precision=interval(caught / (share * now.all_rows), drawn_caught / (share * drawn.all_rows)),
        recall=interval(caught / now.all_positives, _ratio(drawn_caught, drawn.all_positives)),
    )


def _curve(now: Counts, drawn: Counts) -> tuple[CurvePoint, ...]:
    value = now.best_precision(_RECALLS)
    low, high = np.quantile(drawn.best_precision(_RECALLS), _TAILS, axis=0)
    return tuple(
        CurvePoint(recall=rounded(at), precision=rounded(value[each]), low=rounded(low[each]), high=rounded(high[each]))
        for each, at in enumerate(_RECALLS)
    )


def _mean(values: Floats, drawn: Counts, resamples: Resamples) -> Interval:
    return interval(values.mean(), resamples.total(values) / drawn.all_rows)


def roc_auc(labels: Labels, scores: Floats) -> float:
    """The chance that a positive scores above a negative, ties counting half (Mann and Whitney, 1947)."""
    negatives, positives = np.sort(scores[labels == 0]), scores[labels == 1]
    below = np.searchsorted(negatives, positives, side="left") + np.searchsorted(negatives, positives, side="right")
    return float(below.sum() / (2.0 * len(negatives) * len(positives)))


def interval(value: float | Floats, resampled: Floats) -> Interval:
    """A figure with its percentile interval over the resamples that have it (NaN: they don't)."""
    known = resampled[~np.isnan(resampled)]
    low, high = np.quantile(known, _TAILS) if len(known) else (value, value)
    spread = known.std(ddof=1) if len(known) > 1 else 0.0
    return Interval(value=rounded(value), low=rounded(low), high=rounded(high), sd=rounded(spread))


def rounded(value: float | np.floating | Floats) -> float:
    return round(float(value), _DIGITS)


def _sums(place: NDArray[np.int64], values: Floats, size: int) -> Floats:
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)


def _share(part: Floats, rest: Floats) -> Floats:
    """A part of itself and the rest, NaN where both are 0."""
    return _ratio(np.asarray(part), np.asarray(part + rest))


def _ratio(above: Floats, below: Floats) -> Floats:
    shape = np.broadcast_shapes(above.shape, below.shape)
    out: Floats = np.divide(above, below, out=np.full(shape, np.nan), where=below > 0)
    return out
