"""Forgets old days: drops the partitions of `predictions` that are older than the time for which rows may be kept."""

import re
from datetime import UTC, date, datetime
from typing import Final

from psycopg import sql

from .migrations import Connection, lock
from .partitions import present

PATIENCE: Final = "10s"
"""Dropping a partition waits for whoever reads the table, and everybody else waits behind it: not for longer."""


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
