"""Days of the prediction store to counts: what `drift` judges, counted by the database.

A day is a whole UTC day by `occurred_at`, and by `scored_at` where that is not known. It closes six hours after its
end: rows that come later are counted, with the day that is open then, and judged with none. Fields are counted on what
stable and canary answered; score and decision on what the day's model answered, under either role.

One pass over the day's rows counts every field, as a grouping set of its own: the database keeps a counter for each bin
and the job gets these, so neither's memory grows with the rows. Half a million rows take about two seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql

from bentos.risk_scorer.events import NEWEST
from bentos.risk_scorer.reference import DECISION, SCORE, Reference, ReferenceField

from .drift import FieldCounts, Window
from .migrations import Connection

CLOSES: Final = timedelta(hours=6)
"""How long after its end a day stays open for rows that come late: a spool outlives a short outage."""

ROW_LIMIT: Final = 500_000
"""Rows whose values are counted; of a day with more, a sample. Its PSI differs by about .00002 from the whole day's, by
(bins - 1) / rows, and the lowest threshold is .05: more rows would cost time and say nothing."""

_DAY: Final = timedelta(days=1)
_PROBE: Final = timedelta(minutes=5)
_SHARES: Final = 1_000_000
"""A sample is the rows whose hash falls into the first so many of a million slices."""

_MISSING: Final = -1
_UNSEEN: Final = -2
_REFUSED: Final = -3
"""What stands for a bin where a value is in none."""


@dataclass(frozen=True)
class Counted:
    """A window, and how many of its rows were counted field by field."""

    window: Window
    sampled: int


def closed_by(now: datetime) -> date:
    """The newest day that is closed."""
    return (now - CLOSES).astimezone(UTC).date() - _DAY


def first_day(connection: Connection) -> date | None:
    """The day of the oldest row that a stable model left; None without any."""
    ((first,),) = connection.execute(_FIRST).fetchall()
    return None if first is None else first.astimezone(UTC).date()


def stable_tag(connection: Connection, day: date) -> str | None:
    """The model that served a day as stable, or most of it; of a day without rows, the last one before it.

    Looked at every five minutes, by the first row of each, which costs 288 look-ups however many rows there are. The
    rows know it better than any record of promotions: it is who answered. None when no stable row is as old.
    """
    start = midnight(day)
    values = {"start": start, "last": start + _DAY - _PROBE, "probe": _PROBE}
    found = connection.execute(_SERVED, values).fetchone() or connection.execute(_SERVED_BEFORE, values).fetchone()
    return None if found is None else str(found[0])


def count(connection: Connection, day: date, tag: str, reference: Reference, limit: int = ROW_LIMIT) -> Counted:
    """What the store has of a day, in the bins of the reference; score and decision only of the model `tag`."""
    query, values = _query(reference)
    span = _span(day) | {"tag": tag}
    share = {"share": _sampled_share(connection, span, limit), "shares": _SHARES}
    return _counted(day, reference, connection.execute(query, values | span | share).fetchall())


def explained(connection: Connection, day: date, tag: str, reference: Reference) -> list[str]:
    """How the database counts a day: the lines of its EXPLAIN ANALYZE."""
    query, values = _query(reference)
    values |= _span(day) | {"tag": tag, "share": _SHARES, "shares": _SHARES}
    return [line for (line,) in connection.execute(sql.SQL("explain (analyze) ") + query, values)]


def midnight(day: date) -> datetime:
    """When a UTC day begins."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def _span(day: date) -> dict[str, Any]:
    """The moments of a day: `first` to `last` is when its rows may have been scored."""
    start = midnight(day)
    return {
        "first": start - NEWEST, "start": start, "open": start + CLOSES,
        "end": start + _DAY, "last": start + _DAY + CLOSES,
    }  # fmt: skip


_FIRST: Final[LiteralString] = "select min(scored_at) from predictions where role = 'stable'"
_SERVED: Final[LiteralString] = """
    select tag
    from generate_series(%(start)s::timestamptz, %(last)s::timestamptz, %(probe)s::interval) as probes (at)
    cross join lateral (
        select tag, scored_at from predictions
        where scored_at >= at and scored_at < at + %(probe)s and role = 'stable' order by scored_at limit 1
    ) as found
    group by tag order by count(*) desc, max(scored_at) desc limit 1"""
_SERVED_BEFORE: Final[LiteralString] = """
    select tag from predictions where scored_at < %(start)s and role = 'stable' order by scored_at desc limit 1"""
_SCANNED: Final[LiteralString] = """
    select count(*) from predictions where scored_at >= %(first)s and scored_at < %(last)s"""

