"""The path of a request, from its bytes to its answer and its rows: nothing in it waits.

The ASGI app and the lean protocol differ only in how bytes come and go; both call `begin`, then `answer`,
`answer_batch` or `refuse`, write what they got, and then `record`: what a client sees never depends on the log.
"""

import itertools
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

import numpy as np

from . import problems, requests
from .access_log import AccessLog
from .events import FEATURES
from .metrics import ScorerMetrics
from .prediction_log import Row
from .problems import Problem, Refused
from .reasons import reasons
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
    """A request under way: its rows so far (one, or one for each event of a batch), when it began, and its headers.

    `began` is seconds of the monotonic clock.
    """

    rows: list[Row]
    began: float
    headers: Headers

    @property
    def row(self) -> Row:
        return self.rows[0]


@dataclass(slots=True)
class Answer:
    """What goes back. `headers` are beside content-type, content-length and x-request-id."""

    status: int
    content_type: bytes
    body: bytes
    request_id: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Scoring:
    """Answers requests with a scorer, counts them, and leaves their rows.

    `now` and `ticks` are the clock: UTC time, and a monotonic one in seconds.
    """

    def __init__(
        self,
        scorer: Scorer,
        metrics: ScorerMetrics,
        *,
        log: Log | None = None,
        access_log: AccessLog | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.scorer, self.metrics = scorer, metrics
        self._rows, self._access_log, self._now, self._ticks = log, access_log, now, ticks
        self._ids = _made_up_ids()

    def begin(self, headers: Headers) -> Exchange:
        """A request has come. Its id is the gateway's x-request-id, which a mirrored copy shares.

        An event without an id of its own gets one made of it, so that stable and shadow make up the same.
        """
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else next(self._ids)
        return Exchange([Row(request_id, request_id, self.scorer.tag, self._now())], self._ticks(), headers)

    def answer(self, exchange: Exchange, headers: Headers, query: bytes, content: bytes) -> Answer:
        """The score of a body, or the problem with it. Never raises: a fault of ours is a 500 with a row."""
        row = exchange.row

        def scored() -> str:
            explain = requests.wants_reasons(query)
            read = requests.read(content, headers, row.scored_at)
            score = self.scorer.score_row(read.row)
            return self._result(read, row, score, explain=explain, request_id=row.request_id)

        return self._answered(exchange, scored)

    def answer_batch(
        self, exchange: Exchange, headers: Headers, query: bytes, content: bytes, most_events: int
    ) -> Answer:
        """The scores of a body with many events, in their order, or the problems with it: all are scored, or none."""
        first = exchange.row

        def scored() -> str:
            explain = requests.wants_reasons(query)
            reads = requests.read_batch(content, headers, first.scored_at, most_events)
            scores = self.scorer.score_matrix(np.array([read.row for read in reads])).tolist()
            made_up = (f"{first.request_id}-{number}" for number in range(len(reads)))
            rows = [Row(first.request_id, event_id, first.tag, first.scored_at) for event_id in made_up]
            results = ",".join(
                self._result(read, row, score, explain=explain)
                for read, row, score in zip(reads, rows, scores, strict=True)
            )
            exchange.rows = rows
            return f'{{"request_id":"{first.request_id}","model_version":"{first.tag}","results":[{results}]}}'

        return self._answered(exchange, scored)

    def _answered(self, exchange: Exchange, scored: Callable[[], str]) -> Answer:
        try:
            body = scored().encode()
        except Refused as refused:
            return self.refuse(exchange, refused.problem)
        except Exception:  # noqa: BLE001 - whatever it was, its request gets an answer and a row
            _log.exception("scorer.failed request_id=%s", exchange.row.request_id)
            return self.refuse(exchange, problems.internal())
        return Answer(HTTPStatus.OK, JSON, body, exchange.row.request_id)

    def refuse(self, exchange: Exchange, problem: Problem) -> Answer:
        """The answer to a request that can't be scored; its one row keeps the status, and no value.

        It keeps which features were wrong, for drift: names of ours, never one that the client made up.
        Of a failure of ours it keeps the entity, if the header names one: a rollout counts whom a model failed, and one
        client that always fails must not look like many.
        """
        exchange.row.refuse(problem.status, _NAMES.intersection(problem.fields()))
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            exchange.row.entity_id = requests.header_entity(exchange.headers)
        request_id = exchange.row.request_id
        return Answer(problem.status, PROBLEM, problem.body(request_id), request_id, problem.headers)

    def problem(self, problem: Problem) -> Answer:
        """The answer to what was no request to score at all: there is no row of it."""
        request_id = next(self._ids)
        return Answer(problem.status, PROBLEM, problem.body(request_id), request_id, problem.headers)

    def record(self, exchange: Exchange) -> None:
        """Count a request whose answer is written, and leave its rows."""
        seconds, metrics = self._ticks() - exchange.began, self.metrics
        metrics.request(exchange.row.status, seconds)
        latency_us = round(seconds * 1e6)
        for row in exchange.rows:
            row.latency_us = latency_us
            if row.score is not None and row.decision is not None:
                metrics.answer(row.score, row.decision)
            if self._rows is not None:
                self._rows.append(row.line())
            if self._access_log is not None:
                self._access_log.write(row)

    def _result(self, read: Read, row: Row, score: float, *, explain: bool, request_id: str = "") -> str:
        """One event's part of an answer. Ids are pattern-checked and numbers finite, so nothing needs escaping."""
        event, decision = read.event, self.scorer.policy.decide(score)
        row.event_id = event.event_id or row.event_id
        row.entity_id = read.entity_id
        row.occurred_at = event.occurred_at or row.scored_at
        row.fields = event.model_dump_json(include=_NAMES, exclude_none=True)
        row.score, row.decision = score, decision
        self.metrics.count_missing(event)
        ids = f'"event_id":"{row.event_id}",' + (f'"request_id":"{request_id}",' if request_id else "")
        version = f',"model_version":"{row.tag}"' if request_id else ""
        return f'{{{ids}"score":{score!r},"decision":"{decision}"{version}{self._why(read) if explain else ""}}}'

    def _why(self, read: Read) -> str:
        found = reasons(read.event, self.scorer.contributions(read.row))
        return f',"reasons":{json.dumps([reason.model_dump() for reason in found])}'


def _made_up_ids() -> Iterator[str]:
    """Ids that no other process makes: a random prefix and a counter, a tenth of the price of a UUID."""
    prefix = "v" + secrets.token_hex(8)
    return (f"{prefix}-{number:x}" for number in itertools.count())
