"""Columns of anyone's file to the columns of a data set, with every cell that can't be used named.

A function here takes one column (a pyarrow ChunkedArray: strings from a CSV, anything from Parquet), returns it in
its normal form and adds what is wrong to `Problems`. Types, ranges and categories come from `events.FEATURES`.
"""

import hashlib
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bentos.risk_scorer.events import PSEUDONYM_PATTERN, FeatureField, Pseudonym

from .errors import DataError

MISSING: Final = ("", "na", "n/a", "nan", "null", "none")
"""Cells that mean 'not known', in any case."""

EXAMPLES: Final = 5
"""How many cells that can't be used a message shows."""

_OFFSET: Final = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
_PSEUDONYM: Final = re.compile(PSEUDONYM_PATTERN)
_PSEUDONYM_LENGTH: Final[int] = typing.get_args(Pseudonym)[1].max_length


@dataclass(frozen=True)
class Origin:
    """Where a mapped column comes from: the file's name for it, and the file's own cells."""

    name: str
    cells: Any


@dataclass
class Problems:
    """The cells that can't be used: how many, and the first few as 'row 7, column hour: 25 is above 23'.

    `origins` has the columns that were mapped: of these it is the file's own name and cell that are shown.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def add(self, column: str, bad: NDArray[np.bool_], cells: Any, why: str | Callable[[Any], str]) -> None:
        """Note the rows where `bad` holds. `cells` is indexed by row and says what the column holds."""
        rows = np.flatnonzero(bad)
        self.count += len(rows)
        for row in rows[: EXAMPLES - len(self.examples)].tolist():
            cell = _plain(cells[row])
            reason = why if isinstance(why, str) else why(cell)
            self.examples.append(f"row {row + 1}, column {self._located(column, row, cell)} {reason}")

    def _located(self, column: str, row: int, cell: Any) -> str:
        origin = self.origins.get(column)
        if origin is None:
            return f"{column}: {_shown(cell)}"
        held = _plain(origin.cells[row])
        same = cell is None or str(held).strip() == str(cell)
        read = "" if same else f", read as {_shown(cell)},"
        return f"{origin.name} (for {column}): {_shown(held)}{read}"

    def raise_if_any(self, source: str) -> None:
        """Raise DataError when a cell was noted."""
        if self.count == 0:
            return
        cells = "1 value can't be used" if self.count == 1 else f"{self.count} values can't be used"
        more = [f"and {self.count - len(self.examples)} more"] if self.count > len(self.examples) else []
        raise DataError(
            "\n  ".join([f"{source}: {cells} (rows are counted from 1, after the header):", *self.examples, *more])
            + "\nCorrect or remove these rows (a feature that is not known is an empty cell), or say in a column map "
            "what they mean (--columns)."
        )


def feature(name: FeatureField, column: Any, problems: Problems) -> NDArray[Any]:
    """A feature's values: float64 with NaN, or for a category an object array of strings with None."""
    if name.kind == "category":
        return _categories(name, column, problems)
    values, unparsed = numbers(column)
    problems.add(name.name, unparsed, column, "is not a number")
    if name.low is not None:
        problems.add(name.name, values < name.low, column, f"is below {name.low:.10g}")
    if name.high is not None:
        problems.add(name.name, values > name.high, column, f"is above {name.high:.10g}")
    if name.kind == "integer":
        whole = np.isnan(values) | np.isinf(values) | (np.floor(values) == values)
        problems.add(name.name, ~whole, column, "is not a whole number")
    return values


def labels(column: Any, problems: Problems) -> NDArray[np.int8]:
    """The labels as 0 and 1."""
    values, unparsed = numbers(column)
    unknown = np.isnan(values) & ~unparsed
    problems.add("label", unknown, column, "is missing, and every row needs its label")
    problems.add("label", ~unknown & (values != 0) & (values != 1), column, "is neither 0 nor 1")
    return np.nan_to_num(values, nan=0, posinf=0, neginf=0).astype(np.int8)


def flags(name: str, column: Any, problems: Problems) -> NDArray[np.float64]:
    """0, 1, or NaN where it is not known."""
    values, unparsed = numbers(column)
    neither = unparsed | (~np.isnan(values) & (values != 0) & (values != 1))
    problems.add(name, neither, column, "is neither 0 nor 1")
    return values


