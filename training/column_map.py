"""The column map: a TOML file that says which of a file's columns is which, and how to read its cells.

    [file]                                      # optional
    delimiter = ";"
    encoding = "latin-1"
    decimal = ","                               # defaults for all columns
    thousands = "."
    missing = ["?", -1]

    [columns]                                   # left: Vigil's name
    amount = "Betrag"                           # the file's column as it is
    velocity_5m = { derive = "velocity" }       # counted from entity_id and occurred_at
    device_risk = { constant = "" }             # not known in any row
    channel = { from = "ProductCD", values = { W = "online", C = "in_app" }, otherwise = "" }
    occurred_at = { from = "Time", unit = "s", since = 2013-09-01T00:00:00Z }
    hour = { derive = "hour", zone = "Europe/Brussels" }

A column of the file that has one of Vigil's names and no rule is read as it is.
"""

import codecs
import math
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bentos.risk_scorer.events import FEATURES

from . import near_names
from .data_files import CsvForm
from .errors import DataError

Kind = Literal["text", "time", "number", "category"]
Cell = str | int | float

KINDS: Final[Mapping[str, Kind]] = {
    "event_id": "text",
    "entity_id": "text",
    "occurred_at": "time",
    **{field.name: "category" if field.kind == "category" else "number" for field in FEATURES},
    "label": "number",
    "label_known_at": "time",
    "reviewed": "number",
}
"""What kind of values each column of the normal form has."""

_ANY: Final = ("from", "constant", "missing", "values", "otherwise")
_ALLOWED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "text": _ANY,
    "category": _ANY,
    "time": (*_ANY, "format", "unit", "since", "zone"),
    "number": (*_ANY, "derive", "decimal", "thousands", "factor"),
}
_READING: Final = {"decimal", "thousands", "factor", "format", "unit", "since", "zone"}
"""Keys that say how a cell is to be read."""

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)
_SOME_TIME: Final = datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)


class FileRules(BaseModel):
    """How the file is written, and what holds for all of its columns."""

    model_config = _STRICT

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "_"] = ""
    missing: list[Cell] = Field(default_factory=list)

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ValueError(f"{name!r} is no encoding that Python knows, such as latin-1 or cp1252") from None
        return name

    @property
    def form(self) -> CsvForm:
        """How a CSV is to be read."""
        return CsvForm(self.delimiter, self.encoding)


