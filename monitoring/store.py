"""What the prediction store says: every query of this package, each with a typed answer.

Aggregates are computed by the database, and what may be long is streamed, so memory stays flat however many rows there
are. Every query takes a window of `scored_at`; a bounded window also keeps the other days' partitions out of the plan.

Pairs: two rows of one request (equal request_id and event_id) under two roles, both with a score. A difference is the
right role's score minus the left's: positive when the right one sees more risk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, LiteralString, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from psycopg.rows import class_row

from bentos.risk_scorer.policy import Decision

from .migrations import Connection

Role = Literal["stable", "canary", "shadow"]
T = TypeVar("T")
ROLES: Final[tuple[Role, ...]] = get_args(Role)
DECISIONS: Final = tuple(Decision)

_WINDOWED: Final[LiteralString] = """
    with windowed as not materialized (
        select *, array_position(array['stable', 'canary', 'shadow'], role) as place
        from predictions
        where scored_at >= coalesce(%(start)s::timestamptz, '-infinity')
            and scored_at < coalesce(%(end)s::timestamptz, 'infinity')
    )
"""
"""What every query reads instead of the table: the window's rows, and each role's place in ROLES."""

_PAIRED: Final[LiteralString] = """
    , pairs as (
        select other.score - one.score as difference, one.decision as one_decision, other.decision as other_decision
        from (select * from windowed where role = %(left)s and score is not null) as one
        join (select * from windowed where role = %(right)s and score is not null) as other
            using (request_id, event_id)
    )
"""
_CHUNK: Final = 10_000
"""Rows that a streaming query fetches at a time."""


@dataclass(frozen=True)
class Window:
    """From `start` on and before `end`; None is unbounded. Times carry an offset."""

    start: datetime | None = None
    end: datetime | None = None


ALWAYS: Final = Window()


@dataclass(frozen=True)
class Traffic:
    """One role's rows.

    `share` is of the requests that the split gave to stable and canary, so that a full mirror has a share of 1; None
    when the split had none.
    """

    role: Role
    rows: int
    requests: int
    entities: int
    share: float | None
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Latency:
    """Of one role's scored rows, in microseconds, interpolated."""

    role: Role
    rows: int
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: int


@dataclass(frozen=True)
class LatencyBucket:
    """Scored rows of a role that took up to `upto_us` microseconds and longer than the bucket below allows."""

    role: Role
    upto_us: float
    rows: int


@dataclass(frozen=True)
class StatusCount:
    role: Role
    status: int
    rows: int


@dataclass(frozen=True)
class DecisionCount:
    role: Role
    decision: str
    rows: int


@dataclass(frozen=True)
class Version:
    """A model that answered under a role."""

    role: Role
    tag: str
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Stickiness:
    """Entities that stable or canary answered, and those that both did."""

    entities: int
    moved: int


@dataclass(frozen=True)
class Instant:
    """Rows of a role in the interval that begins at `at`."""

    at: datetime
    role: Role
    rows: int


@dataclass(frozen=True)
class Pairs:
    """Score differences of pairs. `sd` is the sample's, None below two pairs; `flips` are pairs with two decisions."""

    pairs: int
    mean: float
    sd: float | None
    low: float
    p05: float
    p50: float
    p95: float
    high: float
    flips: int


@dataclass(frozen=True)
class DifferenceBin:
    """Pairs whose difference lies in [low, high); the last bin has its `high` too."""

    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Labelled:
    """Scores of one model and what the events turned out to be, one entry an event: both of shape (events,)."""

    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int8]


def traffic(connection: Connection, window: Window = ALWAYS) -> tuple[Traffic, ...]:
    """Rows, requests, entities and share of each role that has rows, in the order of ROLES."""
    query: LiteralString = """
        select role, count(*) as rows, count(distinct request_id) as requests, count(distinct entity_id) as entities,
            (count(distinct request_id)
                / nullif(sum(count(distinct request_id)) filter (where role in ('stable', 'canary')) over (), 0)
            )::float8 as share,
            min(scored_at) as first, max(scored_at) as last
        from windowed group by role, place order by place"""
    return _rows(connection, Traffic, query, window)