_ROWS: Final[LiteralString] = """
    select tag, fields, score, decision, kind,
        kind = 'scored' and hashtextextended(request_id, 0) & 2147483647
            < 2147483648 * %(share)s::bigint / %(shares)s as taken
    from (
        select *, case
            when status between 200 and 299 and score is not null then case
                when coalesce(occurred_at, scored_at) >= %(start)s and coalesce(occurred_at, scored_at) < %(end)s
                    then 'scored'
                when occurred_at < %(start)s and scored_at >= %(open)s then 'late'
                end
            when status between 400 and 499 and status not in (408, 429, 499)
                and scored_at >= %(start)s and scored_at < %(end)s then 'refused'
            end as kind
        from predictions
        where scored_at >= %(first)s and scored_at < %(last)s and role in ('stable', 'canary')
    ) as every
    where kind is not null"""
"""The rows that say something about a day. 408, 429 and 499 are not about what was sent."""

_BIN: Final[LiteralString] = """case
    when kind = 'refused' then case
        when jsonb_typeof(fields) = 'array' and fields ? {name} then {refused} end
    when not taken then null
    when coalesce(jsonb_typeof(fields -> {name}), 'null') = 'null' then {missing}
    {when_known}
    else {unseen} end"""
_NUMBER: Final[LiteralString] = """when jsonb_typeof(fields -> {name}) = 'number'
        then width_bucket((fields -> {name})::float8, {edges}::float8[])"""
_CATEGORY: Final[LiteralString] = """when fields ->> {name} = any({categories}::text[])
        then array_position({categories}::text[], fields ->> {name}) - 1"""
_SCORE: Final[LiteralString] = "case when taken and tag = %(tag)s then width_bucket(score, {edges}::float8[]) end"
_DECISION: Final[LiteralString] = """case when taken and tag = %(tag)s
    then coalesce(array_position({categories}::text[], decision) - 1, {unseen}) end"""


def _sampled_share(connection: Connection, span: Mapping[str, Any], limit: int) -> int:
    """How many of the slices to take. Counting rows reads the index alone, so it costs little beside the rest."""
    ((rows,),) = connection.execute(_SCANNED, span).fetchall()
    return _SHARES if rows <= limit else max(1, _SHARES * limit // rows)


def _query(reference: Reference) -> tuple[sql.Composed, dict[str, Any]]:
    """The query that counts every field of a reference in one pass, and the values of its placeholders.

    It answers a row for each kind of row, each bin of a field, and whether rows were taken: kind, taken, a column for
    each field, and the number.
    """
    values: dict[str, Any] = {}
    bins = [_bin(position, name, field, values) for position, (name, field) in enumerate(reference.fields.items())]
    names = [sql.Identifier(f"b{position}") for position in range(len(bins))]
    columns = [sql.SQL("{} as {}").format(each, name) for each, name in zip(bins, names, strict=True)]
    query = sql.SQL(
        "select kind, taken, {names}, count(*) from (select kind, taken, {columns} from ({rows}) as chosen) as binned "
        "group by grouping sets ((kind, taken), {sets})"
    ).format(
        names=sql.SQL(", ").join(names),
        columns=sql.SQL(", ").join(columns),
        rows=sql.SQL(_ROWS),
        sets=sql.SQL(", ").join(sql.SQL("({})").format(name) for name in names),
    )
    return query, values


def _bin(position: int, name: str, field: ReferenceField, values: dict[str, Any]) -> sql.Composed:
    """The expression for a field's bin; what it compares with goes into `values`."""
    key = f"given{position}"
    values[key] = list(field.edges if field.kind == "number" else field.categories)
    parts = {
        "name": sql.Literal(name),
        "edges": sql.Placeholder(key),
        "categories": sql.Placeholder(key),
        "missing": sql.Literal(_MISSING),
        "unseen": sql.Literal(_UNSEEN),
        "refused": sql.Literal(_REFUSED),
    }
    if name in {SCORE, DECISION}:
        return sql.SQL(_SCORE if name == SCORE else _DECISION).format(**parts)
    known = sql.SQL(_NUMBER if field.kind == "number" else _CATEGORY).format(**parts)
    return sql.SQL(_BIN).format(when_known=known, **parts)


def _counted(day: date, reference: Reference, found: list[tuple[Any, ...]]) -> Counted:
    """The rows of the query's answer as a window."""
    kinds = {(kind, taken): number for kind, taken, *_, number in found if kind is not None}
    bins: list[dict[int, int]] = [{} for _ in reference.fields]
    for _, _, *columns, number in found:
        for each, place in zip(bins, columns, strict=True):
            if place is not None:
                each[place] = number
    fields = {
        name: FieldCounts(
            bins=tuple(counts.get(place, 0) for place in range(field.bins)),
            missing=counts.get(_MISSING, 0),
            unseen=counts.get(_UNSEEN, 0),
            refused=counts.get(_REFUSED, 0),
        )
        for (name, field), counts in zip(reference.fields.items(), bins, strict=True)
    }
    sampled = kinds.get(("scored", True), 0)
    window = Window(
        day=day,
        rows=sampled + kinds.get(("scored", False), 0),
        fields=fields,
        refused=kinds.get(("refused", False), 0),
        late_rows=kinds.get(("late", False), 0),
    )
    return Counted(window, sampled)