def times(name: str, column: Any, problems: Problems) -> tuple[NDArray[np.datetime64], bool]:
    """Times as datetime64[us] in UTC, NaT where missing, and whether some had no offset (they are taken as UTC)."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return as_utc(column.to_pandas()), not (pa.types.is_timestamp(kind) and kind.tz)
    cells = text(column)
    parsed = as_utc(cells.to_pandas())
    problems.add(name, np.isnat(parsed) & valid(cells), column, "is not a time such as 2026-01-31T09:30:00Z")
    return parsed, not pc.all(has_offset(cells), min_count=0).as_py()


def identifiers(column: Any) -> NDArray[Any]:
    """Identifiers as strings, None where missing. Numbers lose the '.0' that a missing value gave them."""
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(pc.floor(column), column).fill_null(True), min_count=0).as_py()
        column = pc.cast(column, pa.int64()) if whole else column
    values: NDArray[Any] = text(column).to_numpy(zero_copy_only=False)
    return values


def pseudonyms(names: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The names with each one that an event could not carry replaced by `h-` and 16 digits of its SHA-256.

    The same name always gets the same pseudonym. Also returns how many different names were replaced.
    """
    codes, distinct = pd.factorize(names)
    fits = [len(name) <= _PSEUDONYM_LENGTH and _PSEUDONYM.fullmatch(name) is not None for name in distinct]
    replaced = [name if fit else _hashed(name) for name, fit in zip(distinct, fits, strict=True)]
    return np.array([*replaced, None], dtype=object)[codes], fits.count(False)


def missing(rows: int, name: FeatureField) -> NDArray[Any]:
    """The values of a feature that the file does not have."""
    return np.full(rows, None, dtype=object) if name.kind == "category" else np.full(rows, np.nan)


def _hashed(name: str) -> str:
    return f"h-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _categories(name: FeatureField, column: Any, problems: Problems) -> NDArray[Any]:
    cells = text(column)
    unknown = pc.and_(pc.is_valid(cells), pc.invert(pc.is_in(cells, value_set=pa.array(name.categories))))
    problems.add(
        name.name,
        unknown.to_numpy(zero_copy_only=False),
        column,
        f"is unknown; known are {', '.join(name.categories)}",
    )
    values: NDArray[Any] = cells.to_numpy(zero_copy_only=False)
    return values


def text(column: Any) -> Any:
    """The column as strings without surrounding space, null where missing."""
    cells = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    absent = pc.is_in(pc.utf8_lower(cells), value_set=pa.array(MISSING))
    return pc.if_else(absent, pa.scalar(None, pa.string()), cells)


def valid(column: Any) -> NDArray[np.bool_]:
    """Which cells are not null."""
    known: NDArray[np.bool_] = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return known


def has_offset(cells: Any) -> Any:
    """Which cells of text end in an offset from UTC, as a time should; null counts as one that does."""
    return pc.match_substring_regex(cells, _OFFSET).fill_null(True)


def numbers(column: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values as float64 with NaN where missing, and which cells hold something that is no number (NaN too)."""
    if not is_text(column):
        return _as_floats(pc.cast(column, pa.float64(), safe=False)), np.zeros(len(column), dtype=bool)
    cells = text(column)
    try:
        return _as_floats(pc.cast(cells, pa.float64())), np.zeros(len(column), dtype=bool)
    except pa.ArrowInvalid:
        parsed = [_parsed(cell) for cell in cells.to_pylist()]
    values = np.array([np.nan if value is None else value for value in parsed], dtype=np.float64)
    return values, np.isnan(values) & valid(cells)


def is_text(column: Any) -> bool:
    """Whether a column holds strings (or nothing at all)."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _as_floats(column: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _parsed(cell: str | None) -> float | None:
    try:
        return None if cell is None else pc.cast(pa.scalar(cell), pa.float64()).as_py()
    except pa.ArrowInvalid:
        return None


def as_utc(values: Any) -> NDArray[np.datetime64]:
    """ISO 8601 texts or times as datetime64[us] in UTC (also where there is no offset); NaT for anything else."""
    parsed = pd.to_datetime(pd.Series(values), utc=True, format="ISO8601", errors="coerce")
    naive: NDArray[np.datetime64] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return naive


def _plain(cell: Any) -> Any:
    return cell.as_py() if isinstance(cell, pa.Scalar) else cell


def _shown(cell: Any) -> str:
    return "the value" if cell is None else repr(cell)


def listed(names: Sequence[str]) -> str:
    """Names for a sentence: 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
