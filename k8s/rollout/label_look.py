"""A look at labelled pairs: the difference of two models' PR-AUC, and between what it can be. Pure.

Both models scored the same requests, and whole entities are drawn again together with both of their scores: what makes
one model's figure high by chance makes the other's high, too (sd .0069 where unpaired draws say .0147). The bounds are
normal ones with the sd of the draws: at 300 positives the tails of a percentile interval would need thousands of draws.
One draw is made after the other, so that memory does not grow with their number.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.evidence import LabelQuestion
from k8s.rollout.labelled import Look, due
from monitoring.label_pairs import LabelledPairs
from monitoring.ranking import Ranking

DRAWS: Final = 300
SEED: Final = 8
"""The same pairs give the same look."""

Floats = NDArray[np.float64]


def next_look(pairs: LabelledPairs, made: Sequence[Look], question: LabelQuestion) -> Look | None:
    """The look that is due by these pairs; None when none is, or no difference can be told yet."""
    number = due(question.planned, pairs.positives, made)
    return None if number is None else look_at(pairs, number, question.alpha, question.beta)


def look_at(pairs: LabelledPairs, number: int, alpha: float, beta: float) -> Look | None:
    """The look of that number; None where no difference can be told: one class is missing, or one entity has all.

    `alpha`, `beta`: what one look may err, each way.
    """
    if not 0 < pairs.positives < len(pairs.labels):
        return None
    one, other = Ranking(pairs.labels, pairs.stable), Ranking(pairs.labels, pairs.candidate)
    difference = float(other.counts().pr_auc() - one.counts().pr_auc())
    sd = _sd(pairs.groups, one, other)
    if not np.isfinite(sd) or (sd == 0 and difference != 0):
        return None
    upper, lower = NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(1 - beta)
    return Look(number, pairs.positives, difference, difference - lower * sd, difference + upper * sd)


def _sd(groups: NDArray[np.int64], one: Ranking, other: Ranking) -> float:
    """Of the difference, over draws of whole entities."""
    rng, drawn = np.random.default_rng(SEED), []
    for _ in range(DRAWS):
        draw = _Draw(groups, rng)
        drawn.append(float((other.resampled(draw).pr_auc() - one.resampled(draw).pr_auc())[0]))
    known = [each for each in drawn if not np.isnan(each)]  # a draw may hold no positive
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


class _Draw:
    """As many entities as there are, drawn with replacement: how often each row counts."""

    count = 1

    def __init__(self, groups: NDArray[np.int64], rng: np.random.Generator) -> None:
        entities = int(groups.max()) + 1
        times = np.bincount(rng.integers(0, entities, entities), minlength=entities)
        self._weights: Floats = times[groups].astype(np.float64)

    def sums(self, cells: NDArray[Any], size: int, values: Floats | None = None) -> Floats:
        kept = (cells >= 0) & (cells < size)
        weights = self._weights if values is None else self._weights * values
        return np.bincount(cells[kept], weights=weights[kept], minlength=size)[None, :].astype(np.float64)

    def total(self, values: Floats) -> Floats:
        return np.array([self._weights @ values])
