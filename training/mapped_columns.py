"""A raw table and a column map to a table with Vigil's names, whose cells the normal form can read."""

from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import columns, near_names, velocity
from .column_map import KINDS, Cell, ColumnMap, FileRules, Rule
from .columns import Origin, Problems
from .errors import DataError

_MICROSECONDS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0}
_EARLIEST, _LATEST = np.datetime64("1900-01-01", "us"), np.datetime64("2200-01-01", "us")
"""A number of seconds beyond these is one of another unit, or from another moment 0."""

_NEEDS: Final = {"hour": ("occurred_at",), "velocity": ("entity_id", "occurred_at")}


def mapped(table: Any, rules: ColumnMap, source: str, problems: Problems) -> tuple[Any, list[str]]:
    """The table with the map's columns in place, and notes. Cells that can't be read are added to `problems`.

    Raises DataError when a column that the map names is absent.
    """
    _require_sources(table, rules, source)
    taken = {rule.source for rule in rules.columns.values()}
    kept = [name for name in table.column_names if name not in rules.columns and (name in KINDS or name not in taken)]
    out = {name: table[name] for name in kept}
    problems.origins = {
        name: Origin(rule.source, table[rule.source]) for name, rule in rules.columns.items() if rule.source
    }
    for name, rule in rules.columns.items():
        if rule.source is not None:
            out[name] = _read(name, table[rule.source], rule, rules.file, problems)
        elif rule.constant is not None:
            out[name] = pa.chunked_array([pa.repeat(pa.scalar(str(rule.constant)), len(table))])
    for name, rule in rules.columns.items():
        if rule.derive is not None:
            out[name] = _derived(name, rule, out, source)
    return pa.table(out), _notes(rules)


def _require_sources(table: Any, rules: ColumnMap, source: str) -> None:
    absent = [
        f"columns.{name}: {source} has no column {rule.source!r}{near_names.hint(rule.source, table.column_names)}"
        for name, rule in rules.columns.items()
        if rule.source is not None and rule.source not in table.column_names
    ]
    if absent:
        raise DataError(
            "\n  ".join(["the column map does not fit the file:", *absent])
            + f"\nThe file has {', '.join(table.column_names)}."
        )


def _read(name: str, column: Any, rule: Rule, file: FileRules, problems: Problems) -> Any:
    """One column of the file as the rule says; a cell that can't be read is null, and a problem."""
    column = _without_missing(column, file.missing if rule.missing is None else rule.missing)
    if rule.meanings is not None:
        return _translated(name, column, rule.meanings, rule.otherwise, problems)
    if KINDS[name] == "number":
        return _number(name, column, rule, file, problems)
    if KINDS[name] == "time":
        return _time(name, column, rule, problems)
    return column


def _without_missing(column: Any, markers: list[Cell]) -> Any:
    if not markers:
        return column
    absent = pc.is_in(columns.text(column), value_set=pa.array([str(marker) for marker in markers]))
    return pc.if_else(absent, pa.scalar(None, column.type), column)


def _translated(name: str, column: Any, values: dict[str, Cell], otherwise: Cell | None, problems: Problems) -> Any:
    """The cells' meanings, as strings."""
    cells = columns.text(column)
    place = pc.index_in(cells, value_set=pa.array(list(values)))
    meaning = pc.take(pa.array([str(value) for value in values.values()], pa.string()), place)
    unknown = pc.and_(pc.is_valid(cells), pc.is_null(place))
    if otherwise is not None:
        return pc.if_else(unknown, pa.scalar(str(otherwise)), meaning)
    why = f"is not in the map's values, which are {', '.join(values)}: add it there, or set otherwise"
    problems.add(name, unknown.to_numpy(zero_copy_only=False), cells, why)
    return meaning


def _number(name: str, column: Any, rule: Rule, file: FileRules, problems: Problems) -> Any:
    decimal = file.decimal if rule.decimal is None else rule.decimal
    thousands = file.thousands if rule.thousands is None else rule.thousands
    if columns.is_text(column) and (decimal, thousands) != (".", ""):
        column = _plain_numbers(name, column, decimal, thousands, problems)
    if rule.factor is None:
        return column
    values, unparsed = columns.numbers(column)
    problems.add(name, unparsed, column, "is not a number")
    return _floats(values * rule.factor)


def _plain_numbers(name: str, column: Any, decimal: str, thousands: str, problems: Problems) -> Any:
    """Numbers as a computer writes them. 12.5 where the point groups thousands is a problem, never 125."""
    if decimal == thousands:
        raise DataError(f"columns.{name}: decimal and thousands are both {decimal!r}; one of them is another sign")
    cells = columns.text(column)
    mark, group = ("\\" + sign if sign else "" for sign in (decimal, thousands))
    whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if thousands else r"\d+"
    number = rf"^[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$"
    fits = pc.match_substring_regex(cells, number).fill_null(True)
    example = f"1{thousands}234{decimal}5"
    problems.add(name, ~fits.to_numpy(zero_copy_only=False), cells, f"is not a number such as {example}")
    if thousands:
        cells = pc.replace_substring(cells, thousands, "")
    cells = pc.replace_substring(cells, decimal, ".")
    return pc.if_else(fits, cells, pa.scalar(None, pa.string()))


