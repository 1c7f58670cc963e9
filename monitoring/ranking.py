"""How well scores rank positives first, on the rows themselves and under many resamples of them at once.

Precision and recall only change for the better where a positive is passed, so it is enough to count rows at the
distinct scores of positives. Nothing is lost by that: the figures are scikit-learn's to the last rounding.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Positives and rows with at least each threshold's score, shape (..., thresholds), and how many there are in all.

    Thresholds fall. Leading axes are resamples.
    """

    positives: _Floats
    flagged: _Floats
    all_positives: _Floats
    all_rows: _Floats

    def pr_auc(self) -> _Floats:
        """Average precision; NaN without positives."""
        gained = np.diff(self.positives, prepend=0.0, axis=-1)
        area = (gained * self._precision()).sum(axis=-1)
        return _ratio(area, self.all_positives)

    def pr_auc_at(self, base_rate: float) -> _Floats:
        """Average precision as it would be with this share of positives among the rows; NaN without both classes.

        Negatives are weighed alike. So it is comparable between times and samples whose share of positives differs,
        and does not change when labels of one class are known more often, or earlier, than those of the other.
        """
        negatives = self.all_rows - self.all_positives
        weight = _ratio(self.all_positives * (1 - base_rate), negatives * base_rate)[..., None]
        weighed = self.positives + weight * (self.flagged - self.positives)
        precision = np.divide(self.positives, weighed, out=np.zeros_like(self.positives), where=weighed > 0)
        area = (np.diff(self.positives, prepend=0.0, axis=-1) * precision).sum(axis=-1)
        return _ratio(area, np.where(negatives > 0, self.all_positives, 0.0))

    def recall_at(self, floor: float) -> _Floats:
        """The largest recall with a precision of at least `floor`; 0 when there is none."""
        kept = np.where((self._precision() >= floor) & (self.flagged > 0), self.positives, 0.0)
        return _ratio(kept.max(axis=-1, initial=0.0), self.all_positives)

    def best_precision(self, recalls: _Floats) -> _Floats:
        """The best precision at each of the recalls or a higher one, shape (..., recalls)."""
        best = np.maximum.accumulate(self._precision()[..., ::-1], axis=-1)[..., ::-1]
        last = best.shape[-1] - 1
        reached = np.atleast_2d(np.nan_to_num(_ratio(self.positives, self.all_positives[..., None])))
        places = np.array([np.searchsorted(each, recalls - 1e-12) for each in reached])
        return np.take_along_axis(np.atleast_2d(best), np.minimum(places, last), axis=-1).reshape(*best.shape[:-1], -1)

    def caught_by(self, share: float) -> _Floats:
        """Positives among the share of rows with the highest scores. A tie that does not fit counts in proportion."""
        room = np.atleast_1d(share * self.all_rows)
        lines = zip(room, np.atleast_2d(self.flagged), np.atleast_2d(self.positives), strict=True)
        caught = [
            np.interp(most, np.append(0.0, flagged), np.append(0.0, positives)) for most, flagged, positives in lines
        ]
        return np.asarray(caught).reshape(self.all_rows.shape)

    def _precision(self) -> _Floats:
        return np.divide(self.positives, self.flagged, out=np.zeros_like(self.positives), where=self.flagged > 0)


class Draws(Protocol):
    """Resamples of groups of rows, as `resampling.Resamples`; those need scipy, which a rollout's image has not."""

    count: int

    def sums(self, cells: NDArray[Any], size: int, values: _Floats | None = None) -> _Floats:
        """The sum of `values` (1 each when None) over the rows of each cell under each resample, (count, size)."""

    def total(self, values: _Floats) -> _Floats:
        """The sum of `values` over all rows under each resample, shape (count,)."""


class Ranking:
    """Rows by the distinct positive score that they reach."""

    def __init__(self, labels: NDArray[np.int8], scores: _Floats) -> None:
        thresholds = np.unique(scores[labels == 1])
        self._labels = labels.astype(np.float64)
        self._size = len(thresholds)
        self.slots = self._size - np.searchsorted(thresholds, scores, side="right")
        """Number of the first threshold, from the highest, that each row reaches; `_size` where it reaches none."""

    def counts(self) -> Counts:
        """The counts of the rows as they are."""
        size = self._size
        positives = np.bincount(self.slots, weights=self._labels, minlength=size)[:size]
        flagged = np.bincount(self.slots, minlength=size)[:size].astype(np.float64)
        return Counts(
            positives=np.cumsum(positives),
            flagged=np.cumsum(flagged),
            all_positives=np.asarray(self._labels.sum()),
            all_rows=np.asarray(float(len(self._labels))),
        )

    def resampled(self, resamples: Draws) -> Counts:
        """The counts under each resample, whose groups are those of all rows."""
        cells = np.where(self._labels == 1, self.slots, -1)
        positives = np.cumsum(resamples.sums(cells, self._size), axis=-1)
        flagged = np.cumsum(resamples.sums(self.slots, self._size), axis=-1)
        return Counts(
            positives=positives,
            flagged=flagged,
            all_positives=positives[:, -1] if self._size else np.zeros(resamples.count),
            all_rows=resamples.total(np.ones(len(self._labels))),
        )


def _ratio(above: _Floats, below: _Floats) -> _Floats:
    shape = np.broadcast_shapes(above.shape, below.shape)
    out: _Floats = np.divide(above, below, out=np.full(shape, np.nan), where=below > 0)
    return out
