"""How much stable's own entities differ: counts in hash slices, hour by hour, kept in `rollout_noise`.

A slice is the first 32 bits of md5(entity_id) mod 20, and the twentieth is left out: 19 slices of 5 % each, which have
nothing to do with the hash that the traffic is split by. Requests without an entity are in none. Within an hour an
entity counts once for errors and for flagged, with its requests until then as exposure; over_slo counts requests. A
batch of several entities is a request of each.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from typing import Final, Literal, LiteralString

from psycopg.rows import class_row

from .migrations import Connection

SLICES: Final = 20
USED: Final = 19

PARTS: Final = ((0, 4), (5, 9), (10, 14), (15, USED - 1))
"""First and last slices: an hour is counted in four, as all of 900,000 rows took 4 seconds at once."""

Part = tuple[datetime, tuple[int, int]]
"""An hour, and which slices of it."""

Metric = Literal["errors", "over_slo", "flagged"]


@dataclass(frozen=True)
class Slice:
    """Events of a metric in one slice in one hour, and the requests that could have been some."""

    hour: datetime
    metric: Metric
    slice: int
    events: int
    exposure: int


_COUNTED: Final[LiteralString] = """
    select distinct hour, slice from rollout_noise
    where tag = %(tag)s and slo_ms = %(slo_ms)s and hour >= %(start)s and hour < %(end)s"""
_SLICES: Final[LiteralString] = """
    select hour, metric, slice, events, exposure from rollout_noise
    where tag = %(tag)s and slo_ms = %(slo_ms)s and hour >= %(start)s and hour < %(end)s
    order by hour, metric, slice"""
_SLICE: Final[LiteralString] = "('x' || substr(md5(entity_id), 1, 8))::bit(32)::bigint % 20"
_ADD: Final[LiteralString] = f"""
    with requests as (
        select entity_id, min(scored_at) as at,
            bool_or(status >= 500 or status = 429) as error,
            coalesce(bool_or(status between 200 and 299 and decision in ('review', 'block')), false) as flagged,
            bool_or(latency_us > %(slo_ms)s * 1000) as slow
        from predictions
        where scored_at >= %(start)s and scored_at < %(end)s and role = 'stable' and tag = %(tag)s
            and {_SLICE.replace("%", "%%")} between %(first)s and %(last)s
        group by request_id, entity_id
    ), entities as (
        select entity_id, min(at) filter (where error) as error_at, min(at) filter (where flagged) as flagged_at
        from requests group by entity_id
    ), counts as (
        select {_SLICE.replace("%", "%%")} as slice, count(*) as requests, count(*) filter (where slow) as slow,
            count(distinct entity_id) filter (where error) as errors,
            count(*) filter (where at <= coalesce(error_at, 'infinity')) as errors_exposure,
            count(distinct entity_id) filter (where flagged) as flagged,
            count(*) filter (where at <= coalesce(flagged_at, 'infinity')) as flagged_exposure
        from requests join entities using (entity_id) group by 1
    )
    insert into rollout_noise (hour, tag, slo_ms, slice, metric, events, exposure)
    select %(start)s, %(tag)s, %(slo_ms)s, slice, metric, coalesce(events, 0), coalesce(exposure, 0)
    from generate_series(%(first)s::int, %(last)s::int) as slices (slice) left join counts using (slice)
    cross join lateral (values
        ('errors', errors, errors_exposure), ('over_slo', slow, requests), ('flagged', flagged, flagged_exposure)
    ) as metrics (metric, events, exposure)
    on conflict do nothing"""  # noqa: S608 - made of this module's own text


def counted(connection: Connection, tag: str, slo_ms: float, first: datetime, end: datetime) -> set[Part]:
    """The parts of the hours from `first` on and before `end` that were counted."""
    values = {"tag": tag, "slo_ms": slo_ms, "start": first, "end": end}
    found = set(connection.execute(_COUNTED, values).fetchall())
    return {(hour, part) for hour in {hour for hour, _ in found} for part in PARTS if (hour, part[0]) in found}


def slices(connection: Connection, tag: str, slo_ms: float, first: datetime, end: datetime) -> tuple[Slice, ...]:
    """What was counted in the hours from `first` on and before `end`, in order."""
    values = {"tag": tag, "slo_ms": slo_ms, "start": first, "end": end}
    with connection.cursor(row_factory=class_row(Slice)) as cursor:
        return tuple(cursor.execute(_SLICES, values).fetchall())


def add(connection: Connection, tag: str, slo_ms: float, part: Part) -> None:
    """Counts a part of a model's rows as stable, also when it has none. Counting it again changes nothing."""
    hour, (first, last) = part
    values = {"tag": tag, "slo_ms": slo_ms, "start": hour, "end": hour + timedelta(hours=1)}
    connection.execute(_ADD, values | {"first": first, "last": last})


def slice_of(entity: str) -> int:
    """An entity's slice, 0 to 19; those of the last one are left out."""
    return int.from_bytes(md5(entity.encode(), usedforsecurity=False).digest()[:4], "big") % SLICES
