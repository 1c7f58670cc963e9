"""A raw table to the data set's normal form: every column checked, every cell that can't be used named."""

from datetime import UTC
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES

from . import columns, mapped_columns, near_names
from .column_map import ColumnMap
from .errors import DataError, NotEnoughDataError

COLUMNS: Final = (
    *("event_id", "entity_id", "occurred_at"),
    *(field.name for field in FEATURES),
    *("label", "label_known_at", "reviewed"),
)
"""Names of the normal form's columns; a file may have any of them."""

_REQUIRED: Final = (*(field.name for field in FEATURES if field.required), "label")
_Notes = list[str]


def normalised(table: Any, source: str, mapping: ColumnMap | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A raw table in normal form, and notes on what a person should know of how it was read.

    Raises DataError when a required column is absent or a cell can't be used, NotEnoughDataError without rows.
    """
    problems, map_notes = columns.Problems(), list[str]()
    if mapping is not None:
        table, map_notes = mapped_columns.mapped(table, mapping, source, problems)
        problems.raise_if_any(source)
    _require_columns(table, source)
    events, event_notes = _event_ids(table, source)
    entities, entity_notes = _entity_ids(table)
    occurred_at, time_notes = _times(table, source, problems)
    values: dict[str, Any] = {"event_id": events, "entity_id": entities, "occurred_at": occurred_at}
    for field in FEATURES:
        present = field.name in table.column_names
        values[field.name] = (
            columns.feature(field, table[field.name], problems) if present else columns.missing(len(table), field)
        )
    values |= _label_columns(table, occurred_at, problems)
    problems.raise_if_any(source)
    time_notes += _label_notes(values)
    notes = (*map_notes, *_column_notes(table), *event_notes, *entity_notes, *time_notes, *_missing_notes(values))
    return _frame(values), notes


def _frame(values: dict[str, Any]) -> pd.DataFrame:
    strings = {name: pd.Series(values[name], dtype=object) for name in values if values[name].dtype == object}
    time = {name: pd.DatetimeIndex(values[name]).tz_localize(UTC) for name in ("occurred_at", "label_known_at")}
    return pd.DataFrame({**values, **strings, **time})


def _require_columns(table: Any, source: str) -> None:
    absent = [name for name in _REQUIRED if name not in table.column_names]
    if absent:
        near = [near_names.hint(name, [each for each in table.column_names if each not in COLUMNS]) for name in absent]
        raise DataError(
            f"{source}: required and absent: "
            f"{columns.listed([name + hint for name, hint in zip(absent, near, strict=True)])}; "
            f"the file has {', '.join(table.column_names)} (names are lower case). "
            'A column map (--columns) says which column is which; `name = { constant = "" }` there is one not known'
        )
    if len(table) == 0:
        raise NotEnoughDataError(f"{source}: there are columns but no rows")


def _event_ids(table: Any, source: str) -> tuple[NDArray[Any], _Notes]:
    """An identifier a row, unique; made up where the file has none."""
    given = _identifiers(table, "event_id")
    absent = np.array([name is None for name in given])
    _refuse_repeated(given[~absent], source)
    named, replaced = columns.pseudonyms(given)
    numbers = np.flatnonzero(absent) + 1
    named[absent] = [f"row-{number}" for number in numbers.tolist()]
    _refuse_repeated(named, source)
    notes = [f"{len(numbers)} rows had no event_id; theirs were made up."] if len(numbers) else []
    return named, notes + _replacement_note("event", replaced)


def _entity_ids(table: Any) -> tuple[NDArray[Any], _Notes]:
    given = _identifiers(table, "entity_id")
    named, replaced = columns.pseudonyms(given)
    absent = sum(1 for name in named if name is None)
    notes = [f"{absent} rows had no entity_id; each counts as an entity of its own."] if absent else []
    return named, notes + _replacement_note("entity", replaced)


def _identifiers(table: Any, name: str) -> NDArray[Any]:
    if name not in table.column_names:
        return np.full(len(table), None, dtype=object)
    return columns.identifiers(table[name])


def _refuse_repeated(names: NDArray[Any], source: str) -> None:
    repeated = pd.Series(names, dtype=object)
    repeated = repeated[repeated.duplicated()]
    if len(repeated):
        raise DataError(
            f"{source}: {len(repeated)} rows repeat an event_id, the first is {repeated.iloc[0]!r}; "
            "an event stands in the data once: remove the repeated rows, or drop the column"
        )


def _times(table: Any, source: str, problems: columns.Problems) -> tuple[NDArray[np.datetime64], _Notes]:
    if "occurred_at" in table.column_names:
        column = table["occurred_at"]
        before = problems.count
        times, naive = columns.times("occurred_at", column, problems)
        absent = int(np.isnat(times).sum()) - (problems.count - before)
        if 0 < absent < len(table):
            raise DataError(
                f"{source}: {absent} of {len(table)} rows have no occurred_at; give each its time, or drop the column"
            )
        if absent == 0:
            return times, ["Some occurred_at had no offset; they were taken as UTC."] if naive else []
    nowhere = np.full(len(table), np.datetime64("NaT"), dtype="datetime64[us]")
    return nowhere, ["There was no occurred_at: rows are split at random, and change over time can't be seen."]


def _label_columns(table: Any, occurred_at: NDArray[np.datetime64], problems: columns.Problems) -> dict[str, Any]:
    """The label, when it was known, and whether a person looked."""
    known_at, reviewed = np.full(len(table), np.datetime64("NaT"), dtype="datetime64[us]"), np.full(len(table), np.nan)
    if "label_known_at" in table.column_names:
        known_at, _ = columns.times("label_known_at", table["label_known_at"], problems)
        early = known_at < occurred_at
        problems.add("label_known_at", early, table["label_known_at"], "is before the event's occurred_at")
    if "reviewed" in table.column_names:
        reviewed = columns.flags("reviewed", table["reviewed"], problems)
    return {
        "label": columns.labels(table["label"], problems),
        "label_known_at": known_at,
        "reviewed": reviewed,
    }


def _label_notes(values: dict[str, Any]) -> _Notes:
    late = (values["label_known_at"] - values["occurred_at"]) / np.timedelta64(1, "D")
    late = late[~np.isnan(late)]
    notes = []
    if len(late):
        median, longest = np.median(late), late.max()
        notes.append(
            f"Labels were known {median:.1f} days after the event (median), the last after {longest:.0f} days."
        )
    reviewed = values["reviewed"]
    if not np.isnan(reviewed).all():
        notes.append(f"A person reviewed {np.nanmean(reviewed):.1%} of the events whose review is on record.")
    return notes


def _column_notes(table: Any) -> _Notes:
    ignored = [name for name in table.column_names if name not in COLUMNS]
    absent = [field.name for field in FEATURES if field.name not in table.column_names]
    return [
        *([f"Columns that Vigil does not know were ignored: {columns.listed(ignored)}."] if ignored else []),
        *([f"Columns that were absent count as missing in every row: {columns.listed(absent)}."] if absent else []),
    ]


def _missing_notes(values: dict[str, Any]) -> _Notes:
    shares = {field.name: float(pd.isna(values[field.name]).mean()) for field in FEATURES}
    some = [f"{name} {share:.1%}" for name, share in shares.items() if 0 < share < 1]
    return [f"Values that are missing: {columns.listed(some)}."] if some else []


def _replacement_note(what: str, count: int) -> _Notes:
    if count == 0:
        return []
    return [f"{count} {what} ids were no pseudonyms that an event may carry; each became h- and a part of its SHA-256."]
