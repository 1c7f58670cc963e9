"""The inputs that scorers logged: what was sent, without what was answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from .migrations import Connection
from .store import Window

_CHUNK: Final = 10_000
_SLICES: Final = 1000
"""A sample takes whole entities: those whose hash falls into the first so many of a thousand slices."""

_LOGGED: Final[LiteralString] = """
    from predictions
    where scored_at >= %(start)s and scored_at < %(end)s
        and role in ('stable', 'canary') and status between 200 and 299 and fields is not null
"""
_COUNT: Final[LiteralString] = "select count(*)" + _LOGGED
_READ: Final[LiteralString] = (
    "select coalesce(entity_id, request_id), scored_at, fields"
    + _LOGGED
    + """
        and (('x' || substr(md5(coalesce(entity_id, request_id)), 1, 8))::bit(32)::bigint & 2147483647) %% %(slices)s
            < %(taken)s
    order by scored_at, request_id, event_id"""
)


@dataclass(frozen=True)
class Logged:
    """One request that was answered: its entity (the request itself where it named none), time and features."""

    entity: str
    scored_at: datetime
    fields: dict[str, Any]


def read(connection: Connection, window: Window, most: int) -> Iterator[Logged]:
    """The requests that stable or canary answered in a bounded window, in their order, about `most` of them.

    Where there are more, it is all requests of some entities, always the same ones. The connection is busy until the
    iterator ends.
    """
    bounds = {"start": window.start, "end": window.end}
    (count,) = connection.execute(_COUNT, bounds).fetchone() or (0,)
    taken = _SLICES if count <= most else max(1, _SLICES * most // count)
    with connection.transaction(), connection.cursor(name="inputs") as cursor:
        cursor.itersize = _CHUNK
        for entity, scored_at, fields in cursor.execute(_READ, bounds | {"slices": _SLICES, "taken": taken}):
            yield Logged(entity, scored_at, fields)
