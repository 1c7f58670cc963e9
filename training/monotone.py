"""Fields along which the score may only rise, or only fall, as constraints on the model's columns.

A column that is computed from a field (amount x velocity) must be bound too, or the score could still fall through it.
Which way a column goes when a field rises is found by trying it on rows over the fields' whole ranges: so
`features.py` needs no second description of itself.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer import features
from bentos.risk_scorer.events import FEATURES, FeatureField

from .errors import DataError

RISE: Final = 1
FALL: Final = -1

Directions = tuple[tuple[str, int], ...]
"""Fields with +1 (a higher value is never a lower score) or -1, sorted by name."""

_PROBES: Final = 256
_FIELDS: Final = {field.name: field for field in FEATURES}


def parse(text: str) -> Directions:
    """The directions in a text such as `amount=+1,account_age_days=-1`. Raises DataError."""
    given: dict[str, int] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, sign = (each.strip() for each in part.partition("="))
        if sign not in {"+1", "1", "-1"} or name in given:
            raise DataError(f"{part!r} is no direction: write each field once, as in amount=+1,account_age_days=-1")
        _refuse_unordered(name)
        given[name] = int(sign)
    return tuple(sorted(given.items()))


def column_constraints(directions: Directions) -> tuple[int, ...]:
    """+1, -1 or 0 for each column of the matrix.

    Raises DataError when a computed column depends on constrained fields in a way that no one sign can keep.
    """
    signs: dict[str, int] = {}
    for name, direction in directions:
        for column, slope in zip(features.COLUMNS, _slopes(name), strict=True):
            wanted = None if slope is None else slope * direction
            if wanted == 0:
                continue
            if wanted is None or signs.setdefault(column, wanted) != wanted:
                raise DataError(
                    f"the score can't be made monotone in {name}: the column {column} follows it both ways, or is "
                    "bound the other way by another field; leave one of the two free"
                )
    return tuple(signs.get(column, 0) for column in features.COLUMNS)


def _slopes(name: str) -> list[int | None]:
    """How each column answers to a rise of the field: +1, -1, 0 (not at all), None (both ways)."""
    low, high = (_columns_with(name, share) for share in (0.25, 0.75))
    return [_sign(np.nan_to_num(after - before)) for before, after in zip(low.T, high.T, strict=True)]


def _sign(change: NDArray[np.float64]) -> int | None:
    if (change >= 0).all():
        return 1 if (change > 0).any() else 0
    return -1 if (change <= 0).all() else None


def _columns_with(name: str, share: float) -> NDArray[np.float64]:
    """The matrix of rows over all ranges in which the field stands at that share of its own; categories are missing."""
    rng = np.random.default_rng(0)  # the same rows for each share
    drawn: Mapping[str, NDArray[np.float64]] = {each.name: _within(each, rng.random(_PROBES)) for each in FEATURES}
    fixed = _within(_FIELDS[name], np.full(_PROBES, share))
    numbers = {key: values for key, values in drawn.items() if _FIELDS[key].kind != "category"}
    return features.matrix({**numbers, name: fixed})


def _within(field: FeatureField, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at shares of the field's range, spread over its orders of magnitude."""
    low = 0.0 if field.low is None else field.low
    high = low + 1e6 if field.high is None else field.high
    return low + (high - low) * share**8


def _refuse_unordered(name: str) -> None:
    field = _FIELDS.get(name)
    if field is None or field.kind == "category":
        numbers = ", ".join(each.name for each in FEATURES if each.kind != "category")
        raise DataError(f"{name!r} is no number of the event; those are {numbers}")
