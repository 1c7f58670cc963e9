"""Reports on the quality of models: added, and read back. Append-only; the newest of a tag and a window counts."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from .migrations import Connection
from .quality import QualityReport

_ADD: Final[LiteralString] = """
    insert into quality_reports (made_at, tag, window_from, window_end, verdict, events, labelled, positives, pr_auc,
        quality_limit, reason, numbers)
    values (%(made_at)s, %(tag)s, %(window_from)s, %(window_end)s, %(verdict)s, %(events)s, %(labelled)s,
        %(positives)s, %(pr_auc)s, %(quality_limit)s, %(reason)s, %(numbers)s)"""
_NEWEST: Final[LiteralString] = """
    select * from (
        select distinct on (tag, window_end) made_at, tag, window_from, window_end, verdict, events, labelled,
            positives, pr_auc, quality_limit, reason
        from quality_reports where tag = coalesce(%(tag)s, tag) order by tag, window_end desc, made_at desc
    ) as newest order by window_end desc, made_at desc limit %(most)s"""


@dataclass(frozen=True)
class QualityRow:
    """A report without its details."""

    made_at: datetime
    tag: str
    window_from: date
    window_end: date
    verdict: str
    events: int
    labelled: int
    positives: int
    pr_auc: float | None
    quality_limit: float | None
    reason: str


def add(connection: Connection, report: QualityReport) -> None:
    """Adds a report."""
    values = {
        **report.model_dump(include={"made_at", "tag", "window_from", "window_end", "events", "labelled", "positives"}),
        "verdict": report.verdict.value,
        "pr_auc": report.pr_auc.value if report.pr_auc else None,
        "quality_limit": report.limit,
        "reason": report.reason,
        "numbers": Jsonb(report.model_dump(mode="json")),
    }
    connection.execute(_ADD, values)


def newest(connection: Connection, tag: str | None = None, most: int = 100) -> tuple[QualityRow, ...]:
    """The newest report of each window, the newest window first: of a model, or of all."""
    with connection.cursor(row_factory=class_row(QualityRow)) as cursor:
        return tuple(cursor.execute(_NEWEST, {"tag": tag, "most": most}).fetchall())
