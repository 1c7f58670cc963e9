"""The prediction log: every request's row, written in batches, never in the way of an answer.

    append (hot path) -> bounded queue -> COPY -> PostgreSQL
                              |             ^
                              v             | replay (temporary table, ON CONFLICT DO NOTHING)
                            spool on disk ->

The queue is emptied by a thread with an event loop of its own, so that a database that hangs can be timed out. What
can't be written goes to the spool, oldest first; when the spool is full too, rows are dropped and counted. A batch
whose COPY failed may still have been committed: it is replayed through a temporary table, where rows that are
already there are left alone.
"""

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .errors import DsnError
from .metrics import LogCounts
from .settings import Settings
from .spool import Spool

COLUMNS: Final = (
    "request_id",
    "event_id",
    "entity_id",
    "tag",
    "occurred_at",
    "scored_at",
    "status",
    "fields",
    "score",
    "decision",
    "latency_us",
)
_NAMES: Final = ", ".join(COLUMNS)
_COPY: Final = f"COPY predictions ({_NAMES}) FROM STDIN"
_MAKE_REPLAY: Final = (
    "CREATE TEMPORARY TABLE replay (request_id text, event_id text, entity_id text, tag text, occurred_at timestamptz, "
    "scored_at timestamptz, status smallint, fields jsonb, score double precision, decision text, latency_us integer) "
    "ON COMMIT DROP"
)
_COPY_REPLAY: Final = f"COPY replay ({_NAMES}) FROM STDIN"
_REPLAY: Final = f"INSERT INTO predictions ({_NAMES}) SELECT {_NAMES} FROM replay ON CONFLICT DO NOTHING"  # noqa: S608 - constants

_NULL: Final = r"\N"

_GRACE: Final = 2.0
"""Seconds that `close` gives the writer beyond its deadline, to put the rest on disk."""

_log = logging.getLogger(__name__)

Write = Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]


@dataclass(slots=True)
class Row:
    """One event as it will stand in the store. What is None was not known, or belongs to a refused request.

    No value can hold a tab, a line break or a backslash: ids and tag are pattern-checked, `fields` is JSON of numbers,
    of categories, or of names of fields. So a row is a line of COPY's text format without any escaping.
    """

    request_id: str
    event_id: str
    tag: str
    scored_at: datetime
    status: int = 200
    entity_id: str | None = None
    occurred_at: datetime | None = None
    fields: str | None = None
    score: float | None = None
    decision: str | None = None
    latency_us: int = 0

    def refuse(self, status: int, wrong: Iterable[str] = ()) -> None:
        """Keep only that there was a request, its status, and which features were wrong: no value of it is stored.

        `wrong` are names of our own. They make `fields` an array, where an answered event has an object.
        """
        self.status = int(status)
        self.event_id = self.request_id
        self.entity_id = self.occurred_at = self.score = self.decision = None
        names = sorted(wrong)
        self.fields = json.dumps(names) if names else None

    def line(self) -> bytes:
        """The row as a line of PostgreSQL's COPY text format."""
        scored_at = self.scored_at.isoformat()
        if self.score is None:
            empty = f"{self.fields or _NULL}\t{_NULL}\t{_NULL}"
            return (
                f"{self.request_id}\t{self.event_id}\t{self.entity_id or _NULL}\t{self.tag}\t{_NULL}\t{scored_at}\t"
                f"{self.status}\t{empty}\t{self.latency_us}\n"
            ).encode()
        occurred_at = scored_at if self.occurred_at is self.scored_at else str(self.occurred_at)
        return (
            f"{self.request_id}\t{self.event_id}\t{self.entity_id or _NULL}\t{self.tag}\t{occurred_at}\t{scored_at}\t"
            f"{self.status}\t{self.fields}\t{self.score!r}\t{self.decision}\t{self.latency_us}\n"
        ).encode()


class _Turn(Enum):
    """What one turn of the writer found."""

    IDLE = auto()  # nothing more waits: let rows gather
    MORE = auto()  # there is more to write at once
    AWAY = auto()  # no database: everything went to the spool


