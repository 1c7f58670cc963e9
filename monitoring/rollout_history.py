"""The rollout's history in the prediction store: events, and the blocks of evidence as they were read."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from .migrations import Connection

Phase = Literal["shadow", "canary"]


@dataclass(frozen=True)
class EventRow:
    """A row of `rollout_events`, whose schema says what each column is."""

    number: int
    at: datetime
    attempt: str | None
    kind: str
    message: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class BlockKey:
    """Which block: of an attempt's phase that began at `since`."""

    attempt: str
    phase: Phase
    since: datetime
    number: int


@dataclass(frozen=True)
class EvidenceRow:
    """A row of `rollout_evidence`."""

    attempt: str
    phase: Phase
    since: datetime
    number: int
    block: dict[str, Any]
    gateway: dict[str, Any]
    read_at: datetime


_ADD_EVENT: Final[LiteralString] = """
    insert into rollout_events (attempt, number, at, kind, message, numbers)
    values (%(attempt)s, %(number)s, %(at)s, %(kind)s, %(message)s, %(numbers)s) on conflict do nothing"""
_EVENTS: Final[LiteralString] = """
    select number, at, attempt, kind, message, numbers
    from (
        select * from rollout_events where %(attempt)s::text is null or attempt = %(attempt)s
        order by at desc, number desc limit %(most)s
    ) as newest order by at, number"""
_COLUMNS: Final[LiteralString] = "attempt, phase, since, number, block, gateway, read_at"
_EVIDENCE: Final[LiteralString] = f"""
    select {_COLUMNS} from rollout_evidence where attempt = %(attempt)s
    order by since, number"""  # noqa: S608 - made of this module's own text
_RECORDED: Final[LiteralString] = f"""
    select {_COLUMNS} from rollout_evidence
    where attempt = %(attempt)s and phase = %(phase)s and since = %(since)s and number >= %(number)s
    order by number limit %(most)s"""  # noqa: S608 - as above
_RECORD: Final[LiteralString] = f"""
    insert into rollout_evidence ({_COLUMNS})
    values (%(attempt)s, %(phase)s, %(since)s, %(number)s, %(block)s, %(gateway)s, %(read_at)s)"""  # noqa: S608 - as above


def add_events(connection: Connection, rows: Iterable[EventRow]) -> None:
    """Adds events; those that are there already are left as they are."""
    with connection.cursor() as cursor:
        cursor.executemany(_ADD_EVENT, [asdict(row) | {"numbers": Jsonb(row.numbers)} for row in rows])


def events(connection: Connection, attempt: str | None = None, most: int | None = None) -> tuple[EventRow, ...]:
    """The events of an attempt, or of all, in their order; with `most`, only the newest ones."""
    with connection.cursor(row_factory=class_row(EventRow)) as cursor:
        return tuple(cursor.execute(_EVENTS, {"attempt": attempt, "most": most}).fetchall())


def evidence(connection: Connection, attempt: str) -> tuple[EvidenceRow, ...]:
    """Every recorded block of an attempt, in order."""
    with connection.cursor(row_factory=class_row(EvidenceRow)) as cursor:
        return tuple(cursor.execute(_EVIDENCE, {"attempt": attempt}).fetchall())


def recorded(connection: Connection, first: BlockKey, most: int) -> tuple[EvidenceRow, ...]:
    """The recorded blocks of a phase from a number on, in order, at most so many."""
    with connection.cursor(row_factory=class_row(EvidenceRow)) as cursor:
        return tuple(cursor.execute(_RECORDED, asdict(first) | {"most": most}).fetchall())


def record(
    connection: Connection, key: BlockKey, block: Mapping[str, Any], gateway: Mapping[str, Any], read_at: datetime
) -> None:
    """Records a block. Raises UniqueViolation when somebody has recorded it already."""
    documents = {"block": Jsonb(dict(block)), "gateway": Jsonb(dict(gateway)), "read_at": read_at}
    connection.execute(_RECORD, asdict(key) | documents)
