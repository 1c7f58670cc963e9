"""The counts of a block of a rollout: SQL that reads the block's rows alone, and counts an entity once.

An entity counts once per metric per attempt: who was counted stands in `rollout_counted`. Each query here reads a
block and adds whom it counts to that table in one statement, so that the caller, who records the block in the same
transaction, counts exactly once whatever dies. Rows of one request (a batch) are one request: an error when any of
them is, flagged when any of them is, as slow as the slowest; it has an entity when they all have the same one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, TypeVar, get_args

from psycopg.rows import dict_row

from .migrations import Connection

Role = Literal["stable", "canary", "shadow"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True)
class Span:
    """From `start` on and before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Models:
    """Whose rows count, in which attempt, and the latency objective."""

    attempt: str
    stable: str
    candidate: str
    slo_ms: float


@dataclass(frozen=True)
class ArmCounts:
    """One role's requests in a block; `k8s.rollout.blocks.Arm` says what the words mean."""

    requests: int = 0
    errors: int = 0
    over_slo: int = 0
    over_500ms: int = 0
    flagged: int = 0
    errors_new: int = 0
    errors_at_risk: int = 0
    flagged_new: int = 0
    flagged_at_risk: int = 0


@dataclass(frozen=True)
class PairCounts:
    """Pairs of a block, as in `k8s.rollout.blocks.PairSums`, and how many each side flags."""

    pairs: int = 0
    up: int = 0
    down: int = 0
    sum_diff: float = 0.0
    sum_diff2: float = 0.0
    stable_flagged: int = 0
    shadow_flagged: int = 0


Counts = TypeVar("Counts", ArmCounts, PairCounts)

_REQUEST: Final[LiteralString] = """
    request_id, min(scored_at) as at,
    case when min(entity_id) = max(entity_id) then min(entity_id) end as entity,
    bool_or(status >= 500 or status = 429) as error,
    bool_or(status between 200 and 299) as fine,
    coalesce(bool_or(status between 200 and 299 and decision in ('review', 'block')), false) as flagged,
    max(latency_us) as latency_us
"""

_COUNTED: Final[LiteralString] = """
    select true as counted from rollout_counted
    where attempt = %(attempt)s and entity = requests.entity and metric = """
"""With a metric and `limit 1`. The limit keeps the planner from joining, and so from reading all that was counted."""

_TALLY: Final[LiteralString] = """
    , units as (
        select requests.*, coalesce('entity ' || entity, 'request ' || request_id) as unit,
            in_errors.counted is null as errors_at_risk, in_flagged.counted is null as flagged_at_risk
        from requests
        left join lateral (COUNTED %(errors_metric)s limit 1) as in_errors on true
        left join lateral (COUNTED %(flagged_metric)s limit 1) as in_flagged on true
    ), errors_first as (
        select distinct on (unit) unit, entity, arm from units where error and errors_at_risk
        order by unit, at, request_id, arm
    ), flagged_first as (
        select distinct on (unit) unit, entity, arm from units where flagged and flagged_at_risk
        order by unit, at, request_id, arm
    ), counting as (
        insert into rollout_counted (attempt, metric, entity)
        select %(attempt)s, %(errors_metric)s, entity from errors_first where entity is not null
        union all
        select %(attempt)s, %(flagged_metric)s, entity from flagged_first where entity is not null
    )
    select arm, count(*) as requests,
        count(*) filter (where error) as errors,
        count(*) filter (where latency_us > %(slo_us)s) as over_slo,
        count(*) filter (where latency_us > 500000) as over_500ms,
        count(*) filter (where flagged) as flagged,
        (select count(*) from errors_first where errors_first.arm = units.arm) as errors_new,
        count(*) filter (where errors_at_risk) as errors_at_risk,
        (select count(*) from flagged_first where flagged_first.arm = units.arm) as flagged_new,
        count(*) filter (where flagged_at_risk) as flagged_at_risk
    from units group by arm""".replace("COUNTED", _COUNTED)
"""From `requests` (with an arm each) to the counts of each arm. An entity affected in both arms counts where first."""

