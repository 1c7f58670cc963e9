"""The data set: labelled events in one normal form, whatever file they came from.

`Dataset.frame` has the columns event_id (str), entity_id (str or None), occurred_at (UTC, NaT in every row when the
file had no times), one for each feature of the event (float64 with NaN; a category as str or None), and label (0, 1).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bentos.risk_scorer import features
from bentos.risk_scorer.events import FEATURES

from . import columns, data_files
from .errors import DataError, NotEnoughDataError

MINIMUM_ROWS: Final = 500
MINIMUM_OF_A_CLASS: Final = 30
"""Below these, neither the model nor its evaluation would mean anything."""

_REQUIRED: Final = (*(field.name for field in FEATURES if field.required), "label")
_IDENTITY: Final = ("event_id", "entity_id", "occurred_at")
_KNOWN: Final = (*_IDENTITY, *(field.name for field in FEATURES), "label")
_LARGEST_ENTITY: Final = 0.05
"""An entity with a larger share of the rows is not kept together when rows are ordered at random."""


@dataclass(frozen=True)
class Dataset:
    """Labelled events in normal form, and what a person should know of how they were read."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def labels(self) -> NDArray[np.int8]:
        """0 or 1 a row."""
        return self.frame["label"].to_numpy()

    @property
    def positives(self) -> int:
        return int(self.labels.sum())

    @property
    def has_times(self) -> bool:
        return bool(self.frame["occurred_at"].notna().all())

    @property
    def has_entities(self) -> bool:
        return bool(self.frame["entity_id"].notna().any())

    @property
    def times(self) -> NDArray[np.datetime64]:
        """occurred_at as datetime64[us] in UTC."""
        naive: NDArray[np.datetime64] = self.frame["occurred_at"].dt.tz_localize(None).to_numpy()
        return naive.astype("datetime64[us]")

    @property
    def entity_codes(self) -> NDArray[np.int64]:
        """A number for each row's entity; a row without an entity is one of its own."""
        codes = pd.factorize(self.frame["entity_id"].to_numpy())[0].astype(np.int64)
        alone = codes < 0
        codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
        return codes

    def matrix(self) -> NDArray[np.float64]:
        """The model's input, shape (rows, len(features.COLUMNS))."""
        return features.matrix({field.name: self.frame[field.name].to_numpy() for field in FEATURES})

    def take(self, rows: NDArray[np.int64]) -> "Dataset":
        """The data set of these rows, in this order."""
        return Dataset(self.frame.iloc[rows].reset_index(drop=True), self.notes)

    def span(self) -> tuple[str, str] | None:
        """The first and the last time, RFC 3339 to the second; None without times."""
        if not self.has_times or len(self) == 0:
            return None
        return _rfc3339(self.times.min()), _rfc3339(self.times.max())

    def fingerprint(self) -> str:
        """SHA-256 over every column's values, in hexadecimal: of the data, not of the file that they came in."""
        digest = hashlib.sha256()
        for name in _KNOWN:
            digest.update(f"{name}\0".encode())
            digest.update(_value_bytes(self.frame[name]))
        return digest.hexdigest()


def read(path: Path) -> Dataset:
    """The data set in a CSV or Parquet file.

    Columns may stand in any order; the optional ones may be absent, others are ignored. Raises DataError when the file
    can't be read, a required column is absent or a cell can't be used, NotEnoughDataError when it has no rows.
    """
    return _normalised(data_files.load(path), str(path))


def from_frame(frame: pd.DataFrame) -> Dataset:
    """The data set in a table with the columns that a file would have. Raises as `read` does."""
    return _normalised(pa.Table.from_pandas(frame, preserve_index=False), "the table")


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table such as `Dataset.frame` to a CSV or Parquet file, which appears whole or not at all."""
    data_files.save(frame, path)


def require_enough(dataset: Dataset) -> None:
    """Raise NotEnoughDataError when there are too few rows, or too few of a class, to train."""
    if len(dataset) < MINIMUM_ROWS:
        raise NotEnoughDataError(f"training needs at least {MINIMUM_ROWS} rows, and there are {len(dataset)}")
    for label, count in enumerate((len(dataset) - dataset.positives, dataset.positives)):
        if count < MINIMUM_OF_A_CLASS:
            raise NotEnoughDataError(
                f"training needs at least {MINIMUM_OF_A_CLASS} rows of each class, and {count} of the {len(dataset)} "
                f"rows have label {label}"
            )


def ordered(dataset: Dataset, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers from the oldest to the newest event, and in that order the key which ties rows together.

    Without times the order is drawn from the seed, and an entity's rows stay together.
    """
    keys = dataset.times.astype(np.int64) if dataset.has_times else _random_keys(dataset, np.random.default_rng(seed))
    order = np.argsort(keys, kind="stable").astype(np.int64)
    return order, keys[order]


