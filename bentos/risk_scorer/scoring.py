"""The path of one request, from its bytes to its answer and its row: nothing in it waits.

The ASGI app and the lean protocol differ only in how bytes come and go; both call `begin`, then `answer` or `refuse`,
write what they got, and then `record`: what a client sees never depends on the log.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

from . import problems, requests
from .events import FEATURES
from .metrics import ScorerMetrics
from .prediction_log import Row
from .problems import Problem, Refused
from .requests import Headers, Read
from .scorer import Scorer

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NAMES: Final = {field.name for field in FEATURES}

_log = logging.getLogger(__name__)


class Log(Protocol):
    """Where rows go."""

    def append(self, line: bytes) -> None:
        """Take a row's line, without ever waiting."""


@dataclass(slots=True)
class Exchange:
    """A request under way: its row so far, and when it began by the monotonic clock, in seconds."""

    row: Row
    began: float


@dataclass(slots=True)
class Answer:
    """What goes back. `headers` are beside content-type, content-length and x-request-id."""

    status: int
    content_type: bytes
    body: bytes
    request_id: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Scoring:
    """Answers requests with a scorer, counts them, and leaves a row for each.

    `now` and `ticks` are the clock: UTC time, and a monotonic one in seconds.
    """

    def __init__(
        self,
        scorer: Scorer,
        metrics: ScorerMetrics,
        *,
        log: Log | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.scorer, self.metrics = scorer, metrics
        self._rows, self._now, self._ticks = log, now, ticks
        self._ids = _made_up_ids()

    def begin(self, headers: Headers) -> Exchange:
        """A request has come. Its id is the gateway's x-request-id, which a mirrored copy shares."""
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else next(self._ids)
        row = Row(request_id, event_id=request_id, tag=self.scorer.tag, scored_at=self._now(), status=HTTPStatus.OK)
        return Exchange(row, self._ticks())

    def answer(self, exchange: Exchange, headers: Headers, query: bytes, content: bytes) -> Answer:
        """The score of a body, or the problem with it. Never raises: a fault of ours is a 500 with a row."""
        try:
            explain = requests.wants_reasons(query)
            body = self._scored(requests.read(content, headers, exchange.row.scored_at), exchange.row, explain=explain)
        except Refused as refused:
            return self.refuse(exchange, refused.problem)
        except Exception:  # noqa: BLE001 - whatever it was, its request gets an answer and a row
            _log.exception("scorer.failed request_id=%s", exchange.row.request_id)
            return self.refuse(exchange, problems.internal())
        return Answer(HTTPStatus.OK, JSON, body, exchange.row.request_id)

    def refuse(self, exchange: Exchange, problem: Problem) -> Answer:
        """The answer to a request that can't be scored; its row keeps the status and no value."""
        exchange.row.refuse(problem.status)
        request_id = exchange.row.request_id
        return Answer(problem.status, PROBLEM, problem.body(request_id), request_id, problem.headers)

    def problem(self, problem: Problem) -> Answer:
        """The answer to what was no request to score at all: there is no row of it."""
        request_id = next(self._ids)
        return Answer(problem.status, PROBLEM, problem.body(request_id), request_id, problem.headers)

    def record(self, exchange: Exchange) -> None:
        """Count a request whose answer is written, and leave its row."""
        seconds, row, metrics = self._ticks() - exchange.began, exchange.row, self.metrics
        row.latency_us = round(seconds * 1e6)
        metrics.statuses[row.status] += 1
        metrics.latency.add(seconds)
        if row.score is not None and row.decision is not None:
            metrics.scores.add(row.score)
            metrics.decisions[row.decision] += 1
        if self._rows is not None:
            self._rows.append(row.line())

    def _scored(self, read: Read, row: Row, *, explain: bool) -> bytes:
        """The answer's bytes. Ids are pattern-checked and numbers finite, so nothing in it needs escaping."""
        scorer, event = self.scorer, read.event
        score = scorer.score_row(read.row)
        decision = scorer.policy.decide(score)
        row.event_id = event.event_id or next(self._ids)
        row.entity_id = read.entity_id
        row.occurred_at = event.occurred_at or row.scored_at
        row.fields = event.model_dump_json(include=_NAMES, exclude_none=True)
        row.score, row.decision = score, decision
        reasons = f',"reasons":[{_reasons(scorer, read.row)}]' if explain else ""
        return (
            f'{{"event_id":"{row.event_id}","request_id":"{row.request_id}","score":{score!r},'
            f'"decision":"{decision}","model_version":"{scorer.tag}"{reasons}}}'
        ).encode()


def _made_up_ids() -> Iterator[str]:
    """Ids that no other process makes: a random prefix and a counter, a tenth of the price of a UUID."""
    prefix = "v" + secrets.token_hex(8)
    return (f"{prefix}-{number:x}" for number in itertools.count())


def _reasons(scorer: Scorer, row: list[float]) -> str:
    return ",".join(f'{{"feature":"{column}","effect":{effect!r}}}' for column, effect in scorer.reasons(row))