_CANARY: Final[LiteralString] = f"""
    with logged as (
        select case when role = 'stable' and tag = %(stable)s then 'stable' else 'canary' end as arm, predictions.*
        from predictions
        where scored_at >= %(start)s and scored_at < %(end)s and (
            (role = 'stable' and tag = %(stable)s) or (role = 'canary' and tag = %(candidate)s)
            or (role = 'stable' and tag = %(candidate)s and %(everywhere)s)
        )
    ), requests as (select arm, {_REQUEST} from logged group by arm, request_id)
    {_TALLY}"""  # noqa: S608 - made of this module's own text

_BOTH: Final[LiteralString] = """
    with stable_rows as (
        select * from predictions
        where scored_at >= %(start)s and scored_at < %(end)s and role = 'stable' and tag = %(stable)s
    ), shadow_rows as (
        select * from predictions
        where scored_at >= %(shadow_start)s and scored_at < %(shadow_end)s
            and role = 'shadow' and tag = %(candidate)s
    )"""
"""A mirrored request belongs to the block of stable's row; shadow's may lie a little before or after it."""

_MIRRORED: Final[LiteralString] = f"""
    , one as (select {_REQUEST} from stable_rows group by request_id)
    , other as (select {_REQUEST}, bool_or(status = 503) as shed from shadow_rows group by request_id)
    , mirrored as (
        select request_id, one.at, coalesce(one.entity, other.entity) as entity, shed, one.error, one.flagged,
            one.latency_us, other.error or (one.fine and not other.fine) as shadow_error,
            other.flagged as shadow_flagged, other.latency_us as shadow_latency_us
        from one join other using (request_id)
    )"""  # noqa: S608 - as above
_SHADOW_ARMS: Final[LiteralString] = f"""
    {_BOTH} {_MIRRORED}
    , requests as (
        select 'stable' as arm, request_id, at, entity, error, flagged, latency_us from mirrored where not shed
        union all
        select 'shadow', request_id, at, entity, shadow_error, shadow_flagged, shadow_latency_us
        from mirrored where not shed
    ) {_TALLY}"""  # noqa: S608 - as above
_SHED: Final[LiteralString] = _BOTH + _MIRRORED + "select count(*) filter (where shed) from mirrored"  # noqa: S608 - as above
_PAIRS: Final[LiteralString] = f"""
    {_BOTH}, requests as (
        select request_id, event_id, one.entity_id as entity, one.scored_at as at,
            other.score - one.score as difference,
            coalesce(one.decision in ('review', 'block'), false) as stable_flags,
            coalesce(other.decision in ('review', 'block'), false) as shadow_flags
        from stable_rows as one join shadow_rows as other using (request_id, event_id)
        where one.score is not null and other.score is not null
    ), ordered as (
        select requests.*, in_pairs.counted is null and row_number() over (
            partition by coalesce('entity ' || entity, 'request ' || request_id) order by at, request_id, event_id
        ) = 1 as is_first
        from requests left join lateral ({_COUNTED} 'pair' limit 1) as in_pairs on true
    ), counting as (
        insert into rollout_counted (attempt, metric, entity)
        select %(attempt)s, 'pair', entity from ordered where is_first and entity is not null
    )
    select which, count(*) as pairs,
        count(*) filter (where shadow_flags and not stable_flags) as up,
        count(*) filter (where stable_flags and not shadow_flags) as down,
        coalesce(sum(difference order by at, request_id, event_id), 0) as sum_diff,
        coalesce(sum(difference * difference order by at, request_id, event_id), 0) as sum_diff2,
        count(*) filter (where stable_flags) as stable_flagged,
        count(*) filter (where shadow_flags) as shadow_flagged
    from ordered join (values ('every'), ('first')) as whiches (which) on which = 'every' or is_first
    group by which"""  # noqa: S608 - as above

_CLOCK: Final[LiteralString] = """
    select clock_timestamp(), (
        select scored_at from predictions
        where scored_at > %(after)s and tag in (%(stable)s, %(candidate)s) order by scored_at limit 1
    )"""
_LOGGED: Final[LiteralString] = """
    select role, count(distinct request_id) from predictions
    where scored_at >= %(first)s and scored_at < %(end)s
        and scored_at + latency_us * interval '1 microsecond' >= %(start)s
        and scored_at + latency_us * interval '1 microsecond' < %(end)s
        and (status < 400 or status >= 500)
    group by role"""
