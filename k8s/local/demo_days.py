"""Days after the demo's own, for the drift job: some as events come, some with a change that is known.

They are written as the scorers' log writes, into a database of their own on the demo's server (what the demo's other
checks count is not among them), and each is judged by the daily job on its own morning: the clock is simulated.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from bentos import offline
from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.prediction_log import COLUMNS
from k8s.local.errors import NotRunningError
from monitoring import drift_job, drift_pages, drift_reports, model_files, partitions, windows
from monitoring.drift_job import Judging
from monitoring.drift_reports import JudgedDay
from training import event_rows
from training.datasets import Dataset

DATABASE: Final = "drifted_days"
ROWS: Final = 1_000
"""Requests of a day: twice as many as a day needs to be judged."""
LOST: Final = 0.2
DEARER: Final = 1.5
FEWEST_KNOWN: Final = 0.5
"""A field that is known less often has nothing to lose."""

_MORNING: Final = timedelta(days=1, hours=6, minutes=30)
_COPY: Final = f"copy predictions ({', '.join(COLUMNS)}) from stdin"


class Change(StrEnum):
    """What a day's events are."""

    NONE = "as events come"
    LOSES = "a fifth of a field gets lost"
    SILENT = "nobody asks"
    DEARER = "amounts half as high again"


STORY: Final = (*[Change.NONE] * 3, Change.LOSES, Change.NONE, Change.SILENT, *[Change.NONE] * 2, *[Change.DEARER] * 3)


@dataclass(frozen=True)
class Site:
    """Who answers and where it is kept. The connection strings are of the days' own database."""

    tag: str
    bento: Path
    artifacts: str
    owner: str
    stable: str
    drift: str
    pages: Path


@dataclass(frozen=True)
class LivedDay:
    """A day, what was done to its events, and what the drift job says of it. `field`: what got lost, if something."""

    change: Change
    field: str
    judged: JudgedDay

    @property
    def day(self) -> date:
        return self.judged.report.day

    @property
    def words(self) -> str:
        return f"{LOST:.0%} of {self.field} get lost" if self.change is Change.LOSES else str(self.change)


def live_through(site: Site, live: Dataset, last: date, seed: int) -> tuple[LivedDay, ...]:
    """The days of `STORY`, the last one on `last`, each judged. Events are drawn from `live`.

    Where no field that may be missing is known well enough to lose anything, the day that would lose it is left as it
    is. Raises NotRunningError, MonitoringError.
    """
    lost = losable(live)
    changes = [Change.NONE if change is Change.LOSES and not lost else change for change in STORY]
    first = last - timedelta(days=len(changes) - 1)
    with psycopg.connect(site.owner) as owner:
        partitions.ensure(owner, first, len(changes) + 2)
    written = _rows(site, live, changes, first, np.random.default_rng(seed), lost)
    judged: list[JudgedDay] = []
    with psycopg.connect(site.drift, autocommit=True) as connection:
        for rows in written:
            _write(site.stable, rows)
            judged.append(_judge(connection, site, first + timedelta(days=len(judged))))
        drift_pages.put_overview(connection, drift_pages.open_place(str(site.pages)), windows.midnight(last) + _MORNING)
    return tuple(LivedDay(change, lost, each) for change, each in zip(changes, judged, strict=True))


def losable(live: Dataset) -> str:
    """The watched field that may be missing and is known most often; empty when none is known often enough."""
    shares = {
        field.name: float(live.frame[field.name].notna().mean())
        for field in FEATURES
        if field.watch and not field.required
    }
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] >= FEWEST_KNOWN else ""


def changed(drawn: Dataset, change: Change, lost: str, rng: np.random.Generator) -> Dataset:
    """The events of a day after its change."""
    frame = drawn.frame.reset_index(drop=True)
    if change is Change.LOSES:
        frame[lost] = frame[lost].mask(rng.random(len(frame)) < LOST)
    elif change is Change.DEARER:
        frame["amount"] = frame["amount"] * DEARER
    return Dataset(frame, ())


def _rows(
    site: Site, live: Dataset, changes: Sequence[Change], first: date, rng: np.random.Generator, lost: str
) -> list[list[tuple[Any, ...]]]:
    """The rows of each day, scored by the Bento's own code in one go."""
    days = []
    for change in changes:
        drawn = live.take(rng.integers(0, len(live), 0 if change is Change.SILENT else ROWS))
        days.append(list(event_rows.known_features(changed(drawn, change, lost, rng))))
    try:
        answers = offline.score(offline.Program.of_bento(site.bento), [event for day in days for event in day])
    except offline.OfflineError as error:
        raise NotRunningError(f"{site.tag} can't score the drifted days: {error}") from error
    answered = zip(answers.scores.tolist(), answers.decisions.tolist(), strict=True)
    return [
        list(_logged(site.tag, first + timedelta(days=number), events, answered)) for number, events in enumerate(days)
    ]


def _logged(tag: str, day: date, events: Sequence[Any], answered: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    """A day's rows in the columns of the log, evenly over the day. A refused event has no score."""
    for number, event in enumerate(events):
        score, decision = next(answered)
        name, at = f"{day}-{number}", windows.midnight(day) + number * timedelta(days=1) / len(events)
        outcome = (200, json.dumps(event), score, decision) if decision else (422, "[]", None, None)
        yield (name, name, name, tag, at, at, *outcome, 1_000)


def _write(dsn: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)


def _judge(connection: psycopg.Connection, site: Site, day: date) -> JudgedDay:
    """What the daily job says on the next morning."""
    now = windows.midnight(day) + _MORNING
    references = functools.cache(lambda tag: model_files.published_reference(tag, site.artifacts))
    drift_reports.lock(connection)
    *_, judged = drift_job.judge(connection, drift_job.due(connection, now), Judging(references, now))
    return judged
