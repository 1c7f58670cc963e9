"""Raw model output and labels to a calibration: centred isotonic regression.

Isotonic regression gives steps: blocks of rows with one probability each. Centring (Oron and Flournoy, 2017,
Statistics in Biopharmaceutical Research 9:3) puts each block's probability at the mean of its raw values and joins
the points by straight lines, so that scores keep their order inside a block.

A block without positives would say 'impossible', one without negatives 'certain'. At such an end the distance to 0 or
1 is the rule of succession's 1 / (n + 2) for n rows, but at most half way to the block beside it. These two blocks
are not centred (nor are they in the paper), or the line to the next block would run through the whole of them: they
span their rows, and the distance halves from the inner edge to the outer one, so that order is kept there too.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from bentos.risk_scorer.calibration import Calibration

_SMALLEST_GAP: Final = 1e-9
"""Of knots whose raw values are nearer than this only the first stays: the slope between them would be noise."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Blocks:
    """Neighbouring rows with one isotonic probability: first, mean and last raw value, rows and positives of each."""

    first: _Floats
    mean: _Floats
    last: _Floats
    rows: _Floats
    positives: _Floats


def fit(raw: _Floats, labels: NDArray[np.int8]) -> Calibration:
    """The calibration of raw values (any finite floats) by their labels (0 or 1), both of shape (n,) with n >= 1."""
    blocks = _blocks(raw, labels)
    knots, probability = _knots(blocks) if len(blocks.rows) > 1 else _constant(blocks)
    kept = np.diff(knots, prepend=-np.inf) > _SMALLEST_GAP
    knots, probability = knots[kept], probability[kept]
    if len(knots) == 1:
        knots, probability = np.append(knots, knots + 1.0), np.repeat(probability, 2)
    return Calibration(raw=tuple(knots.tolist()), probability=tuple(probability.tolist()))


def _blocks(raw: _Floats, labels: NDArray[np.int8]) -> _Blocks:
    values, place = np.unique(raw, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    positives = np.bincount(place, weights=labels)
    level = isotonic_regression(positives / rows, sample_weight=rows)
    starts = np.flatnonzero(np.diff(level, prepend=-1.0))
    total = np.add.reduceat(rows, starts)
    return _Blocks(
        first=values[starts],
        mean=np.add.reduceat(values * rows, starts) / total,
        last=values[np.append(starts[1:], len(values)) - 1],
        rows=total,
        positives=np.add.reduceat(positives, starts),
    )


def _constant(blocks: _Blocks) -> tuple[_Floats, _Floats]:
    """One block: the raw value says nothing, or nothing that runs the right way."""
    distance = 1.0 / (blocks.rows + 2.0)
    return blocks.mean, np.clip(blocks.positives / blocks.rows, distance, 1.0 - distance)


def _knots(blocks: _Blocks) -> tuple[_Floats, _Floats]:
    """The points to be joined: one a block, two for an end block that is all negative or all positive."""
    knots, probability = blocks.mean, blocks.positives / blocks.rows
    distance = 1.0 / (blocks.rows + 2.0)
    if blocks.positives[0] == 0:
        inner = min(distance[0], probability[1] / 2)
        knots = np.concatenate([[blocks.first[0], blocks.last[0]], knots[1:]])
        probability = np.concatenate([[inner / 2, inner], probability[1:]])
    if blocks.positives[-1] == blocks.rows[-1]:
        inner = min(distance[-1], (1.0 - probability[-2]) / 2)
        knots = np.concatenate([knots[:-1], [blocks.first[-1], blocks.last[-1]]])
        probability = np.concatenate([probability[:-1], [1.0 - inner, 1.0 - inner / 2]])
    return knots, probability