_NEWER: Final[LiteralString] = """
    select role from unnest(array['stable', 'canary', 'shadow']) as roles (role)
    where exists (select from predictions where predictions.role = roles.role and scored_at >= %(after)s)"""


def lock(connection: Connection, attempt: str) -> None:
    """Waits until nobody else reads blocks of this attempt, which the present transaction then does alone."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"vigil rollout {attempt}"])


def clock(connection: Connection, models: Models, after: datetime) -> tuple[datetime, datetime | None]:
    """The database's time, and the first row of the two models that is later than `after`, if there is one."""
    values = {"after": after, "stable": models.stable, "candidate": models.candidate}
    ((now, future),) = connection.execute(_CLOCK, values).fetchall()
    return now, future


def canary(connection: Connection, models: Models, span: Span, *, everywhere: bool) -> tuple[ArmCounts, ArmCounts]:
    """Counts of stable and canary in a block, whose entities are now counted.

    `everywhere`: the candidate has all the traffic, and what answers with its tag as stable is the canary arm's, too.
    """
    values = _values(models, span) | {
        "everywhere": everywhere, "errors_metric": "errors", "flagged_metric": "flagged",
    }  # fmt: skip
    found = _by_first_column(connection, _CANARY, values, ArmCounts)
    return found.get("stable", ArmCounts()), found.get("canary", ArmCounts())


def explained(connection: Connection, models: Models, span: Span) -> dict[str, Any]:
    """How the database reads a canary's block: EXPLAIN ANALYZE, which counts entities; roll it back."""
    values = _values(models, span) | {
        "everywhere": False, "errors_metric": "errors", "flagged_metric": "flagged",
    }  # fmt: skip
    (((plan,),),) = connection.execute("explain (analyze, format json)" + _CANARY, values).fetchall()
    found: dict[str, Any] = plan
    return found


def shadow(connection: Connection, models: Models, span: Span) -> tuple[ArmCounts, ArmCounts, int]:
    """Counts of the mirrored requests in a block, stable's and shadow's, and how many the shadow shed."""
    values = _values(models, span) | {"errors_metric": "shadow errors", "flagged_metric": "shadow flagged"}
    found = _by_first_column(connection, _SHADOW_ARMS, values, ArmCounts)
    ((shed,),) = connection.execute(_SHED, values).fetchall()
    return found.get("stable", ArmCounts()), found.get("shadow", ArmCounts()), shed


def pairs(connection: Connection, models: Models, span: Span) -> tuple[PairCounts, PairCounts]:
    """Every pair of a block, and the first ones of their entities in the attempt, which are now counted."""
    found = _by_first_column(connection, _PAIRS, _values(models, span), PairCounts)
    return found.get("every", PairCounts()), found.get("first", PairCounts())


def logged(connection: Connection, span: Span, longest: datetime) -> dict[Role, int]:
    """Requests of each role that were answered in a span, with whatever tag; refusals of bad requests (4xx) left out.

    By the time of the answer, as a gateway counts. `longest`: before that, nothing was taken that was answered in it.
    """
    values = {"start": span.start, "end": span.end, "first": longest}
    found: dict[Role, int] = dict(connection.execute(_LOGGED, values).fetchall())
    return {role: found.get(role, 0) for role in ROLES}


def newer(connection: Connection, after: datetime) -> set[Role]:
    """The roles that have rows from `after` on."""
    return {role for (role,) in connection.execute(_NEWER, {"after": after}).fetchall()}


def _values(models: Models, span: Span) -> dict[str, Any]:
    margin = (span.end - span.start) / 2
    return {
        "attempt": models.attempt, "stable": models.stable, "candidate": models.candidate,
        "slo_us": models.slo_ms * 1000, "start": span.start, "end": span.end,
        "shadow_start": span.start - margin, "shadow_end": span.end + margin,
    }  # fmt: skip


def _by_first_column(
    connection: Connection, query: LiteralString, values: Mapping[str, Any], kind: type[Counts]
) -> dict[str, Counts]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, values).fetchall()
    wanted = [field.name for field in fields(kind)]
    return {next(iter(row.values())): kind(**{name: row[name] for name in wanted}) for row in rows}
