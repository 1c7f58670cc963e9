"""The ASGI app: one small router around `scoring.py`.

It is served lean by `python -m bentos.risk_scorer serve` and mounted in the BentoML service of `service.py`. A web
framework's own middlewares would cost more than the model does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from . import openapi, problems, requests
from .problems import Refused
from .requests import Headers
from .scoring import JSON, Answer, Scoring

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_METRICS: Final = b"text/plain; version=1.0.0; charset=utf-8"


class App:
    """The scorer as an ASGI application. It has no lifespan: the process that serves it starts and ends the log."""

    def __init__(self, scoring: Scoring, *, max_body_bytes: int) -> None:
        self._scoring, self._max_body_bytes = scoring, max_body_bytes
        self._openapi = openapi.document(scoring.scorer.tag, scoring.scorer.policy)
        self._pages: dict[str, Callable[[], Answer]] = {
            "/livez": lambda: Answer(HTTPStatus.OK, JSON, b'{"status":"live"}', ""),
            "/readyz": self._readiness,
            "/metrics": lambda: Answer(HTTPStatus.OK, _METRICS, self._scoring.metrics.exposition(), ""),
            "/openapi.json": lambda: Answer(HTTPStatus.OK, JSON, self._openapi, ""),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise RuntimeError(f"this app answers HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        page = self._pages.get(path)
        if path == "/score" and method == "POST":
            await self._score(scope, receive, send)
        elif page is not None and method == "GET":
            await _send(send, page())
        elif page is not None or path == "/score":
            right = "POST" if page is None else "GET"
            await _send(send, self._scoring.problem(problems.wrong_method(path, method, right)))
        else:
            await _send(send, self._scoring.problem(problems.not_found(path, ("/score", *self._pages))))

    async def _score(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Score, answer, then leave a row: of a refused request too, so that what was sent can be counted."""
        scoring, headers = self._scoring, Headers(scope["headers"])
        exchange = scoring.begin(headers)
        try:
            content = await requests.body(headers, receive, self._max_body_bytes)
            answer = scoring.answer(exchange, headers, scope["query_string"], content)
        except Refused as refused:
            answer = scoring.refuse(exchange, refused.problem)
        except requests.ClientLeftError:
            exchange.row.refuse(requests.CLIENT_LEFT)
            scoring.record(exchange)
            return
        try:
            await _send(send, answer)
        finally:
            scoring.record(exchange)

    def _readiness(self) -> Answer:
        """200 while requests are taken. The database is no part of it: scoring goes on without its log."""
        tag = self._scoring.scorer.tag
        if self._scoring.metrics.ready:
            return Answer(HTTPStatus.OK, JSON, f'{{"status":"ready","model_version":"{tag}"}}'.encode(), "")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, JSON, b'{"status":"draining"}', "")


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
