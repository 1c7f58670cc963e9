"""Erases an entity: every row that is about it, in one transaction, and a look afterwards that none is left.

What can hold an entity: `predictions` (every partition; also rows without an entity that have one of its events),
`labels` by its events, and `rollout_counted`. All other tables hold counts. An event that another entity has, too,
keeps its label.

A scorer that can't reach the store keeps rows in its spool and sends them later: rows that were scored before the
erasure, and come after it. So a keyed hash of the entity is kept for as long as that may take, and `late` finds and
erases such rows again; without the key nobody can tell whom the hash is of. What the entity does after it was erased
is new, and stays.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from .errors import RemainsError
from .migrations import Connection

SPOOLED: Final = timedelta(days=30)
"""Longest time that a row may lie in a spool; a scorer refuses events that are older, too."""

_BLOCK: Final = 64
"""Of SHA-256, in bytes (RFC 2104)."""

_THEIRS: Final[LiteralString] = """
    select distinct event_id from predictions where entity_id = %(entity)s and scored_at <= %(before)s"""
_OTHERS: Final[LiteralString] = """
    select distinct event_id from predictions
    where event_id = any(%(events)s) and (entity_id <> %(entity)s or scored_at > %(before)s)"""
_ABOUT: Final[dict[str, LiteralString]] = {
    "predictions": """from predictions where scored_at <= %(before)s
        and (entity_id = %(entity)s or (entity_id is null and event_id = any(%(events)s)))""",
    "labels": "from labels where event_id = any(%(events)s)",
    "rollout_counted": "from rollout_counted where entity = %(entity)s",
}
"""The rows of each table that are about the entity. A new table that can hold one belongs here; a test looks."""

_RECORD: Final[LiteralString] = "insert into erasures (erased_at, counts) values (%s, %s)"
_KEEP: Final[LiteralString] = """
    insert into erased (digest, erased_at, until) values (%s, %s, %s) on conflict do nothing"""
_LATE: Final[LiteralString] = """
    with seen as (
        select entity_id, min(scored_at) as first from predictions
        where entity_id is not null and scored_at <= (select max(erased_at) from erased where until > %(now)s)
        group by entity_id
    )
    select entity_id, max(erased_at) from seen
    join erased on digest = sha256(%(outer)s::bytea || sha256(%(inner)s::bytea || convert_to(entity_id, 'UTF8')))
    where until > %(now)s and first <= erased_at group by entity_id order by entity_id"""
_ANY_KEPT: Final[LiteralString] = "select exists (select from erased where until > %s)"


@dataclass(frozen=True)
class Key:
    """Finds a hash's entity again. HMAC-SHA-256 (RFC 2104), in two halves, so that the database can compute it."""

    inner: bytes
    outer: bytes

    @classmethod
    def of(cls, secret: str) -> "Key":
        key = secret.encode()
        key = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        return cls(bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key))

    def digest(self, entity: str) -> bytes:
        return hashlib.sha256(self.outer + hashlib.sha256(self.inner + entity.encode()).digest()).digest()


def erase(connection: Connection, entity: str, now: datetime, key: Key | None = None) -> dict[str, int]:
    """Rows erased of each table. Raises RemainsError when some are found afterwards.

    `connection` is not in a transaction. With a key, rows that come late are found by `late`.
    """
    return _erased(connection, entity, now, "infinity", key)


def late(connection: Connection, key: Key, now: datetime) -> dict[str, int]:
    """Rows erased of each table now, which were scored before their entity was erased and came after it."""
    total: dict[str, int] = {}
    with connection.transaction():
        if connection.execute(_ANY_KEPT, [now]).fetchone() != (True,):
            return total
        halves = {"inner": key.inner, "outer": key.outer, "now": now}
        found = connection.execute(_LATE, halves).fetchall()
    for entity, erased_at in found:
        for table, count in _erased(connection, entity, now, erased_at, None).items():
            total[table] = total.get(table, 0) + count
    return total


def _erased(
    connection: Connection, entity: str, now: datetime, before: datetime | str, key: Key | None
) -> dict[str, int]:
    """Erases, records that, and looks again."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")  # all of it sees the same rows
        values = _values(connection, entity, before)
        counts = {table: connection.execute("delete " + about, values).rowcount for table, about in _ABOUT.items()}
        connection.execute(_RECORD, [now, Jsonb(counts)])
        if key is not None:
            connection.execute(_KEEP, [key.digest(entity), now, now + SPOOLED])
    _verify(connection, values | {"before": now if before == "infinity" else before})
    return counts


def _values(connection: Connection, entity: str, before: datetime | str) -> dict[str, Any]:
    """The entity, its events, and those of them whose label may go: no other rows have them."""
    values: dict[str, Any] = {"entity": entity, "before": before}
    events = {event for (event,) in connection.execute(_THEIRS, values).fetchall()}
    others = {event for (event,) in connection.execute(_OTHERS, values | {"events": list(events)}).fetchall()}
    return values | {"events": sorted(events - others)}


def _verify(connection: Connection, values: dict[str, Any]) -> None:
    with connection.transaction():
        left = {
            table: count
            for table, about in _ABOUT.items()
            for (count,) in connection.execute("select count(*) " + about, values).fetchall()
            if count
        }
    if left:
        found = ", ".join(f"{count} in {table}" for table, count in left.items())
        raise RemainsError(f"rows of the entity are there again: {found}; somebody writes them now; run it once more")
