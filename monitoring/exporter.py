"""What Prometheus sees of jobs that have ended: the newest reports in the prediction store, as metrics.

A job that has ended can't be scraped, and what it leaves at a Pushgateway stays there for good. The store has what it
found, so one process that reads the store shows it; when a job does not run, the time of its last report stands still.
Labels are verdicts, the fields of one reference, and one tag at a time: no entity, no day, nothing that grows.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from . import drift, drift_reports, partitions, quality_reports, quality_rule, windows
from .drift_reports import JudgedDay
from .errors import MonitoringError
from .migrations import Connection
from .quality_reports import QualityRow

DAYS: Final = 28
"""Judged days whose verdicts are counted: as many as a reference has."""
FIELDS: Final = 64
"""Fields that are shown at most; a reference has about ten."""
FRESH_SECONDS: Final = 15.0
"""What was read so recently is not read again, however many scrapes and probes come."""
STATEMENT_MILLISECONDS: Final = 5_000

_HOUR: Final = 3_600


@dataclass(frozen=True)
class Seen:
    """What the store had at one moment. `delays`: hours by which a share of the events has a label; None: later."""

    days: tuple[JudgedDay, ...] = ()
    quality: QualityRow | None = None
    delays: tuple[tuple[str, int | None], ...] = ()
    newest_row: datetime | None = None
    partitions_end: date | None = None


def look(connection: Connection) -> Seen:
    """What the store has, read by a session that can change nothing. Takes a few ms, whatever the number of rows."""
    connection.read_only = True
    connection.execute(f"set statement_timeout = {STATEMENT_MILLISECONDS}")
    rows = quality_reports.newest(connection, most=1)
    ((newest,),) = connection.execute("select max(scored_at) from predictions").fetchall()
    return Seen(
        days=drift_reports.newest(connection, most=DAYS),
        quality=rows[0] if rows else None,
        delays=_delays(connection, rows[0]) if rows else (),
        newest_row=newest,
        partitions_end=_partitions_end(connection),
    )


def families(seen: Seen | None) -> Iterator[Metric]:
    """The metrics of what was seen; None: the store is away, and all that is known is that."""
    yield _one("store_up", "1 when the prediction store answered, 0 when not: then nothing else is shown.", bool(seen))
    if seen is not None:
        yield from _store(seen)
        yield from _drift(seen.days)
        yield from _quality(seen)


class Exporter(Collector):
    """Collects what `ask` sees, kept for FRESH_SECONDS; `problem` says why the store is away, empty when it is not."""

    def __init__(self, ask: Callable[[], Seen], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._seen: Seen | None = None
        self._problem = ""

    def collect(self) -> Iterable[Metric]:
        self.problem()
        yield from families(self._seen)

    def describe(self) -> Iterable[Metric]:
        """Nothing: else registering would ask the store."""
        return ()

    def problem(self) -> str:
        """Why the store is away, looked at now unless that was done a moment ago."""
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH_SECONDS:
                try:
                    self._seen, self._problem = self._ask(), ""
                except MonitoringError as error:
                    self._seen, self._problem = None, str(error)
                self._asked = self._clock()
            return self._problem


def _store(seen: Seen) -> Iterator[Metric]:
    if seen.newest_row is not None:
        yield _one("store_newest_row_timestamp_seconds", "When the newest row was scored.", seen.newest_row.timestamp())
    if seen.partitions_end is not None:
        end = windows.midnight(seen.partitions_end).timestamp()
        yield _one("store_partitions_end_timestamp_seconds", "Until when rows have a partition to go to.", end)


def _drift(days: tuple[JudgedDay, ...]) -> Iterator[Metric]:
    if not days:
        return
    newest, report = days[-1], days[-1].report
    judged = max(each.judged_at for each in days).timestamp()
    yield _one("drift_last_run_timestamp_seconds", "When the drift job last judged a day.", judged)
    day = windows.midnight(report.day).timestamp()
    yield _one("drift_day_timestamp_seconds", "Midnight UTC at which the newest judged day began.", day)
    yield _by("drift_model", "1 for the model whose reference that day was compared with.", "tag", [(newest.tag, 1.0)])
    yield _by("drift_verdict", "1 for the verdict on the newest judged day.", "verdict", _chosen(report.verdict))
    counted = [(each.value, float(sum(day.report.verdict is each for day in days))) for each in drift.Verdict]
    yield _by("drift_days", f"Days by verdict, of the newest {DAYS} judged.", "verdict", counted)
    yield _one("drift_rows", "Scored rows of the newest judged day.", report.rows)
    yield _one("drift_late_rows", "Rows that came that day for days closed before.", report.late_rows)
    yield _one("drift_refused_ratio", "Share of that day's requests refused for what was sent.", report.refused_share)
    yield _one("drift_refused_limit_ratio", "Above it that share is DATA_FAULT.", report.refused_limit)
    yield from _fields(report.fields[:FIELDS])


def _fields(fields: tuple[drift.FieldReport, ...]) -> Iterator[Metric]:
    """Each number of each field; a field that had nothing to compare has no PSI."""
    shown: dict[str, tuple[str, Callable[[drift.FieldReport], float | None]]] = {
        "psi": ("Population stability index against the reference.", lambda each: each.psi),
        "psi_threshold": ("Above it the field's PSI is DRIFT.", lambda each: each.threshold),
        "missing_ratio": ("Share of missing values.", lambda each: each.missing_share),
        "missing_limit_ratio": ("Above it that share is DATA_FAULT.", lambda each: each.missing_limit),
        "unseen_ratio": ("Share of values in no category of the reference.", lambda each: each.unseen_share),
        "unseen_limit_ratio": ("Above it that share is DATA_FAULT.", lambda each: each.unseen_limit),
    }
    for name, (words, number) in shown.items():
        pairs = [(each.name, value) for each in fields if (value := number(each)) is not None]
        yield _by(f"drift_field_{name}", f"{words} Newest judged day.", "field", pairs)


def _quality(seen: Seen) -> Iterator[Metric]:
    row = seen.quality
    if row is None:
        return
    yield _one("quality_last_run_timestamp_seconds", "When the newest week was last judged.", row.made_at.timestamp())
    end = windows.midnight(row.window_end).timestamp()
    yield _one("quality_window_end_timestamp_seconds", "Midnight UTC at which the newest judged week ended.", end)
    yield _by("quality_model", "1 for the model that was judged.", "tag", [(row.tag, 1.0)])
    verdicts = [(each.value, float(each.value == row.verdict)) for each in quality_rule.Verdict]
    yield _by("quality_verdict", "1 for the verdict on that week.", "verdict", verdicts)
    if row.pr_auc is not None:
        yield _one("quality_pr_auc_ratio", "Area under precision and recall: what is judged.", row.pr_auc)
    if row.quality_limit is not None:
        yield _one("quality_pr_auc_limit_ratio", "Below it that area is QUALITY_LOSS.", row.quality_limit)
    yield _one("labels_events", "Events of that week that the model answered.", row.events)
    yield _one("labels_known", "Those whose label is known.", row.labelled)
    yield _one("labels_positives", "Those known to be fraud.", row.positives)
    delays = [(share, float(hours * _HOUR)) for share, hours in seen.delays if hours is not None]
    yield _by("labels_delay_seconds", "By then that share of all events has a label.", "share", delays)


def _chosen(verdict: drift.Verdict) -> list[tuple[str, float]]:
    return [(each.value, float(each is verdict)) for each in drift.Verdict]


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vigil_{name}", words, value=float(value))


def _by(name: str, words: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"vigil_{name}", words, labels=[label])
    for of, value in values:
        family.add_metric([of], value)
    return family


def _delays(connection: Connection, row: QualityRow) -> tuple[tuple[str, int | None], ...]:
    """How long labels took, from the details of a report."""
    query = """select numbers -> 'delay_hours' from quality_reports
        where tag = %s and window_end = %s and made_at = %s limit 1"""
    found = connection.execute(query, [row.tag, row.window_end, row.made_at]).fetchone()
    return tuple(found[0].items()) if found and found[0] else ()


def _partitions_end(connection: Connection) -> date | None:
    """The day after the last one that has a partition."""
    last = max(partitions.present(connection), default=None)
    if last is None:
        return None
    return datetime.strptime(last[-8:], "%Y%m%d").replace(tzinfo=UTC).date() + timedelta(days=1)
