"""The ASGI app: one small router around `scoring.py`.

It is served lean by `python -m bentos.risk_scorer serve` and mounted in the BentoML service of `service.py`. A web
framework's own middlewares would cost more than the model does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from . import openapi, problems, requests
from .crowd import Crowd
from .problems import Refused
from .requests import Headers
from .scoring import JSON, Answer, Exchange, Scoring

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Answering = Callable[[Exchange, Headers, bytes], Answer]

_METRICS: Final = b"text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Limits:
    """How large a request may be, in bytes and events, and how many may wait for each other."""

    body_bytes: int
    batch_bytes: int
    batch_events: int
    crowd: Crowd


class App:
    """The scorer as an ASGI application. It has no lifespan: the process that serves it starts and ends the log."""

    def __init__(self, scoring: Scoring, limits: Limits) -> None:
        self._scoring, self._limits = scoring, limits
        self._openapi = openapi.document(scoring.scorer.tag, scoring.scorer.policy)
        self._routes: dict[str, tuple[str, Handler]] = {
            "/score": ("POST", self._score),
            "/score/batch": ("POST", self._score_batch),
            "/livez": ("GET", _page(lambda: Answer(HTTPStatus.OK, JSON, b'{"status":"live"}', ""))),
            "/readyz": ("GET", _page(self._readiness)),
            "/metrics": ("GET", _page(lambda: Answer(HTTPStatus.OK, _METRICS, scoring.metrics.exposition(), ""))),
            "/openapi.json": ("GET", _page(lambda: Answer(HTTPStatus.OK, JSON, self._openapi, ""))),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise RuntimeError(f"this app answers HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        right, handler = self._routes.get(path, ("", None))
        if handler is None:
            await _send(send, self._scoring.problem(problems.not_found(path, self._routes)))
        elif method != right:
            await _send(send, self._scoring.problem(problems.wrong_method(path, method, right)))
        else:
            await handler(scope, receive, send)

    async def _score(self, scope: Scope, receive: Receive, send: Send) -> None:
        def answer(exchange: Exchange, headers: Headers, content: bytes) -> Answer:
            return self._scoring.answer(exchange, headers, scope["query_string"], content)

        await self._exchange(scope, receive, send, self._limits.body_bytes, answer)

    async def _score_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        def answer(exchange: Exchange, headers: Headers, content: bytes) -> Answer:
            most = self._limits.batch_events
            return self._scoring.answer_batch(exchange, headers, scope["query_string"], content, most)

        await self._exchange(scope, receive, send, self._limits.batch_bytes, answer)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send, most_bytes: int, answer: Answering) -> None:
        """Answer, then leave the rows: of a refused request too, so that what was sent can be counted."""
        scoring, crowd, headers = self._scoring, self._limits.crowd, Headers(scope["headers"])
        exchange = scoring.begin(headers)
        try:
            crowd.admit()
            with crowd.waiting():
                content = await requests.body(headers, receive, most_bytes)
            given = answer(exchange, headers, content)
        except Refused as refused:
            given = scoring.refuse(exchange, refused.problem)
        except requests.ClientLeftError:
            given = scoring.refuse(exchange, problems.client_left())
        try:
            await _send(send, given)
        finally:
            scoring.record(exchange)

    def _readiness(self) -> Answer:
        """200 while requests are taken. The database is no part of it: scoring goes on without its log."""
        tag = self._scoring.scorer.tag
        if self._scoring.metrics.ready:
            return Answer(HTTPStatus.OK, JSON, f'{{"status":"ready","model_version":"{tag}"}}'.encode(), "")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, JSON, b'{"status":"draining"}', "")


def _page(answer: Callable[[], Answer]) -> Handler:
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI handler
        await _send(send, answer())

    return handle


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    if answer.request_id:
        headers.append((b"x-request-id", answer.request_id.encode()))
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
