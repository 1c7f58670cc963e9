"""Tables to and from files: CSV or Parquet, told apart by the file's suffix.

Nothing here knows what the columns mean. A CSV's cells come back as they were written, as strings: only so can an
error quote the very value that the file holds.
"""

import codecs
import csv
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from .errors import DataError

Function = TypeVar("Function")

_OTHER_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}
_HEADER_BYTES: Final = 65_536
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class CsvForm:
    """How a CSV is written."""

    delimiter: str = ","
    encoding: str = "utf-8"


def load(path: Path, form: CsvForm | None = None) -> pa.Table:
    """The table in a file, its columns as they are named there; a CSV's cells are strings, null where empty.

    Raises DataError when there is no such file, or it is no CSV or Parquet file that can be read.
    """
    form = form or CsvForm()
    reader = _by_suffix(path, lambda path: _read_csv(path, form), _read_parquet)
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if not path.is_file():
        raise DataError(f"{path}: this is not a file; name the CSV or Parquet file itself")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; it needs a header line with the columns' names, and rows")
    try:
        table = reader(path)
    except UnicodeError as error:
        raise DataError(
            f"{path}: the file is not {form.encoding.upper()}; save it as UTF-8, or name its encoding in a column map"
        ) from error
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise DataError(f"{path}: can't be read as {path.suffix[1:].lower()}: {_first_line(error)}") from error
    _refuse_repeated(path, table.column_names)
    return table


def table(frame: pd.DataFrame) -> pa.Table:
    """A frame as the table that a file would give."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def save(frame: pd.DataFrame, path: Path) -> None:
    """Write a table to a CSV or Parquet file, which appears whole or not at all. Times in a CSV are RFC 3339, UTC."""
    writer = _by_suffix(path, _write_csv, _write_parquet)
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name a file")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        writer(frame, unfinished)
        unfinished.chmod(0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _by_suffix(path: Path, for_csv: Function, for_parquet: Function) -> Function:
    match path.suffix.lower():
        case ".csv":
            return for_csv
        case ".parquet":
            return for_parquet
    raise DataError(f"{path}: the name must end in .csv or .parquet, so that its format is known")


def _read_csv(path: Path, form: CsvForm) -> pa.Table:
    header = _header(path, form)
    _refuse_repeated(path, header)
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=header, skip_rows=1, encoding=form.encoding),
        parse_options=pyarrow.csv.ParseOptions(delimiter=form.delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _header(path: Path, form: CsvForm) -> list[str]:
    """The columns' names, from the first line of a CSV."""
    with path.open("rb") as file:
        begin = file.read(_HEADER_BYTES)
    if begin.startswith(_UTF_16) and form == CsvForm():
        raise DataError(f"{path}: the file is UTF-16; save it as UTF-8, or name its encoding in a column map")
    decoder = codecs.getincrementaldecoder(form.encoding)(errors="replace")
    line = decoder.decode(begin).removeprefix("\ufeff").partition("\n")[0].strip()
    if "\ufffd" in line:
        raise UnicodeError(form.encoding)
    for delimiter, name in _OTHER_DELIMITERS.items():
        if form.delimiter not in line and delimiter in line:
            raise DataError(
                f"{path}: the columns are separated by {name}; write the file with commas instead, or say so in a "
                f"column map: [file] delimiter = {json.dumps(delimiter)}"
            )
    return [name.strip() for name in next(csv.reader([line], strict=True, delimiter=form.delimiter), [])]


def _read_parquet(path: Path) -> pa.Table:
    return pyarrow.parquet.ParquetFile(path).read()


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    shown = frame.assign(**{name: _rfc3339(frame[name]) for name in frame.columns if _is_time(frame[name])})
    unquoted = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join(frame.columns) + "\n").encode())
        pyarrow.csv.write_csv(pa.Table.from_pandas(shown, preserve_index=False), file, unquoted)


def _is_time(column: "pd.Series[Any]") -> bool:
    return isinstance(column.dtype, pd.DatetimeTZDtype)


def _rfc3339(times: "pd.Series[Any]") -> "pd.Series[Any]":
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    text = np.datetime_as_string(naive, timezone="UTC").astype(object)
    text[np.isnat(naive)] = None
    return pd.Series(text, index=times.index)


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    pyarrow.parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)


def _refuse_repeated(path: Path, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: more than one column is named {', '.join(map(repr, repeated))}; rename or drop one")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
