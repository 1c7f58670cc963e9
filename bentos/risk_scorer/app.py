"""The ASGI app: one small router, and the path of a request from its bytes to its answer and its row.

It is served lean by `python -m bentos.risk_scorer serve` and mounted in the BentoML service of `service.py`. A web
framework's own middlewares would cost more than the model does.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

from . import openapi, problems, requests
from .events import FEATURES
from .metrics import ScorerMetrics
from .prediction_log import Row
from .problems import Problem, Refused
from .requests import Headers, Read
from .scorer import Scorer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_METRICS: Final = b"text/plain; version=1.0.0; charset=utf-8"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NAMES: Final = {field.name for field in FEATURES}

_log = logging.getLogger(__name__)


class Log(Protocol):
    """Where rows go."""

    def append(self, line: bytes) -> None:
        """Take a row's line, without ever waiting."""


class App:
    """The scorer as an ASGI application. `now` and `ticks` are the clock: UTC time and a monotonic one in seconds."""

    def __init__(
        self,
        scorer: Scorer,
        metrics: ScorerMetrics,
        *,
        log: Log | None = None,
        max_body_bytes: int = 16_384,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._scorer, self._metrics, self._rows = scorer, metrics, log
        self._max_body_bytes, self._now, self._ticks = max_body_bytes, now, ticks
        self._ids = _made_up_ids()
        self._openapi = openapi.document(scorer.tag, scorer.policy)
        self._routes: dict[str, tuple[str, Handler]] = {
            "/score": ("POST", self._score),
            "/livez": ("GET", self._livez),
            "/readyz": ("GET", self._readyz),
            "/metrics": ("GET", self._show_metrics),
            "/openapi.json": ("GET", self._show_openapi),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. Lifespan is not this app's: the process that serves it starts and ends the log."""
        if scope["type"] != "http":
            raise RuntimeError(f"this app answers HTTP only, not {scope['type']}")
        method, handler = self._routes.get(scope["path"], ("", None))
        if handler is None:
            await _send_problem(send, problems.not_found(scope["path"], self._routes), next(self._ids))
        elif scope["method"] != method:
            await _send_problem(send, problems.wrong_method(scope["path"], scope["method"], method), next(self._ids))
        else:
            await handler(scope, receive, send)

    async def _score(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Score, answer, then leave a row: of a refused or failed request too, so that what was sent can be counted."""
        began, now = self._ticks(), self._now()
        headers: Headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        row = Row(request_id=request_id, event_id=request_id, tag=self._scorer.tag, scored_at=now, status=200)
        try:
            body = await requests.body(headers, receive, self._max_body_bytes)
            explain = requests.wants_reasons(scope["query_string"])
            answer = self._answer(requests.read(body, headers, now), row, explain=explain)
            await _send(send, HTTPStatus.OK, _JSON, answer, request_id)
        except Refused as refused:
            row.refuse(refused.problem.status)
            await _send_problem(send, refused.problem, request_id)
        except requests.ClientLeftError:
            row.refuse(requests.CLIENT_LEFT)
        except Exception:  # noqa: BLE001 - whatever it was, its request gets an answer and a row
            _log.exception("scorer.failed request_id=%s", request_id)
            row.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            await _send_problem(send, problems.internal(), request_id)
        finally:
            self._record(row, self._ticks() - began)

    def _answer(self, read: Read, row: Row, *, explain: bool) -> bytes:
        """The answer's bytes. Ids are pattern-checked and numbers finite, so nothing in it needs escaping."""
        scorer, event = self._scorer, read.event
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

    def _request_id(self, headers: Headers) -> str:
        """The gateway's x-request-id, which a mirrored copy shares; made up when there is none that can be kept."""
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        return given if _REQUEST_ID.fullmatch(given) else next(self._ids)

    def _record(self, row: Row, seconds: float) -> None:
        row.latency_us = round(seconds * 1e6)
        metrics = self._metrics
        metrics.statuses[row.status] += 1
        metrics.latency.add(seconds)
        if row.score is not None and row.decision is not None:
            metrics.scores.add(row.score)
            metrics.decisions[row.decision] += 1
        if self._rows is not None:
            self._rows.append(row.line())

    async def _livez(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI handler
        await _send(send, HTTPStatus.OK, _JSON, b'{"status":"live"}')

    async def _readyz(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI handler
        """200 while requests are taken. The database is no part of it: scoring goes on without its log."""
        ready = self._metrics.ready
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = f'{{"status":"{"ready" if ready else "draining"}","model_version":"{self._scorer.tag}"}}'
        await _send(send, status, _JSON, body.encode())

    async def _show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI handler
        await _send(send, HTTPStatus.OK, _METRICS, self._metrics.exposition())

    async def _show_openapi(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI handler
        await _send(send, HTTPStatus.OK, _JSON, self._openapi)


def _made_up_ids() -> Iterator[str]:
    """Ids that no other process makes: a random prefix and a counter, a tenth of the price of a UUID."""
    prefix = "v" + secrets.token_hex(8)
    return (f"{prefix}-{number:x}" for number in itertools.count())


def _reasons(scorer: Scorer, row: list[float]) -> str:
    return ",".join(f'{{"feature":"{column}","effect":{effect!r}}}' for column, effect in scorer.reasons(row))


async def _send_problem(send: Send, problem: Problem, request_id: str) -> None:
    await _send(send, problem.status, _PROBLEM, problem.body(request_id), request_id, problem.headers)


async def _send(
    send: Send,
    status: HTTPStatus,
    content_type: bytes,
    body: bytes,
    request_id: str = "",
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