def boundary(keys: NDArray[np.int64], share: float) -> int:
    """Where to cut sorted keys so that about `share` of them come before, and equal keys stay on one side."""
    target = min(round(share * len(keys)), len(keys) - 1)
    before, after = (int(np.searchsorted(keys, keys[target], side=side)) for side in ("left", "right"))
    return before if target - before <= after - target else after


def split_newest(dataset: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """The data set in two: (the older rows, the newest `share` of them). Without times the rows are drawn."""
    order, keys = ordered(dataset, seed)
    cut = boundary(keys, 1 - share)
    return dataset.take(order[:cut]), dataset.take(order[cut:])


def _random_keys(dataset: Dataset, rng: np.random.Generator) -> NDArray[np.int64]:
    codes = dataset.entity_codes
    if np.bincount(codes).max() > _LARGEST_ENTITY * len(dataset):
        codes = np.arange(len(dataset))
    return rng.permutation(codes.max() + 1)[codes]


def _normalised(table: Any, source: str) -> Dataset:
    """A raw table in the data set's form."""
    _require_columns(table, source)
    problems = columns.Problems()
    events, event_notes = _event_ids(table, source)
    entities, entity_notes = _entity_ids(table)
    occurred_at, time_notes = _times(table, source, problems)
    values: dict[str, Any] = {"event_id": events, "entity_id": entities, "occurred_at": occurred_at}
    for field in FEATURES:
        present = field.name in table.column_names
        values[field.name] = (
            columns.feature(field, table[field.name], problems) if present else columns.missing(len(table), field)
        )
    values["label"] = columns.labels(table["label"], problems)
    problems.raise_if_any(source)
    notes = (*_column_notes(table), *event_notes, *entity_notes, *time_notes, *_missing_notes(values))
    return Dataset(_frame(values), notes)


def _frame(values: dict[str, Any]) -> pd.DataFrame:
    strings = {name: pd.Series(values[name], dtype=object) for name in values if values[name].dtype == object}
    time = {"occurred_at": pd.DatetimeIndex(values["occurred_at"]).tz_localize(UTC)}
    return pd.DataFrame({**values, **strings, **time})


def _require_columns(table: Any, source: str) -> None:
    absent = [name for name in _REQUIRED if name not in table.column_names]
    if absent:
        raise DataError(
            f"{source}: required and absent: {columns.listed(absent)}; "
            f"the file has {', '.join(table.column_names)} (names are lower case)"
        )
    if len(table) == 0:
        raise NotEnoughDataError(f"{source}: there are columns but no rows")


def _event_ids(table: Any, source: str) -> tuple[NDArray[Any], list[str]]:
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


def _entity_ids(table: Any) -> tuple[NDArray[Any], list[str]]:
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


def _times(table: Any, source: str, problems: columns.Problems) -> tuple[NDArray[np.datetime64], list[str]]:
    if "occurred_at" in table.column_names:
        column = table["occurred_at"]
        times, naive = columns.times(column, problems)
        absent = int(np.isnat(times).sum()) - problems.count
        if 0 < absent < len(table):
            raise DataError(
                f"{source}: {absent} of {len(table)} rows have no occurred_at; give each its time, or drop the column"
            )
        if absent == 0:
            return times, ["Some occurred_at had no offset; they were taken as UTC."] if naive else []
    nowhere = np.full(len(table), np.datetime64("NaT"), dtype="datetime64[us]")
    return nowhere, ["There was no occurred_at: rows are split at random, and change over time can't be seen."]


def _column_notes(table: Any) -> list[str]:
    ignored = [name for name in table.column_names if name not in _KNOWN]
    absent = [field.name for field in FEATURES if field.name not in table.column_names]
    return [
        *([f"Columns that Vigil does not know were ignored: {columns.listed(ignored)}."] if ignored else []),
        *([f"Columns that were absent count as missing in every row: {columns.listed(absent)}."] if absent else []),
    ]


def _missing_notes(values: dict[str, Any]) -> list[str]:
    shares = {field.name: float(pd.isna(values[field.name]).mean()) for field in FEATURES}
    some = [f"{name} {share:.1%}" for name, share in shares.items() if 0 < share < 1]
    return [f"Values that are missing: {columns.listed(some)}."] if some else []


def _replacement_note(what: str, count: int) -> list[str]:
    if count == 0:
        return []
    return [f"{count} {what} ids were no pseudonyms that an event may carry; each became h- and a part of its SHA-256."]


def _value_bytes(column: "pd.Series[Any]") -> bytes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        naive: NDArray[np.datetime64] = column.dt.tz_localize(None).to_numpy()
        return naive.astype("datetime64[us]").astype("<i8").tobytes()
    if column.dtype == object:
        return "\0".join("" if value is None else value for value in column).encode()
    numbers: NDArray[np.float64] = column.to_numpy().astype("<f8")
    return numbers.tobytes()


def _rfc3339(time: np.datetime64) -> str:
    moment: datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
