"""Forgets what is older than rows may be kept: days of `predictions`, and what else belongs to them.

`forget` goes first: a label has no time of its own event, so it is found by the day that is about to be dropped.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql

from .migrations import Connection, lock
from .partitions import present

PATIENCE: Final = "10s"
"""Dropping a partition waits for whoever reads the table, and everybody else waits behind it: not for longer."""

OLDEST_EVENT: Final = timedelta(days=31)
"""An event is scored within 30 days: a label known so long before the first kept day is of an event that is gone."""

REPORTS: Final = timedelta(days=3 * 365)
"""Reports and records of erasures name nobody, and are kept for so long."""

_OLD: Final[dict[str, LiteralString]] = {
    "labels": "delete from labels where known_at < %(first_kept)s::date - %(oldest_event)s",
    "rollout_counted": "delete from rollout_counted where counted_at < %(first_kept)s::date",
    "quality_reports": "delete from quality_reports where made_at < %(now)s - %(reports)s",
    "drift_reports": "delete from drift_reports where judged_at < %(now)s - %(reports)s",
    "erasures": "delete from erasures where erased_at < %(now)s - %(reports)s",
    "erased": "delete from erased where until < %(now)s",
}


def forget(connection: Connection, first_kept: date, now: datetime) -> dict[str, int]:
    """Rows forgotten of each table but `predictions`, those that lost any: what is of days before `first_kept`.

    `connection` is the owner's, not inside a transaction. The labels of an event go with the first of the days on which
    it was scored. Raises SchemaError without the tables.
    """
    with connection.transaction():
        names = sorted(present(connection))
    counts = {"labels": 0}
    for name in names:
        if (day := _day(name)) is not None and day < first_kept:
            counts["labels"] += _forget_labels(connection, name)
    values: dict[str, Any] = {"first_kept": first_kept, "now": now, "oldest_event": OLDEST_EVENT, "reports": REPORTS}
    for table, statement in _OLD.items():
        with connection.transaction():
            connection.execute("set local timezone = 'UTC'")  # a date becomes a time at UTC's midnight
            counts[table] = counts.get(table, 0) + connection.execute(statement, values).rowcount
    return {table: count for table, count in counts.items() if count}


def _forget_labels(connection: Connection, partition: str) -> int:
    """Labels of the events of a day."""
    statement = sql.SQL("delete from labels where event_id in (select event_id from {})")
    with connection.transaction():
        return connection.execute(statement.format(sql.Identifier(partition))).rowcount


def drop(connection: Connection, first_kept: date) -> list[str]:
    """The names of the partitions dropped now, oldest first: those of the days before `first_kept`.

    `connection` is the owner's, not inside a transaction. Each day goes in a transaction of its own, so that scorers
    wait for one at a time. Raises SchemaError without the table, and psycopg's LockNotAvailable when a reader does not
    end: the next run goes on from there.
    """
    with connection.transaction():
        names = sorted(present(connection))
    dropped = []
    for name in names:
        if (day := _day(name)) is not None and day < first_kept:
            with connection.transaction():
                connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(PATIENCE)))
                lock(connection)
                connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(name)))
            dropped.append(name)
    return dropped


def _day(name: str) -> date | None:
    """The day of a partition that `partitions` made; None for one that somebody else made."""
    found = re.fullmatch("predictions_([0-9]{8})", name)
    return datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).date() if found else None
