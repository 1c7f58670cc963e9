"""Parts of the tested rows, made from the event's own declaration: a new field has its slices at once.

A category has one band for each value, an integer of few values one for each, an integer of a bounded range four equal
ones (hours: 0-5, 6-11, ...), any other number bands between its quantiles. Missing values are a band of their own.
Beside the fields stand `entity` (seen in the training or not) and `missing values` (some or none).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer import features
from bentos.risk_scorer.events import FEATURES, FeatureField

from . import figures
from .evaluation import Interval, Slice
from .figures import Floats, Scored
from .resampling import Resamples

FEWEST_OF_A_CLASS: Final = 5
"""Below so many positives a slice has no PR-AUC and no recall; below so many negatives no false-positive share."""

_FEW_VALUES: Final = 6
_BOUNDED: Final = 100
_BANDS: Final = 4
_QUANTILES: Final = (0.25, 0.5, 0.75, 0.95)
_NOWHERE: Final = -1


@dataclass(frozen=True)
class Dimension:
    """One way to cut the rows: the name of each band, and each row's band (-1: in none)."""

    field: str
    bands: tuple[str, ...]
    place: NDArray[np.int64]


def dimensions(columns: Mapping[str, NDArray[Any]], known: NDArray[np.bool_] | None = None) -> Iterator[Dimension]:
    """Every way to cut rows, whose features are columns of equal length.

    `known` tells the rows whose entity was in the training; None: nobody knows.
    """
    incomplete = np.zeros(len(columns[FEATURES[0].name]), dtype=bool)
    for field in FEATURES:
        values = columns[field.name]
        absent = features.missing(values)
        incomplete |= absent
        yield _with_missing(field.name, _banded(field, values, absent), absent)
    yield Dimension("missing values", ("none", "some"), incomplete.astype(np.int64))
    if known is not None:
        yield Dimension("entity", ("new", "known"), known.astype(np.int64))


def measure(dimension: Dimension, rows: Scored, resamples: Resamples) -> list[Slice]:
    """The slices of a dimension that have rows. `resamples` draw the groups of all rows."""
    size = len(dimension.bands)
    cells = np.where(dimension.place >= 0, 4 * dimension.place + 2 * rows.labels + rows.flagged, _NOWHERE)
    counts = np.bincount(cells[cells >= 0], minlength=4 * size).reshape(size, 4).astype(np.float64)
    drawn = resamples.sums(cells, 4 * size).reshape(-1, size, 4)
    found = []
    for number, band in enumerate(dimension.bands):
        here = dimension.place == number
        if here.any():
            found.append(_slice(dimension.field, band, rows, _Here(here, counts[number], drawn[:, number]), resamples))
    return found


@dataclass(frozen=True)
class _Here:
    """A slice's rows, and their counts: negatives passed and flagged, positives passed and flagged."""

    rows: NDArray[np.bool_]
    counts: Floats
    drawn: Floats


def _slice(field: str, band: str, rows: Scored, here: _Here, resamples: Resamples) -> Slice:
    passed_negatives, flagged_negatives, passed, caught = here.counts
    some_positives = passed + caught >= FEWEST_OF_A_CLASS
    some_negatives = passed_negatives + flagged_negatives >= FEWEST_OF_A_CLASS
    count = int(here.counts.sum())
    return Slice(
        field=field,
        band=band,
        rows=count,
        positives=int(passed + caught),
        flagged=figures.rounded((flagged_negatives + caught) / count),
        pr_auc=_pr_auc(rows, here.rows, resamples) if some_positives else None,
        recall=_rate(here, 3, 2) if some_positives else None,
        false_positive_share=_rate(here, 1, 0) if some_negatives else None,
        calibration_gap=figures.rounded((rows.scores[here.rows] - rows.labels[here.rows]).mean()),
        cost_per_1000=figures.rounded(1000 * rows.costs[here.rows].mean()),
    )


def _rate(here: _Here, part: int, rest: int) -> Interval:
    whole = here.drawn[:, part] + here.drawn[:, rest]
    drawn = np.divide(here.drawn[:, part], whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return figures.interval(here.counts[part] / (here.counts[part] + here.counts[rest]), drawn)


def _pr_auc(rows: Scored, here: NDArray[np.bool_], resamples: Resamples) -> Interval:
    part = rows.take(here)
    ranking = part.ranking
    return figures.interval(ranking.counts().pr_auc(), ranking.resampled(resamples.only(here)).pr_auc())


def _with_missing(name: str, banded: Dimension, absent: NDArray[np.bool_]) -> Dimension:
    if not absent.any():
        return banded
    place = np.where(absent, len(banded.bands), banded.place)
    return Dimension(name, (*banded.bands, "missing"), place)


def _banded(field: FeatureField, values: NDArray[Any], absent: NDArray[np.bool_]) -> Dimension:
    """The bands of a field; the place of a missing value is not yet decided."""
    if field.kind == "category":
        place = np.full(len(values), _NOWHERE)
        for number, category in enumerate(field.categories):
            place[values == category] = number
        return Dimension(field.name, field.categories, place)
    numbers = values.astype(np.float64)
    edges = _edges(field, numbers[~absent])
    place = np.searchsorted(edges, numbers, side="right").astype(np.int64)
    return Dimension(field.name, _names(field, edges), place)


def _edges(field: FeatureField, known: Floats) -> Floats:
    """Where a number's second band and each after it begins; none where nothing is known."""
    if field.kind == "integer" and field.low is not None and field.high is not None:
        span = field.high - field.low + 1
        if span <= _FEW_VALUES:
            return np.arange(field.low + 1, field.high + 1)
        if span <= _BOUNDED:
            return np.ceil(field.low + span * np.arange(1, _BANDS) / _BANDS)
    if len(known) == 0:
        return np.empty(0)
    edges = np.unique([float(f"{edge:.2g}") for edge in np.quantile(known, _QUANTILES)])
    if field.kind == "integer":
        edges = np.unique(np.ceil(edges))
    within: Floats = edges[(edges > known.min()) & (edges <= known.max())]
    return within


def _names(field: FeatureField, edges: Floats) -> tuple[str, ...]:
    if len(edges) == 0:
        return ("any",)
    if field.kind == "integer":
        starts = [field.low or 0.0, *edges]
        ends = [*(edges - 1), field.high if field.high is not None and field.high < _BOUNDED else np.inf]
        return tuple(_integers(start, end) for start, end in zip(starts, ends, strict=True))
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return (f"below {edges[0]:g}", *inner, f"{edges[-1]:g} and more")


def _integers(start: float, end: float) -> str:
    if end == np.inf:
        return f"{start:g} and more"
    return f"{start:g}" if start == end else f"{start:g}-{end:g}"
