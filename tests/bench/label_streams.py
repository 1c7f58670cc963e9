"""Streams of labelled pairs whose true difference in PR-AUC is known, of entities that are alike from event to event.

An entity has a risk of its own, which both its labels and its scores show, and each model is wrong about an entity in a
way of its own: rows of one entity are no evidence of their own, as in real life.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.label_pairs import LabelledPairs
from monitoring.ranking import Ranking

POSITIVES: Final = 0.05
"""Share of positives, about."""
EVENTS_EACH: Final = 4
"""Of an entity, on average."""
NOISE: Final = 0.35
"""sd of what a model adds to the signal, half of its variance the same for all events of an entity: two models that are
as good differ with an sd of .014 at 300 positives and .008 at 1,000, as trained ones do."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """How the candidate scores: as stable, with a noise of its own, and so much more of it."""

    worse: float = 0.0


def pairs(rng: np.random.Generator, events: int, candidate: Candidate) -> LabelledPairs:
    """So many labelled pairs, in an order that says nothing."""
    groups = np.unique(rng.integers(0, max(2, events // EVENTS_EACH), events), return_inverse=True)[1]
    risk = rng.normal(0, 1, int(groups.max()) + 1)[groups]
    labels = (rng.random(events) < 1 / (1 + np.exp(3.5 - risk))).astype(np.int8)
    signal = 1.8 * labels + 0.5 * risk + rng.normal(0, 1, events)
    other = signal + _noise(rng, groups, NOISE) + _noise(rng, groups, candidate.worse)
    return LabelledPairs(groups, labels, _score(signal + _noise(rng, groups, NOISE)), _score(other))


def first(found: LabelledPairs, positives: int) -> LabelledPairs:
    """The pairs up to the one with so many positives, as they are labelled one after the other."""
    end = int(np.searchsorted(np.cumsum(found.labels), positives)) + 1
    groups = np.unique(found.groups[:end], return_inverse=True)[1]
    return LabelledPairs(groups, found.labels[:end], found.stable[:end], found.candidate[:end])


def loss(candidate: Candidate, events: int = 2_000_000, seed: int = 1) -> float:
    """The true difference in PR-AUC, candidate - stable, by very many events."""
    found = pairs(np.random.default_rng(seed), events, candidate)
    ours, theirs = (Ranking(found.labels, scores).counts().pr_auc() for scores in (found.stable, found.candidate))
    return float(theirs - ours)


def losing(target: float) -> Candidate:
    """The candidate whose PR-AUC is so much lower, to .0005; found by halving."""
    low, high = 0.0, 4.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(Candidate(middle), 1_000_000) > -target else (low, middle)
    return Candidate(low)


def _noise(rng: np.random.Generator, groups: NDArray[np.int64], sd: float) -> Floats:
    own = rng.normal(0, sd, int(groups.max()) + 1)[groups]
    return np.sqrt(0.5) * (own + rng.normal(0, sd, len(groups)))


def _score(signal: Floats) -> Floats:
    return 1 / (1 + np.exp(-signal))