def latencies(connection: Connection, window: Window = ALWAYS) -> tuple[Latency, ...]:
    """Percentiles of each role's latency over its scored rows: a refusal is not the work that is measured."""
    query: LiteralString = """
        select role, count(*) as rows, max(latency_us) as max_us,
            percentile_cont(0.50) within group (order by latency_us) as p50_us,
            percentile_cont(0.95) within group (order by latency_us) as p95_us,
            percentile_cont(0.99) within group (order by latency_us) as p99_us
        from windowed where score is not null group by role, place order by place"""
    return _rows(connection, Latency, query, window)


def latency_buckets(connection: Connection, window: Window = ALWAYS, per_decade: int = 50) -> tuple[LatencyBucket, ...]:
    """Each role's latencies counted in buckets of equal width on a log scale; empty buckets are left out."""
    query: LiteralString = """
        select role, 10 ^ (step::float8 / %(per_decade)s) as upto_us, count(*) as rows
        from (
            select role, place, ceil(log(greatest(latency_us, 1)::float8) * %(per_decade)s)::int as step
            from windowed where score is not null
        ) as steps
        group by role, place, step order by place, step"""
    return _rows(connection, LatencyBucket, query, window, per_decade=per_decade)


def statuses(connection: Connection, window: Window = ALWAYS) -> tuple[StatusCount, ...]:
    """Rows of each role by the status of the answer."""
    query: LiteralString = """
        select role, status, count(*) as rows from windowed group by role, place, status order by place, status"""
    return _rows(connection, StatusCount, query, window)


def decisions(connection: Connection, window: Window = ALWAYS) -> tuple[DecisionCount, ...]:
    """Scored rows of each role by decision."""
    query: LiteralString = """
        select role, decision, count(*) as rows from windowed where decision is not null
        group by role, place, decision order by place, decision"""
    return _rows(connection, DecisionCount, query, window)


def versions(connection: Connection, window: Window = ALWAYS) -> tuple[Version, ...]:
    """The models that answered under each role, in the order of their first row."""
    query: LiteralString = """
        select role, tag, count(*) as rows, min(scored_at) as first, max(scored_at) as last
        from windowed group by role, place, tag order by place, first, tag"""
    return _rows(connection, Version, query, window)


def stickiness(connection: Connection, window: Window = ALWAYS) -> Stickiness:
    """How many entities the split kept on one side. While weights stand still, none moves."""
    query: LiteralString = """
        select count(*) as entities, count(*) filter (where sides > 1) as moved
        from (
            select count(distinct role) as sides from windowed
            where role in ('stable', 'canary') and entity_id is not null group by entity_id
        ) as each_entity"""
    return _rows(connection, Stickiness, query, window)[0]


def timeline(connection: Connection, step: timedelta, window: Window = ALWAYS) -> tuple[Instant, ...]:
    """Rows of each role in intervals of `step` since 1970, in order; intervals without rows are left out."""
    query: LiteralString = """
        select date_bin(%(step)s, scored_at, 'epoch'::timestamptz) as at, role, count(*) as rows
        from windowed group by at, role, place order by at, place"""
    return _rows(connection, Instant, query, window, step=step)


def pairs(connection: Connection, left: Role, right: Role, window: Window = ALWAYS) -> Pairs | None:
    """The score differences right - left and the changed decisions; None when there is no pair."""
    query: LiteralString = """
        select count(*) as pairs, avg(difference) as mean, stddev_samp(difference) as sd,
            min(difference) as low, max(difference) as high,
            percentile_cont(0.05) within group (order by difference) as p05,
            percentile_cont(0.50) within group (order by difference) as p50,
            percentile_cont(0.95) within group (order by difference) as p95,
            count(*) filter (where one_decision <> other_decision) as flips
        from pairs"""
    (summary,) = _rows(connection, Pairs, _PAIRED + query, window, left=left, right=right)
    return summary if summary.pairs else None


