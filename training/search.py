"""A small search for hyper-parameters with a fixed budget: so many candidates, each grown once.

Candidates are drawn by the seed around the defaults, which are always the first of them. Each learns from the older
four fifths of the training part and is judged by its log loss on the newest fifth: the same cut in time that decides
the number of trees. Neither the calibration part nor the test part has a say, so the evaluation stays honest.
"""

import dataclasses
from typing import Final

import numpy as np

from monitoring.evaluation import Tried

from . import booster
from .booster import Rows, TreeOptions

_LEAVES: Final = (7, 15, 31, 63, 127)
_RATES: Final = (0.02, 0.03, 0.05, 0.08, 0.12)
_ROWS_PER_LEAF: Final = (10, 20, 50, 100, 300)
_L2: Final = (0.0, 1.0, 5.0, 20.0)
"""What has the most influence on boosted trees, each around its default; the rest is left as it is."""


def best(rows: Rows, options: TreeOptions, budget: int) -> tuple[TreeOptions, tuple[Tried, ...]]:
    """The options with the smallest held-out log loss among `budget` candidates, and what was tried.

    Of equals the earliest wins, so that chance alone never moves the defaults.
    """
    tried = [_try(rows, candidate) for candidate in candidates(options, budget)]
    chosen = min(tried, key=lambda each: each.log_loss)
    found = dataclasses.replace(
        options,
        leaves=chosen.leaves,
        learning_rate=chosen.learning_rate,
        rows_per_leaf=chosen.rows_per_leaf,
        l2=chosen.l2,
    )
    return found, tuple(tried)


def candidates(options: TreeOptions, budget: int) -> list[TreeOptions]:
    """The options as given, then draws around them, none twice."""
    rng = np.random.default_rng(options.seed)
    found = {options: None}
    for _ in range(100 * budget):
        if len(found) >= budget:
            break
        found[
            dataclasses.replace(
                options,
                leaves=int(rng.choice(_LEAVES)),
                learning_rate=float(rng.choice(_RATES)),
                rows_per_leaf=int(rng.choice(_ROWS_PER_LEAF)),
                l2=float(rng.choice(_L2)),
            )
        ] = None
    return list(found)[: max(1, budget)]


def _try(rows: Rows, options: TreeOptions) -> Tried:
    trees, loss = booster.held_out(rows, options)
    return Tried(
        leaves=options.leaves,
        learning_rate=options.learning_rate,
        rows_per_leaf=options.rows_per_leaf,
        l2=options.l2,
        trees=trees,
        log_loss=round(loss, 8),
    )
