"""The day partitions of `predictions`, made ahead of time."""

from datetime import UTC, date, datetime, time, timedelta

from psycopg import sql

from .errors import SchemaError
from .migrations import Connection, lock


def ensure(connection: Connection, first: date, days: int) -> list[str]:
    """The names of the partitions made now: those absent among `days` UTC days from `first` on.

    A partition is made beside the table and then attached, which lets the scorers write on meanwhile; making it in
    place would lock them out until every running query has ended. Raises SchemaError without the table.
    """
    with connection.transaction():
        lock(connection)
        there = present(connection)
        absent = [day for day in (first + timedelta(days=n) for n in range(days)) if name(day) not in there]
        for day in absent:
            _make(connection, day)
    return [name(day) for day in absent]


def name(day: date) -> str:
    """The partition of a UTC day."""
    return f"predictions_{day:%Y%m%d}"


def present(connection: Connection) -> set[str]:
    """The names of the partitions that are there. Raises SchemaError without the table."""
    if connection.execute("select to_regclass('predictions')").fetchone() == (None,):
        raise SchemaError("there is no table predictions: run `python -m monitoring migrate` first")
    rows = connection.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'predictions'::regclass"
    )
    return {partition for (partition,) in rows}


def _make(connection: Connection, day: date) -> None:
    partition = sql.Identifier(name(day))
    bounds = (sql.Literal(_midnight(day)), sql.Literal(_midnight(day + timedelta(days=1))))
    connection.execute(sql.SQL("create table {} (like predictions including all)").format(partition))
    connection.execute(
        sql.SQL("alter table predictions attach partition {} for values from ({}) to ({})").format(partition, *bounds)
    )


def _midnight(day: date) -> str:
    return datetime.combine(day, time.min, tzinfo=UTC).isoformat()
