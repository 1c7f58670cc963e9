"""Training data and its scores to the reference that drift will compare live days with.

A model scores what it has learned from unlike what it has not: further apart, and surer. So scores and decisions are
counted only on rows that it did not learn from, or live days would be compared with days that no live day can be like.
A day on which the model learned from some of the rows has no scores: its counts of them are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.policy import Decision, Policy
from bentos.risk_scorer.reference import (
    DECISION,
    SCORE,
    Reference,
    ReferenceField,
    category_counts,
    is_number,
    number_counts,
    number_edges,
)

from .datasets import Dataset

MOST_DAYS: Final = 28
_EDGE: Final = np.timedelta64(1, "h")
"""The first and the last day are whole when the data begins, or ends, within this of midnight."""

_Values = NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """What a model made of a data set's rows: scores of shape (n,), and which rows it did not learn from.

    Scores of rows that it learned from are not read, and may be NaN.
    """

    scores: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    policy: Policy


def build(dataset: Dataset, answers: Answers) -> Reference:
    """The reference of a data set and what the model answers: the newest whole UTC days, at most 28, that have events.

    Without times, or without one whole day, everything is one pooled day and `days` is empty.
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
    return Reference(days=tuple(days), fields=fields | _answered(answers, rows_a_day))


def _answered(answers: Answers, rows_a_day: Sequence[NDArray[np.int64]]) -> dict[str, ReferenceField]:
    """The score, and the decision that follows from it."""
    rows_a_day = _held_out(answers.held_out, rows_a_day)
    scores, edges = answers.scores, (answers.policy.review_from, answers.policy.block_from)
    score = _number(scores, np.concatenate(rows_a_day), rows_a_day)
    decision = ReferenceField(
        kind="category",
        categories=tuple(each.value for each in Decision),
        daily=tuple(number_counts(scores[rows], edges)[0] for rows in rows_a_day),
        missing=(0,) * len(rows_a_day),
    )
    return {SCORE: score, DECISION: decision}


def _held_out(held_out: NDArray[np.bool_], rows_a_day: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The days' rows, of the days that were held out whole; where there is no such day, the rows that were."""
    whole = [bool(held_out[rows].all()) for rows in rows_a_day]
    if not any(whole):
        return [rows[held_out[rows]] for rows in rows_a_day]
    return [rows if kept else rows[:0] for rows, kept in zip(rows_a_day, whole, strict=True)]


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