def differences(
    connection: Connection, left: Role, right: Role, edges: Sequence[float], window: Window = ALWAYS
) -> tuple[DifferenceBin, ...]:
    """The pairs' differences counted in the bins between rising `edges`, with the empty ones; others are left out."""
    query: LiteralString = """
        select least(width_bucket(difference, %(edges)s::float8[]), %(bins)s), count(*)
        from pairs where difference between %(low)s and %(high)s group by 1"""
    bins = len(edges) - 1
    parameters = {
        "left": left,
        "right": right,
        "edges": [float(edge) for edge in edges],
        "bins": bins,
        "low": edges[0],
        "high": edges[-1],
    }
    found: dict[int, int] = dict(
        connection.execute(_WINDOWED + _PAIRED + query, _parameters(window, parameters)).fetchall()
    )
    return tuple(DifferenceBin(edges[n], edges[n + 1], found.get(n + 1, 0)) for n in range(bins))


def flips(
    connection: Connection, left: Role, right: Role, window: Window = ALWAYS
) -> dict[tuple[Decision, Decision], int]:
    """Pairs by (left's decision, right's decision): all nine, in the order of DECISIONS."""
    query: LiteralString = "select one_decision, other_decision, count(*) from pairs group by 1, 2"
    parameters = _parameters(window, {"left": left, "right": right})
    rows = connection.execute(_WINDOWED + _PAIRED + query, parameters).fetchall()
    found = {(one, other): count for one, other, count in rows}
    return {(one, other): found.get((one, other), 0) for one in DECISIONS for other in DECISIONS}


def request_ids(
    connection: Connection, role: Role, statuses: range | None = None, window: Window = ALWAYS
) -> Iterator[str]:
    """The request id of every row of a role, sorted by code point; an id that has two rows comes twice.

    `statuses` limits them to a range of statuses, as in range(200, 300). The order is Python's own, so the stream can
    be compared with a sorted list in one pass. The connection is busy until the iterator ends.
    """
    query: LiteralString = """
        select request_id from windowed
        where role = %(role)s and status >= coalesce(%(first)s::int, 0) and status < coalesce(%(end_status)s::int, 1000)
        order by request_id collate "C" """
    first, end = (None, None) if statuses is None else (statuses.start, statuses.stop)
    for (request_id,) in _stream(connection, query, window, role=role, first=first, end_status=end):
        yield request_id


def labelled(connection: Connection, tag: str, window: Window = ALWAYS) -> Labelled:
    """The scores of one model, under whatever role, with each event's newest label: one entry an event.

    An event that the model scored more than once counts with its first score. Nine bytes an event.
    """
    query: LiteralString = """
        select score, label
        from (
            select distinct on (event_id) event_id, score from windowed
            where tag = %(tag)s and score is not null
            order by event_id, scored_at, place
        ) as first_scores
        join (select distinct on (event_id) event_id, label from labels order by event_id, known_at desc) as newest
            using (event_id)"""
    dtype = np.dtype([("score", np.float64), ("label", np.int8)])
    table = np.fromiter(_stream(connection, query, window, tag=tag), dtype=dtype)
    return Labelled(scores=table["score"], labels=table["label"])


def _rows(
    connection: Connection, kind: type[T], query: LiteralString, window: Window, **parameters: object
) -> tuple[T, ...]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(_WINDOWED + query, _parameters(window, parameters)).fetchall())


def _stream(
    connection: Connection, query: LiteralString, window: Window, **parameters: object
) -> Iterator[tuple[Any, ...]]:
    """The rows by a cursor in the server, `_CHUNK` at a time."""
    with connection.transaction(), connection.cursor(name="stream") as cursor:
        cursor.itersize = _CHUNK
        yield from cursor.execute(_WINDOWED + query, _parameters(window, parameters))


def _parameters(window: Window, others: Mapping[str, object]) -> dict[str, object]:
    return {"start": window.start, "end": window.end, **others}
