"""A bounded load: requests leave when they are due, whether or not the earlier ones were answered.

So a scorer that stalls is seen to: latency counts from the moment when a request was due (no coordinated omission).
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

import aiohttp

from bentos.risk_scorer.policy import Decision
from k8s.local.errors import UsageError
from k8s.local.ledger import Entry
from k8s.local.outgoing import Outgoing

MOST_PER_SECOND: Final = 2_000.0
MOST_REQUESTS: Final = 500_000
MOST_SECONDS: Final = 3_600.0
"""Bounds of a load: a slip of the finger must not keep a machine busy for a day."""

CONNECTIONS: Final = 64
"""Requests on the way at the same time; those that are due beyond that wait, which counts as their latency."""

ANSWER_SECONDS: Final = 10.0
"""Longer than the gateway's own timeout, so that its answer is what is recorded."""

_TICK_SECONDS: Final = 0.25
_SHOWN: Final = 200
"""Characters of an answer that is no score, kept in the ledger."""

Arrivals = Literal["poisson", "even"]


@dataclass(frozen=True)
class Load:
    """How many requests, how fast. Raises UsageError beyond the bounds."""

    per_second: float
    requests: int
    arrivals: Arrivals = "poisson"

    def __post_init__(self) -> None:
        if not 0 < self.per_second <= MOST_PER_SECOND:
            raise UsageError(
                f"{self.per_second:g} requests a second; expected more than 0, at most {MOST_PER_SECOND:g}"
            )
        if not 0 < self.requests <= MOST_REQUESTS:
            raise UsageError(f"{self.requests} requests; expected 1 to {MOST_REQUESTS}")
        if self.requests / self.per_second > MOST_SECONDS:
            lasts = self.requests / self.per_second
            raise UsageError(f"{self.requests} requests would last {lasts:.0f} s; at most {MOST_SECONDS:g} s")

    def due(self, rng: random.Random) -> Iterator[float]:
        """When each request is due, in seconds from the start, in rising order."""
        at = 0.0
        for _ in range(self.requests):
            yield at
            at += rng.expovariate(self.per_second) if self.arrivals == "poisson" else 1 / self.per_second


def send(
    url: str,
    events: Iterable[Outgoing],
    load: Load,
    rng: random.Random,
    record: Callable[[Entry], None],
    tick: Callable[[], None],
) -> None:
    """Sends `load` from `events` (fewer when these end) to `url`/score; returns when each is answered or given up.

    `record` gets the entry of each request; `tick` is called about four times a second, and may raise to end it all.
    """
    pairs = zip(load.due(rng), islice(events, load.requests), strict=False)
    asyncio.run(_Sender(f"{url}/score", record, tick).run(pairs))


class _Sender:
    def __init__(self, url: str, record: Callable[[Entry], None], tick: Callable[[], None]) -> None:
        self._url = url
        self._record = record
        self._tick = tick
        self._next_tick = 0.0
        self._pending: set[asyncio.Task[None]] = set()
        self._problem: BaseException | None = None

    async def run(self, pairs: Iterable[tuple[float, Outgoing]]) -> None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=ANSWER_SECONDS, sock_connect=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                await self._send_all(session, pairs)
            finally:
                for task in self._pending:
                    task.cancel()
                await asyncio.gather(*self._pending, return_exceptions=True)

    async def _send_all(self, session: aiohttp.ClientSession, pairs: Iterable[tuple[float, Outgoing]]) -> None:
        start = time.perf_counter()
        for at, request in pairs:
            due = start + at
            await self._sleep_until(due)
            task = asyncio.create_task(self._send(session, request, due))
            self._pending.add(task)
            task.add_done_callback(self._done)
        while self._pending:
            await asyncio.wait(self._pending, timeout=_TICK_SECONDS)
            self._tick_if_due()
        self._next_tick = 0.0
        self._tick_if_due()

    async def _sleep_until(self, due: float) -> None:
        """At least one turn of the loop, so that answers are read even when we are late."""
        self._tick_if_due()
        while (left := due - time.perf_counter()) > _TICK_SECONDS:
            await asyncio.sleep(min(left, _TICK_SECONDS))
            self._tick_if_due()
        await asyncio.sleep(max(left, 0))

    def _tick_if_due(self) -> None:
        if self._problem is not None:
            raise self._problem
        if time.perf_counter() >= self._next_tick:
            self._tick()
            self._next_tick = time.perf_counter() + _TICK_SECONDS

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled():
            self._problem = task.exception()  # no failed request, which is recorded, but a mistake of ours

    async def _send(self, session: aiohttp.ClientSession, request: Outgoing, due: float) -> None:
        try:
            async with session.post(self._url, data=request.body, headers=request.headers) as answer:
                body = await answer.read()
                seconds = time.perf_counter() - due
                status, request_id = answer.status, answer.headers.get("x-request-id")
        except (aiohttp.ClientError, OSError) as problem:  # a timeout is an OSError
            seconds = time.perf_counter() - due
            error = f"{type(problem).__name__}: {problem}"
            self._record(Entry(request.event_id, request.entity_id, seconds, error=error))
            return
        self._record(entry(request, seconds, status, request_id, body))


def entry(request: Outgoing, seconds: float, status: int, request_id: str | None, body: bytes) -> Entry:
    """What the ledger keeps of an answer. Only a 200 that names this event, with a score, counts as answered."""
    scored = _scored(body) if status == 200 else None
    if scored is None or scored["event_id"] != request.event_id:
        error = body[:_SHOWN].decode(errors="replace")
        return Entry(request.event_id, request.entity_id, seconds, status, request_id, error=f"{status}: {error}")
    return Entry(
        request.event_id,
        request.entity_id,
        seconds,
        status,
        scored["request_id"],
        scored["model_version"],
        scored["score"],
        Decision(scored["decision"]),
    )


def _scored(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    wanted = {"event_id", "request_id", "model_version", "score", "decision"}
    return answer if isinstance(answer, dict) and wanted <= answer.keys() else None