class PredictionLog:
    """Writes rows to the store from a thread of its own, between `start` and `close`."""

    def __init__(self, dsn: str, settings: Settings, counts: LogCounts) -> None:
        """Take over the spool. Raises DsnError, and SpoolError when another process uses its folder."""
        self._dsn, self._settings, self.counts = _checked(dsn), settings, counts
        self._queue: deque[bytes] = deque()
        self._spool = Spool(settings.spool_dir, settings.spool_max_bytes)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="prediction-log", daemon=True)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._deadline = float("inf")
        self._wake: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Begin to write. Rows left in the spool by an earlier process are replayed."""
        self._thread.start()

    def append(self, line: bytes) -> None:
        """Take a row's line, without ever waiting. When the queue is full the row is dropped and counted."""
        counts = self.counts
        counts.queued += 1
        if len(self._queue) >= self._settings.log_queue_rows:
            counts.dropped += 1
            return
        self._queue.append(line)

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in memory."""
        return len(self._queue)

    @property
    def spool_bytes(self) -> int:
        """Bytes that wait on disk."""
        return self._spool.bytes

    def close(self, seconds: float) -> None:
        """Write what waits, to the store within `seconds`, else to the spool; then stop."""
        self._deadline = time.monotonic() + seconds
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._wake()
        self._thread.join(seconds + _GRACE)
        if self._thread.is_alive():
            _log.error("prediction_log.stuck rows=%d: not emptied in %.0f s", len(self._queue), seconds)
            return
        self._spool_queue()
        self._spool.close()

    @property
    def is_writing(self) -> bool:
        """Whether the writer lives."""
        return self._thread.is_alive()

    async def _run(self) -> None:
        closing, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(closing.set)
        while self._deadline == float("inf"):
            turn = await self._turn()
            if turn is not _Turn.MORE:
                await _wait(closing, self._pause_after(turn))
        while (self._queue or len(self._spool)) and time.monotonic() < self._deadline:
            if await self._turn() is _Turn.AWAY:
                break
        self._spool_queue()
        await self._disconnect()

    def _pause_after(self, turn: _Turn) -> float:
        return self._settings.log_retry_seconds if turn is _Turn.AWAY else self._settings.log_flush_seconds

    async def _turn(self) -> _Turn:
        """Replay the oldest part of the spool and write one batch of the queue."""
        if not await self._replay_oldest():
            self._spool_queue()
            return _Turn.AWAY
        batch = self._batch()
        if batch and await self._problem(_copy(batch)):
            self._keep(batch)
            self._spool_queue()
            return _Turn.AWAY
        self.counts.written += len(batch)
        return _Turn.MORE if len(self._spool) or len(batch) == self._settings.log_batch_rows else _Turn.IDLE

    async def _replay_oldest(self) -> bool:
        """Whether the spool's oldest part, if there is one, is dealt with now."""
        if not len(self._spool):
            return True
        try:
            lines = self._spool.oldest()
        except OSError as error:
            part = self._spool.set_oldest_aside()
            _log.error("prediction_log.unreadable part=%s error=%s: left there", part.name, error.strerror)
            return True
        problem = await self._problem(_replay(lines))
        if isinstance(problem, psycopg.DataError):
            return await self._replay_singly(lines)
        if problem is None:
            self.counts.replayed += len(lines)
            self._spool.remove_oldest()
        return problem is None

    async def _replay_singly(self, lines: list[bytes]) -> bool:
        """Replay a part in which some row can't be stored, so that it does not hold up the others for ever."""
        rejected = 0
        for line in lines:
            problem = await self._problem(_replay([line]))
            if isinstance(problem, psycopg.DataError):
                rejected += 1
            elif problem is not None:
                return False
        _log.error("prediction_log.rejected rows=%d: the store can't hold them", rejected)
        self.counts.replayed += len(lines) - rejected
        self.counts.rejected += rejected
        self._spool.remove_oldest()
        return True

    async def _problem(self, write: Write) -> Exception | None:
        """What kept a write from being committed, or None. A failure closes the connection: the next opens another."""
        seconds = min(self._settings.log_timeout_seconds, max(self._deadline - time.monotonic(), 0))
        try:
            async with asyncio.timeout(seconds):
                if self._connection is None:
                    self._connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
                await write(self._connection)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the rows are kept and tried again
            state = getattr(error, "sqlstate", None)
            _log.warning("prediction_log.failed error=%s sqlstate=%s", type(error).__name__, state)
            await self._disconnect()
            return error
        return None

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):  # it is given up either way
                await connection.close()

    def _batch(self) -> list[bytes]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(len(queue), self._settings.log_batch_rows))]

    def _spool_queue(self) -> None:
        while batch := self._batch():
            self._keep(batch)

    def _keep(self, batch: list[bytes]) -> None:
        """Put a batch into the spool; count it as dropped where there is no room or no disk."""
        try:
            kept = self._spool.add(batch)
        except OSError as error:
            _log.error("prediction_log.spool_failed error=%s", error.strerror)
            kept = 0
        self.counts.spooled += kept
        self.counts.dropped += len(batch) - kept


def _checked(dsn: str) -> str:
    """The DSN, when it can be read as one. A message never holds it: it has a password."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise DsnError(
            f"SCORER_LOG_DSN is no PostgreSQL connection string ({str(error).split(chr(34))[0].strip()})"
        ) from None
    return dsn


def _copy(lines: list[bytes]) -> Write:
    async def write(connection: psycopg.AsyncConnection[Any]) -> None:
        await _copy_into(connection, _COPY, lines)

    return write


def _replay(lines: list[bytes]) -> Write:
    async def write(connection: psycopg.AsyncConnection[Any]) -> None:
        async with connection.transaction():
            await connection.execute(_MAKE_REPLAY)
            await _copy_into(connection, _COPY_REPLAY, lines)
            await connection.execute(_REPLAY)

    return write


async def _copy_into(connection: psycopg.AsyncConnection[Any], statement: LiteralString, lines: list[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(b"".join(lines))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or for `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
