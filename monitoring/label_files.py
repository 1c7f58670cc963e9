"""Reads labels from a CSV or Parquet file, row by row, and says of every cell that can't be used where it is.

Columns `event_id`, `label` (0 or 1) and, optionally, `known_at` (ISO 8601; UTC when it has no offset; empty or absent:
the time of the import). Other columns are ignored.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet

from .errors import InputError

SHOWN: Final = 20
"""Problems that are told one by one; the rest are counted."""

LONGEST: Final = 64
"""Characters of an event's name, as the scorer takes it."""

_LABELS: Final[dict[Any, int]] = {
    "0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1, 0: 0, 1: 1,
}  # fmt: skip
"""Also True and 1.0, which are equal to 1."""
_REQUIRED: Final = ("event_id", "label")
_Row = tuple[str, Any, Any, Any]
"""Place, event_id, label, known_at."""


class Label(NamedTuple):
    """One row of a file. `known_at` is None where the file has none."""

    event_id: str
    label: int
    known_at: datetime | None


class _BadCellError(Exception):
    """What is wrong with a cell."""


@dataclass
class _Problems:
    """The first of them in words, and how many there are."""

    shown: list[str]
    count: int = 0

    def add(self, problem: str) -> None:
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append(problem)


def read(path: Path, latest: datetime | None = None) -> Iterator[Label]:
    """The file's labels, in its order, one at a time; nothing can be known after `latest`.

    Raises InputError at once for a file without rows of cells, and at the end with the line of each bad cell (in a
    Parquet file: its row).
    """
    rows = _parquet_rows(path) if path.suffix.lower() in {".parquet", ".pq"} else _csv_rows(path)
    problems, empty = _Problems([]), True
    for place, event_id, label, known_at in rows:
        empty = False
        try:
            yield Label(_event_id(event_id), _label(label), _time(known_at, latest))
        except _BadCellError as problem:
            problems.add(f"{path}, {place}: {problem}")
    if problems.count:
        more = f"\n... and {problems.count - SHOWN:,} more" if problems.count > SHOWN else ""
        raise InputError("\n".join(problems.shown) + more)
    if empty:
        raise InputError(f"{path} has no rows")


def _csv_rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            event_id, label, known_at = _places(path, names)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, but the header has {len(names)}"
                    )
                at = None if known_at is None else cells[known_at]
                yield f"line {reader.line_num}", cells[event_id], cells[label], at
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as CSV: {error}") from error


def _parquet_rows(path: Path) -> Iterator[_Row]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            wanted = [*_REQUIRED, "known_at"] if _places(path, file.schema_arrow.names)[2] is not None else [*_REQUIRED]
            before = 0
            for batch in file.iter_batches(batch_size=10_000, columns=wanted):
                columns = [batch.column(name).to_pylist() for name in wanted]
                for number, (event_id, label, *known_at) in enumerate(zip(*columns, strict=True), start=before + 1):
                    yield f"row {number}", event_id, label, known_at[0] if known_at else None
                before += batch.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from error


def _places(path: Path, names: Sequence[str]) -> tuple[int, int, int | None]:
    """Where event_id, label and known_at stand; None: there is no known_at."""
    if missing := [name for name in _REQUIRED if name not in names]:
        raise InputError(f"{path} lacks {' and '.join(missing)}; its columns are {', '.join(names) or 'none'}")
    for name in (*_REQUIRED, "known_at"):
        if names.count(name) > 1:
            raise InputError(f"{path} has {names.count(name)} columns called {name}; leave one")
    known_at = names.index("known_at") if "known_at" in names else None
    return names.index("event_id"), names.index("label"), known_at


def _event_id(cell: Any) -> str:
    name = "" if cell is None else str(cell).strip()
    if not name:
        raise _BadCellError("event_id is empty")
    if len(name) > LONGEST or "\0" in name:
        raise _BadCellError(f"event_id {name[:20]!r}... is no event's name: they have at most {LONGEST} characters")
    return name


def _label(cell: Any) -> int:
    plain = cell.strip().lower() if isinstance(cell, str) else cell
    found = _LABELS.get(plain) if isinstance(plain, str | int | float) else None
    if found is None:
        raise _BadCellError(f"label is {cell!r}, not 0 or 1")
    return found


def _time(cell: Any, latest: datetime | None) -> datetime | None:
    if cell is None or cell == "":
        return None
    try:
        known_at = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
    except ValueError:
        raise _BadCellError(f"known_at is {cell!r}, not a time as in 2026-03-02T10:00:00Z") from None
    known_at = known_at if known_at.tzinfo else known_at.replace(tzinfo=UTC)
    if latest is not None and known_at > latest:
        raise _BadCellError(f"known_at is {cell!s}, which is still to come: nothing can be known then")
    return known_at
