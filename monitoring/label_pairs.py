"""Labelled pairs of a rollout: requests that stable and the shadow scored both, and whose label has come since.

A pair is counted by what is known at a time: an event without a label is none. Each event counts once, by its first
pair. The canary's rows make no pairs, as every entity has but one model there: the pairs of the shadow phase go on
getting labels while the canary runs, and in the watch after it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from .migrations import Connection

MOST: Final = 100_000
"""Pairs that are read at most; of more, all those of some entities are."""

_SLICES: Final = 10_000

_PAIRS: Final[LiteralString] = """
    with known as (
        select distinct on (event_id) event_id, label from labels
        where known_at >= %(since)s - interval '30 days' and known_at <= %(now)s
        order by event_id, known_at desc
    ), one as (
        select request_id, event_id, entity_id, scored_at, score from predictions
        where scored_at >= %(since)s and scored_at < %(until)s
            and role = 'stable' and tag = %(stable)s and score is not null
    ), other as (
        select request_id, event_id, entity_id, score from predictions
        where scored_at >= %(since)s - interval '1 minute' and scored_at < %(until)s + interval '1 minute'
            and role = 'shadow' and tag = %(candidate)s and score is not null
    ), pairs as (
        select distinct on (event_id) coalesce(one.entity_id, other.entity_id, request_id) as entity, label,
            one.score as stable, other.score as candidate
        from one join other using (request_id, event_id) join known using (event_id)
        order by event_id, one.scored_at, request_id
    )"""
_COUNT: Final[LiteralString] = (
    _PAIRS  # noqa: S608 - made of this module's own text
    + "select count(*), count(*) filter (where label = 1) from pairs"
)
_READ: Final[LiteralString] = (
    _PAIRS  # noqa: S608 - as above
    + """
    select entity, label, stable, candidate from pairs
    where (('x' || substr(md5(entity), 1, 8))::bit(32)::bigint & 2147483647) %% %(slices)s < %(taken)s
    order by entity"""
)
_LOOKS: Final[LiteralString] = "select look from rollout_looks where attempt = %s order by number"
_RECORD: Final[LiteralString] = """
    insert into rollout_looks (attempt, number, look, made_at) values (%s, %s, %s, %s) on conflict do nothing"""


@dataclass(frozen=True)
class PairsAsked:
    """Whose pairs, of requests from `since` on and before `until`, with the labels known by `now`."""

    stable: str
    candidate: str
    since: datetime
    until: datetime
    now: datetime


@dataclass(frozen=True)
class LabelledPairs:
    """Arrays of equal length, a pair an entry; `groups` numbers the entities from 0 on."""

    groups: NDArray[np.int64]
    labels: NDArray[np.int8]
    stable: NDArray[np.float64]
    candidate: NDArray[np.float64]

    @property
    def positives(self) -> int:
        return int(self.labels.sum())


def counted(connection: Connection, asked: PairsAsked) -> tuple[int, int]:
    """How many labelled pairs there are, and how many of them are positive."""
    ((pairs, positives),) = connection.execute(_COUNT, asdict(asked)).fetchall()
    return pairs, positives


def read(connection: Connection, asked: PairsAsked, pairs: int, most: int = MOST) -> LabelledPairs:
    """The labelled pairs, about `most` of them: the same entities at each call. `pairs`: all there are."""
    taken = _SLICES if pairs <= most else max(1, _SLICES * most // pairs)
    rows = connection.execute(_READ, asdict(asked) | {"slices": _SLICES, "taken": taken}).fetchall()
    names: dict[str, int] = {}
    groups = [names.setdefault(entity, len(names)) for entity, *_ in rows]
    return LabelledPairs(
        groups=np.array(groups, dtype=np.int64),
        labels=np.array([label for _, label, _, _ in rows], dtype=np.int8),
        stable=np.array([score for _, _, score, _ in rows], dtype=np.float64),
        candidate=np.array([score for *_, score in rows], dtype=np.float64),
    )


def looks(connection: Connection, attempt: str) -> tuple[dict[str, Any], ...]:
    """The looks that were made, in their order."""
    return tuple(look for (look,) in connection.execute(_LOOKS, [attempt]).fetchall())


def record(connection: Connection, attempt: str, number: int, look: dict[str, Any], made_at: datetime) -> None:
    """Keeps a look; one that was made before stays as it is."""
    connection.execute(_RECORD, [attempt, number, Jsonb(look), made_at])
