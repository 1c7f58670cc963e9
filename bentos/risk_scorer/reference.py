"""The reference: what the training data looked like, day by day, frozen into bins when the model was made.

Drift compares live days with it. Numbers are binned at the deciles of the reference (its own values where a number
has few of them), categories by value; missing values are counted apart.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .events import FeatureField
from .features import missing

BINS = 10
SCORE: Final = "score"
DECISION: Final = "decision"
"""Beside the event's fields, a reference has the model's answers under these names."""


class ReferenceField(BaseModel):
    """Bins of one field (or of the score) and their counts on each reference day.

    A number x is in bin `i` when `edges[i-1] <= x < edges[i]`: k edges make k + 1 bins. A category is in the bin of its
    name; one that is not in `categories` is unseen. `daily[d][i]` counts bin i on day d, `missing[d]` the missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    daily: tuple[tuple[int, ...], ...]
    missing: tuple[int, ...]

    @property
    def bins(self) -> int:
        return len(self.edges) + 1 if self.kind == "number" else len(self.categories)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(after <= before for before, after in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("bin edges must increase strictly")
        if any(len(day) != self.bins for day in self.daily) or len(self.missing) != len(self.daily):
            raise ValueError(f"each day needs {self.bins} counts and one count of missing values")
        return self


class Reference(BaseModel):
    """The reference of a model: its days (UTC dates), its watched fields, and its answers as fields of their own.

    The score is the field `score`, what followed from it `decision`; both count 0 on a day that the model learned from.
    `days` is empty when the training data had no time: then there is one pooled 'day' and no daily noise to learn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    days: tuple[str, ...]
    fields: dict[str, ReferenceField]


def number_edges(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Inner bin edges of a number: its deciles, or a bin for each value when it has at most `BINS` of them."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return ()
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        return tuple(float(edge) for edge in distinct[1:])
    deciles = np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return tuple(float(edge) for edge in np.unique(deciles) if edge > distinct[0])


def number_counts(values: NDArray[np.float64], edges: Sequence[float]) -> tuple[tuple[int, ...], int]:
    """Counts per bin of the values that are known, and how many are missing."""
    unknown = np.isnan(values)
    bins = np.searchsorted(np.asarray(edges), values[~unknown], side="right")
    return tuple(int(count) for count in np.bincount(bins, minlength=len(edges) + 1)), int(unknown.sum())


def category_counts(values: Sequence[Any] | NDArray[Any], categories: Sequence[str]) -> tuple[tuple[int, ...], int]:
    """Counts per category, and how many values are missing (None or NaN). Unseen ones are in neither."""
    array = np.asarray(values, dtype=object)
    return tuple(int((array == category).sum()) for category in categories), int(missing(array).sum())


def is_number(field: FeatureField) -> bool:
    """Whether a feature is binned by edges rather than by name."""
    return field.kind != "category"
