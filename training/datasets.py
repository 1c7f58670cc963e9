"""The data set: labelled events in one normal form, whatever file they came from.

`Dataset.frame` has the columns event_id (str), entity_id (str or None), occurred_at (UTC, NaT in every row when the
file had no times), one for each feature of the event (float64 with NaN; a category as str or None), label (0, 1),
label_known_at (UTC, NaT where that is not known) and reviewed (1 where a person confirmed the label, 0, NaN).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.risk_scorer import features
from bentos.risk_scorer.events import FEATURES

from . import data_files, normal_form
from .column_map import ColumnMap
from .errors import NotEnoughDataError

MINIMUM_ROWS: Final = 500
MINIMUM_OF_A_CLASS: Final = 30
"""Below these, neither the model nor its evaluation would mean anything."""

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

    def known_by(self, moment: datetime) -> "Dataset":
        """The rows whose label was known at a moment (with an offset), where the data say so; see `label_known_at`.

        A model that is trained at that moment can learn from these only. Where no time is given the label counts as
        known.
        """
        late = self.frame["label_known_at"] > moment
        return self.take(np.flatnonzero(~late.to_numpy()))

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
        for name in normal_form.COLUMNS:
            digest.update(f"{name}\0".encode())
            digest.update(_value_bytes(self.frame[name]))
        return digest.hexdigest()


def read(path: Path, mapping: ColumnMap | None = None) -> Dataset:
    """The data set in a CSV or Parquet file, whose columns a map may name and explain.

    Columns may stand in any order; the optional ones may be absent, others are ignored. Raises DataError when the file
    can't be read, a required column is absent or a cell can't be used, NotEnoughDataError when it has no rows.
    """
    form = data_files.CsvForm() if mapping is None else mapping.file.form
    return Dataset(*normal_form.normalised(data_files.load(path, form), str(path), mapping))


def from_frame(frame: pd.DataFrame) -> Dataset:
    """The data set in a table with the columns that a file would have. Raises as `read` does."""
    return Dataset(*normal_form.normalised(data_files.table(frame), "the table"))


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


def _value_bytes(column: "pd.Series[Any]") -> bytes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        naive: NDArray[np.datetime64] = column.dt.tz_localize(None).to_numpy()
        return naive.astype("datetime64[us]").astype("<i8").tobytes()
    if column.dtype == object:
        return "\0".join(["" if value is None else value for value in column.tolist()]).encode()
    numbers: NDArray[np.float64] = column.to_numpy().astype("<f8")
    return numbers.tobytes()


def _rfc3339(time: np.datetime64) -> str:
    moment: datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
