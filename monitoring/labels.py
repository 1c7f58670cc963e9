"""Takes labels into the store: all of a file, or none of it.

What counts of an event is the label with the newest `known_at`. A row that the store has already is a duplicate, and so
is one without a time of its own that says what is known. A label that differs from what was known before its time is a
correction, and a row more: nothing is ever overwritten. One with a time of its own that says the same again is kept, as
a correction that belongs between the two may come later. Two different labels of one event with the same `known_at` are
a contradiction: nobody could say which counts, so the whole file is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from .errors import InputError
from .label_files import SHOWN, Label
from .migrations import Connection

__all__ = ["Imported", "Label", "add"]

LOCK: Final = 0x6C6162656C
"""Advisory lock of whoever imports labels ('label' in ASCII): two imports could contradict each other unseen."""


@dataclass(frozen=True)
class Imported:
    """What an import did. Each row of the file was imported or is a duplicate.

    `corrections` are imported ones of an event that had another label. `unknown`: different events of the file that no
    scorer ever logged, whose labels wait for a row that may come; None when nobody looked.
    """

    imported: int
    corrections: int
    duplicates: int
    unknown: int | None


_TOGETHER: Final[LiteralString] = """
    with together as (
        select event_id, label, coalesce(known_at, %(now)s) as known_at, true as fresh,
            bool_or(known_at is not null) as timed
        from incoming group by 1, 2, 3
        union all
        select event_id, label, known_at, false, true from labels where event_id in (select event_id from incoming)
    )"""
_ADD: Final[LiteralString] = (
    _TOGETHER  # noqa: S608 - made of this module's own text
    + """
    , ordered as (
        select together.*, lag(label) over earlier as before, lag(known_at) over earlier = known_at as stored
        from together window earlier as (partition by event_id order by known_at, fresh)
    ), wanted as (
        select event_id, label, known_at, before from ordered
        where fresh and stored is not true and (timed or label is distinct from before)
    ), added as (
        insert into labels (event_id, label, known_at) select event_id, label, known_at from wanted
    )
    select count(*), count(*) filter (where before <> label) from wanted"""
)
_CONTRADICTIONS: Final[LiteralString] = (
    _TOGETHER  # noqa: S608 - as above
    + """
    select event_id, known_at, bool_and(fresh), count(*) over () from together
    group by event_id, known_at having min(label) <> max(label) order by event_id, known_at limit %(shown)s"""
)
_UNKNOWN: Final[LiteralString] = """
    select count(distinct event_id) from incoming
    where not exists (select from predictions where predictions.event_id = incoming.event_id)"""


def add(connection: Connection, labels: Iterable[Label], now: datetime, *, look_up: bool = True) -> Imported:
    """Adds what the store does not have yet, in one transaction. Raises InputError and then adds nothing.

    `look_up`: count the unknown events, which reads the events' names of every kept day.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        total = _stage(connection, labels)
        _refuse_contradictions(connection, now)
        unknown = connection.execute(_UNKNOWN).fetchone() if look_up else None
        ((added, corrections),) = connection.execute(_ADD, {"now": now}).fetchall()
    return Imported(added, corrections, total - added, unknown[0] if unknown else None)


def _stage(connection: Connection, labels: Iterable[Label]) -> int:
    """Copies the labels into the temporary table `incoming`; their number."""
    connection.execute(
        "create temporary table incoming (event_id text, label smallint, known_at timestamptz) on commit drop"
    )
    total = 0
    with connection.cursor() as cursor, cursor.copy("copy incoming from stdin") as copy:
        for label in labels:
            copy.write_row(label)
            total += 1
    connection.execute("analyze incoming")
    return total


def _refuse_contradictions(connection: Connection, now: datetime) -> None:
    found = connection.execute(_CONTRADICTIONS, {"now": now, "shown": SHOWN}).fetchall()
    if not found:
        return
    lines = [
        f"{event_id} is 0 and 1, known at {known_at.isoformat()}, in the file{'' if fresh else ' and the store'}"
        for event_id, known_at, fresh, _ in found
    ]
    count = found[0][3]
    more = [f"... and {count - SHOWN:,} more"] if count > SHOWN else []
    head = f"{count:,} contradictions: nothing was imported; give the label that came later a later known_at"
    raise InputError("\n".join([head, *lines, *more]))
