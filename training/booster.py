"""Matrix and labels to a LightGBM model, deterministically: same rows, same options, same text.

The classes are not reweighted although fraud is rare. Reweighting would bend the scores away from probabilities, and
the decisions are taken by comparing calibrated probabilities with costs, which already say what a missed fraud is
worth. What rarity needs is enough positives, and those are asked for.
"""

from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.features import CATEGORICAL, COLUMNS

from .monotone import Directions, column_constraints

_HELD_OUT: Final = 0.2
"""Share of the training part (its newest rows) that decides how many trees there are. Not the calibration part: its
scores would look better than those of unseen events, and the calibration would be too sure of itself."""

_MOST_LEARNERS: Final = 80_000
_MOST_JUDGES: Final = 40_000
"""Of more older and newest rows, every second, third, ... is enough to find the number of trees: on a million events
this chose 191 trees instead of 161, whose log loss on later events is the same to .0001, in a quarter of the time."""

_PATIENCE: Final = 30
"""Trees without an improvement of the held-out log loss before growing stops."""


@dataclass(frozen=True)
class TreeOptions:
    """What may be varied of the model itself. The README says why the defaults are what they are."""

    seed: int = 0
    leaves: int = 31
    trees: int = 400
    learning_rate: float = 0.05
    rows_per_leaf: int = 20
    l2: float = 0.0
    monotone: Directions = ()
    threads: int = 2


class Rows:
    """The training part, binned once for every fit on it: all rows, older ones, and the newest, which judge them.

    Bins are made of the fields alone, so the newest rows' labels stay unseen by what learns from the older ones.
    """

    def __init__(self, matrix: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        """Rows come oldest first."""
        cut = round(len(labels) * (1 - _HELD_OUT))
        self.all = lgb.Dataset(
            matrix,
            labels,
            feature_name=list(COLUMNS),
            categorical_feature=list(CATEGORICAL),
            params={"feature_pre_filter": False, "verbosity": -1},  # which columns can be split depends on the options
        ).construct()
        self.older = self.all.subset(_spread(0, cut, _MOST_LEARNERS))
        self.newest = self.all.subset(_spread(cut, len(labels), _MOST_JUDGES))


def fit(rows: Rows, options: TreeOptions) -> str:
    """The model as LightGBM's text.

    The newest fifth decides the number of trees, then the model is grown again on all rows: the newest ones are
    the most like what it will meet. Raises DataError when the monotone directions contradict each other.
    """
    trees, _ = held_out(rows, options)
    booster = lgb.train(_parameters(options), rows.all, num_boost_round=trees)
    return str(booster.model_to_string())


def held_out(rows: Rows, options: TreeOptions) -> tuple[int, float]:
    """The number of trees that is best for the newest rows, and their log loss with that many."""
    booster = lgb.train(
        _parameters(options) | {"metric": "binary_logloss"},
        rows.older,
        num_boost_round=options.trees,
        valid_sets=[rows.newest],
        valid_names=["newest"],
        callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
    )
    best: int = booster.best_iteration
    loss: float = booster.best_score["newest"]["binary_logloss"]
    return max(1, best), loss


def raw_scores(text: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds for each row, by the model as it will be read again from its text."""
    raw: NDArray[np.float64] = np.asarray(lgb.Booster(model_str=text).predict(matrix, raw_score=True), dtype=np.float64)
    return raw


def tree_count(text: str) -> int:
    """How many trees a model has."""
    count: int = lgb.Booster(model_str=text).num_trees()
    return count


def _spread(start: int, end: int, most: int) -> NDArray[np.int64]:
    """Row numbers from start to end in equal steps, so long that there are at most so many."""
    return np.arange(start, end, max(1, -(-(end - start) // most)))


def _parameters(options: TreeOptions) -> dict[str, Any]:
    bound = {"monotone_constraints": list(column_constraints(options.monotone))} if options.monotone else {}
    return {
        "objective": "binary",
        "seed": options.seed,
        "num_leaves": options.leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": options.rows_per_leaf,
        "lambda_l2": options.l2,
        "feature_fraction": 0.9,
        "bagging_fraction": 0.9,
        "bagging_freq": 1,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": options.threads,
        "verbosity": -1,
        **bound,
    }
