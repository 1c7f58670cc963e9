"""The baseline: logistic regression on the event's own fields, what a careful person would try first.

A new field of the event joins by its kind: numbers as +-log(1 + |x|), integers as they are, the hour as a point on the
circle, categories one-hot. A missing number is the median plus an indicator, a missing category is one of its own.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.features import COLUMNS

_MOST_ROWS: Final = 100_000
"""Some thirty weights need no more rows, and the newest are the most like those that it is tested on."""

_HOUR: Final = "hour"
_DAY: Final = 24.0


def fit(matrix: NDArray[np.float64], labels: NDArray[np.int8]) -> Pipeline:
    """A fitted pipeline on the newest rows of the model's matrix; its `decision_function` gives log-odds."""
    pipeline = Pipeline([("inputs", _inputs()), ("regression", LogisticRegression(max_iter=1000))])
    return pipeline.fit(matrix[-_MOST_ROWS:], labels[-_MOST_ROWS:])


def log_odds(pipeline: Pipeline, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The baseline's raw value for each row of the model's matrix."""
    raw: NDArray[np.float64] = pipeline.decision_function(matrix)
    return raw


def _inputs() -> ColumnTransformer:
    numbers = _numbered(FunctionTransformer(_compressed))
    integers = _numbered(FunctionTransformer())
    hour = _numbered(FunctionTransformer(_on_the_circle))
    categories = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer(
        [
            ("numbers", numbers, _places("number")),
            ("integers", integers, _places("integer")),
            ("hour", hour, [COLUMNS.index(_HOUR)]),
            ("categories", categories, _places("category")),
        ]
    )


def _numbered(shape: FunctionTransformer) -> Any:
    return make_pipeline(
        shape, SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )


def _places(kind: str) -> list[int]:
    return [COLUMNS.index(field.name) for field in FEATURES if field.kind == kind and field.name != _HOUR]


def _compressed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 + x), and for negative numbers the same mirrored: a field of the event may be below 0."""
    return np.copysign(np.log1p(np.abs(values)), values)


def _on_the_circle(hour: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = 2 * np.pi * hour / _DAY
    return np.hstack([np.sin(angle), np.cos(angle)])