class Rule(BaseModel):
    """Where one column of the normal form comes from: a column of the file, a constant, or other columns."""

    model_config = _STRICT

    source: str | None = Field(default=None, alias="from", description="The file's name for the column.")
    constant: Cell | None = Field(default=None, description='The same cell in every row; "" is one that is not known.')
    derive: Literal["hour", "velocity"] | None = Field(
        default=None,
        description="hour: the hour of day of occurred_at in `zone`. velocity: the events of the same entity_id in the "
        "five minutes before.",
    )
    missing: list[Cell] | None = Field(default=None, description="Cells that mean 'not known'.")
    meanings: dict[str, Cell] | None = Field(
        default=None, alias="values", min_length=1, description="What each of the file's cells stands for."
    )
    otherwise: Cell | None = Field(default=None, description="What cells stand for that `values` does not name.")
    decimal: Literal[".", ","] | None = None
    thousands: Literal["", ".", ",", " ", "'", "_"] | None = None
    factor: float | None = Field(default=None, description="What numbers are multiplied by, such as .01 for cents.")
    format: str | None = Field(default=None, description="How times are written, in the letters of strptime.")
    unit: Literal["s", "ms", "us"] | None = Field(default=None, description="Times are numbers of this unit.")
    since: AwareDatetime | None = Field(default=None, description="The moment 0 of `unit`; 1970 when absent.")
    zone: str | None = Field(default=None, description="The time zone of times without an offset, or of the hour.")

    @field_validator("factor")
    @classmethod
    def _scales(cls, factor: float) -> float:
        if factor == 0 or not math.isfinite(factor):
            raise ValueError("a factor of 0 would make all values equal")
        return factor

    @field_validator("format")
    @classmethod
    def _can_be_read(cls, form: str) -> str:
        try:
            datetime.strptime(_SOME_TIME.strftime(form), form)  # noqa: DTZ007  # only whether it can be read
        except ValueError as error:
            raise ValueError(f"{form!r} can't be read: {error}; an example is %d.%m.%Y %H:%M:%S") from None
        if "%Y" not in form and "%y" not in form:
            raise ValueError(f"{form!r} has no year")
        return form

    @field_validator("zone")
    @classmethod
    def _on_the_map(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"{name!r} is no time zone, such as Europe/Vienna") from None
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [each for each in ("from", "constant", "derive") if each in self.given]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of from, constant and derive; has {' and '.join(given) or 'none'}")
        if given != ["from"] and (idle := self.given - {*given, "zone"}):
            raise ValueError(f"{', '.join(sorted(idle))}: only for a column that is read `from` the file")
        if self.unit and (self.format or self.zone):
            raise ValueError("unit is for numbers, format and zone are for texts: choose")
        if self.since and not self.unit:
            raise ValueError("since needs unit: are the numbers s, ms or us?")
        if self.otherwise is not None and self.meanings is None:
            raise ValueError("otherwise needs values")
        if self.meanings is not None and (idle := self.given & _READING):
            raise ValueError(f"{', '.join(sorted(idle))}: not together with values, which say what each cell means")
        if self.zone and (self.constant is not None or self.derive == "velocity"):
            raise ValueError("zone: only for times and for the hour")
        return self

    @property
    def given(self) -> set[str]:
        """The keys that the file has, as they are named there."""
        fields = type(self).model_fields
        return {fields[name].alias or name for name in self.model_fields_set}


class ColumnMap(BaseModel):
    """The whole map: `columns` has Vigil's names."""

    model_config = _STRICT

    file: FileRules = Field(default_factory=FileRules)
    columns: dict[str, Rule]

    @field_validator("columns", mode="before")
    @classmethod
    def _written_out(cls, rules: Any) -> Any:
        """A string alone is the name of the file's column."""
        if not isinstance(rules, dict):
            return rules
        return {name: {"from": rule} if isinstance(rule, str) else rule for name, rule in rules.items()}

    @field_validator("columns")
    @classmethod
    def _fitting(cls, rules: dict[str, Rule]) -> dict[str, Rule]:
        for name, rule in rules.items():
            if name not in KINDS:
                raise ValueError(
                    f"{name} is no column of Vigil's{near_names.hint(name, list(KINDS))}; known are {', '.join(KINDS)}"
                )
            allowed = {*_ALLOWED[KINDS[name]], *(("zone",) if rule.derive == "hour" else ())}
            if unfit := sorted(rule.given - allowed):
                raise ValueError(f"{name} is a {KINDS[name]} and can't have {', '.join(unfit)}")
        return rules


def read(path: Path) -> ColumnMap:
    """The map in a TOML file. Raises DataError that names the file, the key and what is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: the column map can't be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise DataError(f"{path}: the column map is no TOML: {error}") from error
    try:
        return ColumnMap.model_validate(content)
    except ValidationError as error:
        problems = [_problem(each["loc"], each["type"], each["msg"]) for each in error.errors()]
        raise DataError("\n  ".join([f"{path}: the column map can't be used:", *problems])) from error


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part) for part in place)
    if kind == "extra_forbidden":
        known = _keys(place)
        message = f"unknown key{near_names.hint(str(place[-1]), known)}; known are {', '.join(known)}"
    return f"{where}: {message.removeprefix('Value error, ')}"


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at the place of one that is not."""
    model: type[BaseModel] = ColumnMap if len(place) == 1 else FileRules if place[0] == "file" else Rule
    return [info.alias or name for name, info in model.model_fields.items()]
