"""A look at labelled pairs: the difference of two models' PR-AUC, and between what it can be. Pure.

Both models scored the same requests, and whole entities are drawn again together with both of their scores: what makes
one model's figure high by chance makes the other's high, too (sd .0069 where unpaired draws say .0147). The bounds are
normal ones with the sd of the draws: at 300 positives the tails of a percentile interval would need thousands of draws.
"""

from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.labelled import Look
from monitoring.label_pairs import LabelledPairs
from monitoring.ranking import Ranking

DRAWS: Final = 300
SEED: Final = 8
"""The same pairs give the same look."""

Floats = NDArray[np.float64]


def look_at(pairs: LabelledPairs, number: int, positives: int, level: float, beta: float) -> Look | None:
    """The look of that number; None where no difference can be told: one class is missing, or one entity has all.

    `positives` are all that there are, of which the pairs may be a sample. `level`: the error that one look may make.
    """
    if not 0 < pairs.positives < len(pairs.labels):
        return None
    draws = _Draws(pairs.groups, np.random.default_rng(SEED))
    one, other = Ranking(pairs.labels, pairs.stable), Ranking(pairs.labels, pairs.candidate)
    difference = float(other.counts().pr_auc() - one.counts().pr_auc())
    drawn = other.resampled(draws).pr_auc() - one.resampled(draws).pr_auc()
    sd = float(np.nanstd(drawn, ddof=1))
    if not np.isfinite(sd) or (sd == 0 and difference != 0):
        return None
    upper, lower = NormalDist().inv_cdf(1 - level), NormalDist().inv_cdf(1 - beta)
    return Look(number, min(positives, pairs.positives), difference, difference - lower * sd, difference + upper * sd)


class _Draws:
    """Draws of whole entities with replacement, without a table of all of them: one draw after the other."""

    def __init__(self, groups: NDArray[np.int64], rng: np.random.Generator, count: int = DRAWS) -> None:
        self.count = count
        entities = int(groups.max()) + 1
        self._groups = groups
        self._times = np.stack(
            [np.bincount(rng.integers(0, entities, entities), minlength=entities) for _ in range(count)]
        )

    def sums(self, cells: NDArray[Any], size: int, values: Floats | None = None) -> Floats:
        kept = np.flatnonzero((cells >= 0) & (cells < size))
        groups, cells = self._groups[kept], cells[kept]
        weight = 1.0 if values is None else values[kept]
        return np.stack([np.bincount(cells, weights=times[groups] * weight, minlength=size) for times in self._times])

    def total(self, values: Floats) -> Floats:
        own = np.bincount(self._groups, weights=values, minlength=self._times.shape[1])
        return np.array([times @ own for times in self._times])
