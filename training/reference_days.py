"""Training data and its scores to the reference that drift will compare live days with."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.reference import (
    Reference,
    ReferenceField,
    category_counts,
    is_number,
    number_counts,
    number_edges,
)

from .datasets import Dataset

MOST_DAYS: Final = 28
SCORE: Final = "score"
_EDGE: Final = np.timedelta64(1, "h")
"""The first and the last day are whole when the data begins, or ends, within this of midnight."""

_Values = NDArray[Any]


def build(dataset: Dataset, scores: NDArray[np.float64]) -> Reference:
    """The reference of a data set and its scores: its newest whole UTC days, at most 28, that have events.

    Without times, or without one whole day, everything is one pooled day and `days` is empty. Scores of rows that are
    not `needed` may be NaN.
    """
    days, rows_a_day = _days(dataset)
    chosen = np.concatenate(rows_a_day)
    fields = {}
    for field in FEATURES:
        if field.watch:
            values = dataset.frame[field.name].to_numpy()
            fields[field.name] = (
                _number(values, chosen, rows_a_day)
                if is_number(field)
                else _category(values, field.categories, rows_a_day)
            )
    fields[SCORE] = _number(scores, chosen, rows_a_day)
    return Reference(days=tuple(days), fields=fields)


def needed(dataset: Dataset) -> NDArray[np.bool_]:
    """The rows whose scores the reference is made of."""
    chosen = np.zeros(len(dataset), dtype=bool)
    for rows in _days(dataset)[1]:
        chosen[rows] = True
    return chosen


def _days(dataset: Dataset) -> tuple[list[str], list[NDArray[np.int64]]]:
    """The reference's days and the rows of each."""
    everything = np.arange(len(dataset))
    if not dataset.has_times:
        return [], [everything]
    day = dataset.times.astype("datetime64[D]")
    whole = np.unique(day)
    start, end = dataset.times.min(), dataset.times.max()
    if start - day.min() > _EDGE:
        whole = whole[1:]
    if day.max() + np.timedelta64(1, "D") - end > _EDGE:
        whole = whole[:-1]
    newest = whole[-MOST_DAYS:]
    if len(newest) == 0:
        return [], [everything]
    return [str(each) for each in newest], [np.flatnonzero(day == each) for each in newest]


def _number(values: _Values, chosen: NDArray[np.int64], rows_a_day: Sequence[NDArray[np.int64]]) -> ReferenceField:
    edges = number_edges(values[chosen])
    counts = [number_counts(values[rows], edges) for rows in rows_a_day]
    return ReferenceField(
        kind="number", edges=edges, daily=tuple(bins for bins, _ in counts), missing=tuple(none for _, none in counts)
    )


def _category(values: _Values, categories: tuple[str, ...], rows_a_day: Sequence[NDArray[np.int64]]) -> ReferenceField:
    counts = [category_counts(values[rows], categories) for rows in rows_a_day]
    return ReferenceField(
        kind="category",
        categories=categories,
        daily=tuple(bins for bins, _ in counts),
        missing=tuple(none for _, none in counts),
    )
