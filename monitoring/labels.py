"""Takes labels from a CSV or Parquet file into the store: all of them, or none.

Columns `event_id`, `label` (0 or 1) and, optionally, `known_at` (ISO 8601; UTC when it has no offset; the time of the
import when absent). A label that the store has already is a duplicate and is left out. A label that differs from the
one known before is a correction, which the newer `known_at` puts in force. Two different labels of one event with
the same `known_at` are a contradiction: nobody could say which counts, so the file is refused.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet

from .errors import InputError
from .migrations import Connection

LOCK: Final = 0x6C6162656C
"""Advisory lock of whoever imports labels ('label' in ASCII): two imports could contradict each other unseen."""

_LABELS: Final = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
_REQUIRED: Final = ("event_id", "label")


@dataclass(frozen=True)
class Label:
    """One row of a file. `known_at` is None where the file has none."""

    event_id: str
    label: int
    known_at: datetime | None


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    imported: int
    duplicates: int


def read(path: Path) -> Iterator[Label]:
    """The file's labels, in its order, one at a time. Raises InputError with the number of the row (from 1)."""
    rows = _parquet_rows(path) if path.suffix.lower() in {".parquet", ".pq"} else _csv_rows(path)
    number = 0
    for number, row in enumerate(rows, start=1):
        yield _label(row, f"{path}, row {number}")
    if number == 0:
        raise InputError(f"{path} has no rows")


def add(connection: Connection, labels: Iterator[Label], now: datetime) -> Imported:
    """Adds what the store does not have yet, in one transaction. Raises InputError and then adds nothing."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        total = _stage(connection, labels)
        _refuse_contradictions(connection, now)
        added = connection.execute(_ADD, {"now": now}).rowcount
    return Imported(imported=added, duplicates=total - added)


_ADD: Final = """
    with known as (
        select distinct on (event_id) event_id, label from labels
        where event_id in (select event_id from incoming where known_at is null) order by event_id, known_at desc
    )
    insert into labels (event_id, label, known_at)
    select distinct event_id, incoming.label, coalesce(known_at, %(now)s)
    from incoming left join known using (event_id)
    where incoming.known_at is not null or known.label is distinct from incoming.label
    on conflict do nothing
"""
_CONTRADICTIONS: Final = """
    select event_id, count(*) over () from (
        select event_id, label, coalesce(known_at, %(now)s) as known_at from incoming
        union all
        select event_id, label, known_at from labels where event_id in (select event_id from incoming)
    ) as together
    group by event_id, known_at having count(distinct label) > 1 order by event_id limit 3
"""


def _stage(connection: Connection, labels: Iterator[Label]) -> int:
    """Copies the labels into the temporary table `incoming`; their number."""
    connection.execute(
        "create temporary table incoming (event_id text, label smallint, known_at timestamptz) on commit drop"
    )
    total = 0
    with connection.cursor() as cursor, cursor.copy("copy incoming from stdin") as copy:
        for label in labels:
            copy.write_row((label.event_id, label.label, label.known_at))
            total += 1
    connection.execute("analyze incoming")
    return total


def _refuse_contradictions(connection: Connection, now: datetime) -> None:
    found = connection.execute(_CONTRADICTIONS, {"now": now}).fetchall()
    if found:
        names = ", ".join(event_id for event_id, _ in found)
        raise InputError(
            f"{found[0][1]} contradictions (two labels of one event known at the same time), as for {names}: "
            "nothing was imported; give the later label a later known_at"
        )


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _refuse_missing_columns(path, reader.fieldnames or ())
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as CSV: {error}") from error


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _refuse_missing_columns(path, file.schema_arrow.names)
            wanted = [name for name in (*_REQUIRED, "known_at") if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=wanted):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from error


def _refuse_missing_columns(path: Path, names: Any) -> None:
    if missing := [name for name in _REQUIRED if name not in names]:
        raise InputError(f"{path} lacks {' and '.join(missing)}; its columns are {', '.join(names) or 'none'}")


def _label(row: dict[str, Any], place: str) -> Label:
    event_id = str(row["event_id"] if row["event_id"] is not None else "").strip()
    if not event_id or "\0" in event_id:
        raise InputError(f"{place}: event_id is empty")
    label = _LABELS.get(str(row["label"]).strip().lower())
    if label is None:
        raise InputError(f"{place}: label is {row['label']!r}, not 0 or 1")
    return Label(event_id, label, _time(row.get("known_at"), place))


def _time(value: Any, place: str) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        known_at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise InputError(f"{place}: known_at is {value!r}, not a time as in 2026-03-02T10:00:00Z") from None
    return known_at if known_at.tzinfo else known_at.replace(tzinfo=UTC)
