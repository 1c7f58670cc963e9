"""Rows of a data set as events: each a mapping of its known features, as a client would send them."""

from collections.abc import Iterator
from typing import Any

from bentos.risk_scorer.events import FEATURES, FeatureField

from .datasets import Dataset


def known_features(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """One mapping a row; a missing feature is absent, an integer is an int again."""
    columns = [[_value(field, value) for value in dataset.frame[field.name].tolist()] for field in FEATURES]
    names = [field.name for field in FEATURES]
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _value(field: FeatureField, value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return None
    return int(value) if field.kind == "integer" else value
