"""The daily job: which days are due, and each of them judged against the model that served it.

Which model served a day is read off the day's own rows (`windows.stable_tag`), so a day that is caught up later, or
judged again, is compared with the same reference as it would have been at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from bentos.risk_scorer.reference import Reference

from . import drift, drift_reports, windows
from .drift_reports import JudgedDay
from .errors import NothingError
from .migrations import Connection

MOST_DAYS: Final = 14
"""How far back missed days are caught up: longer than a job stays broken unseen, and soon done."""

References = Callable[[str], Reference]
"""The reference of a tag."""


@dataclass(frozen=True)
class Judging:
    """How days are judged: by whose reference, at what time, on how many rows at most.

    `tag` None: each day by the model that served it.
    """

    references: References
    now: datetime
    tag: str | None = None
    row_limit: int = windows.ROW_LIMIT


def due(connection: Connection, now: datetime, since: date | None = None) -> list[date]:
    """The closed days without a report, oldest first: the newest `MOST_DAYS`, or those from `since` on.

    None is older than the first row that a stable model left. Raises NothingError when there is no such row.
    """
    first, last = windows.first_day(connection), windows.closed_by(now)
    if first is None:
        raise NothingError("no stable model has left a row yet: there is no day to judge")
    start = max(first, since or last - timedelta(days=MOST_DAYS - 1))
    judged = drift_reports.judged_days(connection, start)
    return [day for day in _days(start, last) if day not in judged]


def judge(connection: Connection, days: Sequence[date], judging: Judging) -> Iterator[JudgedDay]:
    """Judges days and records each report in a transaction of its own; the reports, as they are made.

    Raises NothingError for a day before which no stable model left a row, and what `judging.references` raises: the
    days before that are recorded.
    """
    baselines: dict[str, tuple[Reference, drift.Baseline]] = {}
    for day in days:
        with connection.transaction():
            tag = judging.tag or windows.stable_tag(connection, day)
            if tag is None:
                raise NothingError(f"no stable model had left a row by {day}: there is nothing to compare it with")
            if tag not in baselines:
                reference = judging.references(tag)
                baselines[tag] = reference, drift.calibrated(reference)
            reference, baseline = baselines[tag]
            counted = windows.count(connection, day, tag, reference, judging.row_limit)
            report = drift.judge(counted.window, baseline)
            judged = JudgedDay(tag, judging.now, counted.sampled, report)
            drift_reports.add(connection, judged, counted)
        yield judged


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
