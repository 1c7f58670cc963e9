"""Labels joined with what was scored: counts over a window, and a sample of it that has a bounded size.

A window is whole UTC days by `occurred_at`. What counts is what the model answered as stable or canary; a shadow
answered nobody. A label counts as it is known at a given time: an event without one is unknown, and never taken for a
negative, unless the caller says from which age on it is one (where only frauds are ever reported).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES

from .migrations import Connection

MOST: Final = 200_000
"""Labelled events that are read at most; of more, all those of some entities are."""

_SLICES: Final = 10_000
_CHUNK: Final = 5_000

_KNOWN: Final[LiteralString] = """
    with known as (
        select event_id, min(known_at) as first_known, (array_agg(label order by known_at desc))[1] as label
        from labels where known_at >= %(start)s - interval '1 day' and known_at <= %(now)s
        group by event_id
    ), scored as (
        select coalesce(entity_id, request_id) as entity, event_id, occurred_at, scored_at, fields, score, decision
        from predictions
        where tag = %(tag)s and role in ('stable', 'canary') and score is not null
            and scored_at >= %(start)s - interval '10 minutes' and scored_at <= %(now)s
            and occurred_at >= %(start)s and occurred_at < %(end)s
    ), events as (
        select scored.*, first_known,
            coalesce(label, case when occurred_at < %(negatives_before)s::timestamptz then 0 end) as label
        from scored left join known using (event_id)
    )"""
"""No label can be known before its event happened, and none is scored more than 5 minutes before: that prunes both."""

_COUNTS: Final[LiteralString] = (
    _KNOWN  # noqa: S608 - made of this module's own text
    + """
    select (occurred_at at time zone 'UTC')::date as day, decision, label,
        greatest(0, floor(extract(epoch from coalesce(first_known, %(now)s) - occurred_at) / 3600))::int as hours,
        first_known is not null as known, count(*)
    from events group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5"""
)
_SAMPLE: Final[LiteralString] = (
    _KNOWN  # noqa: S608 - as above
    + """
    select distinct on (event_id) entity, score, label, fields from events
    where label is not null
        and (('x' || substr(md5(entity), 1, 8))::bit(32)::bigint & 2147483647) %% %(slices)s < %(taken)s
    order by event_id, scored_at"""
)
_NEWEST: Final[LiteralString] = """
    select tag from predictions where role = 'stable' and score is not null and scored_at >= %(start)s
        and scored_at <= %(now)s
    order by scored_at desc limit 1"""


@dataclass(frozen=True)
class Days:
    """Whole UTC days: `first` and those up to the one before `end`."""

    first: date
    end: date

    @property
    def start_time(self) -> datetime:
        return datetime.combine(self.first, time.min, tzinfo=UTC)

    @property
    def end_time(self) -> datetime:
        return datetime.combine(self.end, time.min, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """Whose events, as known when. `negatives_after`: an event older than this without a label is a negative."""

    tag: str
    now: datetime
    negatives_after: timedelta | None = None


@dataclass(frozen=True)
class Count:
    """Events of a day and a decision whose label is this (None: not known) and took so many whole hours.

    `known` is False where there is no label, also where the event is old enough to be taken for a negative: the hours
    are then the event's age. An event that was scored twice counts twice.
    """

    day: date
    decision: str
    label: int | None
    hours: int
    known: bool
    events: int


@dataclass(frozen=True)
class Sample:
    """Labelled events, each once, by its first score: arrays of equal length, and every feature as a column.

    `groups` numbers the entities from 0 on. `share` of the entities is in it; 1: all of them.
    """

    groups: NDArray[np.int64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int8]
    columns: dict[str, NDArray[Any]]
    share: float


def matured_days(now: datetime, matures: timedelta, days: int) -> Days:
    """The newest whole days whose events are all as old as `matures`."""
    end = (now - matures).astimezone(UTC).date()
    return Days(end - timedelta(days=days), end)


def serving(connection: Connection, days: Days, now: datetime) -> str | None:
    """The model that answered last as stable; None: none since the window began."""
    row = connection.execute(_NEWEST, {"start": days.start_time, "now": now}).fetchone()
    return row[0] if row else None


def counts(connection: Connection, asked: Asked, days: Days) -> tuple[Count, ...]:
    """The events of the days, counted in the database. Rows of the answer grow with days and hours, not with events."""
    return tuple(Count(*row) for row in connection.execute(_COUNTS, _values(asked, days)).fetchall())


def sample(connection: Connection, asked: Asked, days: Days, labelled: int, most: int = MOST) -> Sample:
    """The labelled events of the days, about `most` of them: the same entities at each call. `labelled`: all there are.

    Whole entities, so that drawing entities again says how sure a figure is.
    """
    taken = _SLICES if labelled <= most else max(1, _SLICES * most // labelled)
    parameters = _values(asked, days) | {"slices": _SLICES, "taken": taken}
    names: dict[str, int] = {}
    groups, scores, labels = [], [], []
    columns: dict[str, list[Any]] = {field.name: [] for field in FEATURES}
    for entity, score, label, fields in _stream(connection, parameters):
        groups.append(names.setdefault(entity, len(names)))
        scores.append(score)
        labels.append(label)
        for name, values in columns.items():
            values.append((fields or {}).get(name))
    return Sample(
        groups=np.array(groups, dtype=np.int64),
        scores=np.array(scores, dtype=np.float64),
        labels=np.array(labels, dtype=np.int8),
        columns={field.name: _column(field.kind, columns[field.name]) for field in FEATURES},
        share=taken / _SLICES,
    )


def _column(kind: str, values: list[Any]) -> NDArray[Any]:
    """Numbers with NaN where missing, categories with None."""
    return np.array(values, dtype=object if kind == "category" else np.float64)


def _stream(connection: Connection, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.transaction(), connection.cursor(name="labelled") as cursor:
        cursor.itersize = _CHUNK
        yield from cursor.execute(_SAMPLE, parameters)


def _values(asked: Asked, days: Days) -> dict[str, Any]:
    after = asked.negatives_after
    return {
        "tag": asked.tag,
        "now": asked.now,
        "negatives_before": None if after is None else asked.now - after,
        "start": days.start_time,
        "end": days.end_time,
    }