def _time(name: str, column: Any, rule: Rule, problems: Problems) -> Any:
    if rule.unit is not None:
        return _counted_time(name, column, rule, problems)
    if rule.format is None and rule.zone is None:
        return column
    if not columns.is_text(column):
        times, naive = columns.times(name, column, problems)
        return _times(_in_zone(times, np.full(len(times), naive), rule.zone))
    cells = columns.text(column)
    if rule.format is None:
        parsed, offset = columns.as_utc(cells.to_pandas()), columns.has_offset(cells).to_numpy(zero_copy_only=False)
        example = "2026-01-31T09:30:00"
    else:
        parsed = _as_written(cells, rule.format)
        offset = np.full(len(cells), "%z" in rule.format)
        example = datetime(2026, 1, 31, 9, 30, tzinfo=UTC).strftime(rule.format)
    problems.add(name, np.isnat(parsed) & columns.valid(cells), cells, f"is not a time such as {example}")
    return _times(_in_zone(parsed, ~offset, rule.zone))


def _as_written(cells: Any, form: str) -> NDArray[np.datetime64]:
    parsed = pd.to_datetime(cells.to_pandas(), format=form, errors="coerce", utc=True)
    naive: NDArray[np.datetime64] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return naive


def _in_zone(times: NDArray[np.datetime64], local: NDArray[np.bool_], zone: str | None) -> NDArray[np.datetime64]:
    """Times whose `local` ones are a zone's wall clock, as UTC.

    When clocks go back, an hour is there twice and is taken as the first one; a time in the hour that is skipped when
    they go forward becomes the first moment after it.
    """
    if zone is None:
        return times
    wall = pd.DatetimeIndex(times)
    first = np.ones(len(times), dtype=bool)
    there = wall.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").tz_convert(UTC).tz_localize(None)
    return np.where(local, there.to_numpy().astype("datetime64[us]"), times)


def _counted_time(name: str, column: Any, rule: Rule, problems: Problems) -> Any:
    """Seconds (or another unit) since a moment, as times."""
    values, unparsed = columns.numbers(column)
    problems.add(name, unparsed, column, f"is not a number, and unit = {rule.unit!r} says that it is one")
    since = np.datetime64((rule.since or datetime.fromtimestamp(0, UTC)).astimezone(UTC).replace(tzinfo=None), "us")
    after = values * _MICROSECONDS[str(rule.unit)]
    low, high = ((edge - since).astype(np.int64).astype(float) for edge in (_EARLIEST, _LATEST))
    outside = (after < low) | (after > high)
    problems.add(name, outside, column, "would be a time before 1900 or after 2200: is the unit another one?")
    usable = ~np.isnan(after) & ~outside
    times = np.full(len(values), np.datetime64("NaT"), dtype="datetime64[us]")
    times[usable] = since + np.round(after[usable]).astype(np.int64).astype("timedelta64[us]")
    return _times(times)


def _derived(name: str, rule: Rule, out: dict[str, Any], source: str) -> Any:
    """A column made from others that are there by now."""
    kind = str(rule.derive)
    absent = [each for each in _NEEDS[kind] if each not in out]
    if absent:
        raise DataError(
            f"columns.{name}: derive = {kind!r} needs {columns.listed(absent)}, which neither {source} nor the column "
            f'map has; map it, or write {name} = {{ constant = "" }} for not known'
        )
    times, _ = columns.times("occurred_at", out["occurred_at"], Problems())  # what is wrong there is said later
    known = ~np.isnat(times)
    values = np.full(len(times), np.nan)
    if kind == "hour":
        local = pd.DatetimeIndex(times[known]).tz_localize(UTC).tz_convert(ZoneInfo(rule.zone or "UTC"))
        values[known] = local.hour
        return _floats(values)
    entities = pd.factorize(columns.identifiers(out["entity_id"]))[0].astype(np.int64)
    known &= entities >= 0
    values[known] = velocity.counts(entities[known], times[known])
    return _floats(values)


def _notes(rules: ColumnMap) -> list[str]:
    named = [f"{name} from {rule.source}" for name, rule in rules.columns.items() if rule.source is not None]
    notes = [f"Columns were mapped: {columns.listed(named)}."] if named else []
    if any(rule.derive == "velocity" for rule in rules.columns.values()):
        notes.append("velocity_5m was counted from the file: where the file is a sample, it is too low.")
    return notes


def _floats(values: NDArray[np.float64]) -> Any:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def _times(values: NDArray[np.datetime64]) -> Any:
    return pa.chunked_array([pa.array(values, type=pa.timestamp("us", tz="UTC"))])
