"""Events to the model's matrix: the same arithmetic for one event and for a million.

Every derived column is written once, in `derived`, with operations that IEEE 754 rounds exactly (+ - * /). So a
Python float and a NumPy array give the same bits, which no logarithm or exponential would promise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from .events import FEATURES, Event

NAN: Final = float("nan")

Number = TypeVar("Number", float, NDArray[np.float64])

_CODES: Final = {
    field.name: {category: float(code) for code, category in enumerate(field.categories)}
    for field in FEATURES
    if field.kind == "category"
}
_NAMES: Final = tuple(field.name for field in FEATURES)
DERIVED: Final = {"amount_x_velocity": ("amount", "velocity_5m")}
"""The columns that are no field themselves, in order, each with the fields that it is made of."""

COLUMNS: Final = (*_NAMES, *DERIVED)
"""Names of the matrix's columns, in order."""

CATEGORICAL: Final = tuple(_CODES)
"""The columns whose values are codes of categories: their place in the field's `Literal`."""


def derived(field: Mapping[str, Number]) -> list[Number]:
    """The columns of `DERIVED`, in its order. A missing input stays missing."""
    return [field["amount"] * field["velocity_5m"]]


def row(event: Event) -> list[float]:
    """One event as a row of the matrix: `len(COLUMNS)` floats, NaN where a value is not known."""
    given, values = event.__dict__, {}
    for name in _NAMES:
        value = given[name]
        if value is None:
            values[name] = NAN
        else:
            codes = _CODES.get(name)
            values[name] = float(value) if codes is None else codes[value]
    return [*values.values(), *derived(values)]


def matrix(columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
    """Many events as a matrix of shape (n, len(COLUMNS)), float64, C order.

    `columns` maps a feature's name to its n values: numbers with NaN (or None) where missing, categories as their
    strings. A feature that is absent from `columns` is missing in every row.

    Raises ValueError for a category that the event does not know, or when `columns` holds none of the features.
    """
    present = {name: np.asarray(columns[name]) for name in _NAMES if name in columns}
    if not present:
        raise ValueError(f"none of the features is there: expected some of {', '.join(_NAMES)}")
    length = len(next(iter(present.values())))
    values = {name: _as_float(name, present[name]) if name in present else np.full(length, np.nan) for name in _NAMES}
    out = np.empty((length, len(COLUMNS)))
    for position, column in enumerate((*values.values(), *derived(values))):
        out[:, position] = column
    return out


def _as_float(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    codes = _CODES.get(name)
    if codes is None:
        return values.astype(np.float64)
    out = np.full(len(values), np.nan)
    unknown = ~missing(values)
    for category, code in codes.items():
        chosen = values == category
        out[chosen] = code
        unknown &= ~chosen
    if unknown.any():
        raise ValueError(f"{name}: unknown category {values[unknown][0]!r}; known are {', '.join(codes)}")
    return out


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where an array of numbers or strings holds None or NaN."""
    differs = values != values  # noqa: PLR0124 - NaN is the one value that differs from itself
    return np.asarray(differs | (values == None), dtype=bool)  # noqa: E711 - compared element by element
