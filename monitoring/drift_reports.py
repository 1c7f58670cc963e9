"""Reports on days: added, and read back. Append-only; the newest of a day counts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from .drift import FieldCounts, FieldReport, Report, State, Verdict, Window
from .migrations import Connection
from .windows import Counted

LOCK: Final = 0x6472696674
"""Advisory lock of whoever judges days ('drift' in ASCII): two at once would judge each day twice."""


@dataclass(frozen=True)
class JudgedDay:
    """A day's report as it stands in the store: by which model's reference, when, and on how many of its rows."""

    tag: str
    judged_at: datetime
    sampled: int
    report: Report


_ADD: Final[LiteralString] = """
    insert into drift_reports (day, tag, judged_at, verdict, reason, rows, sampled, refused, refused_share,
        refused_limit, late_rows, fields, counts)
    values (%(day)s, %(tag)s, %(judged_at)s, %(verdict)s, %(reason)s, %(rows)s, %(sampled)s, %(refused)s,
        %(refused_share)s, %(refused_limit)s, %(late_rows)s, %(fields)s, %(counts)s)"""
_NEWEST: Final[LiteralString] = """
    select * from (
        select distinct on (day) day, tag, judged_at, verdict, reason, rows, sampled, refused, refused_share,
            refused_limit, late_rows, fields
        from drift_reports where day >= coalesce(%(since)s::date, '-infinity')
        order by day desc, id desc limit %(most)s
    ) as newest order by day"""
_COUNTS: Final[LiteralString] = """
    select rows, refused, late_rows, counts from drift_reports where day = %s order by id desc limit 1"""


def lock(connection: Connection) -> None:
    """Waits until nobody else judges days; then nobody else does until this connection closes."""
    connection.execute("select pg_advisory_lock(%s)", [LOCK])


def add(connection: Connection, day: JudgedDay, counted: Counted) -> None:
    """Adds a report, with what it was judged from."""
    report = day.report
    values = {
        "day": report.day, "tag": day.tag, "judged_at": day.judged_at, "verdict": report.verdict.value,
        "reason": report.reason, "rows": report.rows, "sampled": day.sampled, "refused": report.refused,
        "refused_share": report.refused_share, "refused_limit": report.refused_limit, "late_rows": report.late_rows,
        "fields": Jsonb([asdict(each) for each in report.fields]),
        "counts": Jsonb({name: asdict(each) for name, each in counted.window.fields.items()}),
    }  # fmt: skip
    connection.execute(_ADD, values)


def judged_days(connection: Connection, since: date) -> set[date]:
    """The days from `since` on that have a report."""
    return {day for (day,) in connection.execute("select distinct day from drift_reports where day >= %s", [since])}


def newest(connection: Connection, since: date | None = None, most: int = 400) -> tuple[JudgedDay, ...]:
    """The newest report of each day, oldest day first; of the newest `most` days."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_NEWEST, {"since": since, "most": most}).fetchall()
    return tuple(_judged(row) for row in rows)


def counts(connection: Connection, day: date) -> Window | None:
    """What a day was last judged from; None when it never was."""
    row = connection.execute(_COUNTS, [day]).fetchone()
    if row is None:
        return None
    rows, refused, late_rows, fields = row
    counted = {name: FieldCounts(**{**each, "bins": tuple(each["bins"])}) for name, each in fields.items()}
    return Window(day, rows, counted, refused, late_rows)


def _judged(row: Mapping[str, Any]) -> JudgedDay:
    report = Report(
        **{name: row[name] for name in ("day", "reason", "rows", "late_rows", "refused")},
        refused_share=row["refused_share"],
        refused_limit=row["refused_limit"],
        verdict=Verdict(row["verdict"]),
        fields=tuple(FieldReport(**{**each, "state": State(each["state"])}) for each in row["fields"]),
    )
    return JudgedDay(row["tag"], row["judged_at"], row["sampled"], report)
