"""The lean lane: a whole `POST /score` answered inside the HTTP parser's callback.

Uvicorn makes a scope, a task and a few futures for each request, which cost more than the score does. A request that
arrives whole, in one piece, on a connection where nothing else is under way needs none of them. Everything else (other
paths, bodies that come in pieces, `Expect`, HTTP/1.0, a pipeline behind a slow answer, a client that reads slowly)
takes uvicorn's own way through the ASGI app. Both ways share `scoring.py`, and the contract tests hold for both.

This relies on the inside of uvicorn's protocol class, so uvicorn is pinned by the lock, `supports` checks what is used,
and the server falls back to the plain way when it is not there.
"""

from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from . import problems, requests
from .app import Limits
from .problems import Refused
from .requests import Headers
from .scoring import Answer, Scoring

_USED: Final = (
    "data_received",
    "on_message_begin",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "timeout_keep_alive_handler",
    "_unset_keepalive_if_required",
)
_URL: Final = b"/score"


def supports(protocol: type[Any]) -> bool:
    """Whether a protocol class has what the lean lane builds on."""
    return all(hasattr(protocol, name) for name in _USED)


class LeanProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with the lean lane in front of it. `lean`: the request under way is in the lane."""

    scoring: ClassVar[Scoring]
    limits: ClassVar[Limits]

    lean = False
    content = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.lean and not self.transport.is_closing():  # the request did not arrive whole
            self._leave_lane()

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        parser, cycle = self.parser, self.cycle
        self.lean = (
            self.url.partition(b"?")[0] == _URL
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not (parser.should_upgrade() or self.expect_100_continue or self.flow.write_paused)
            and (cycle is None or cycle.response_complete)
        )
        self.content = b""
        if not self.lean:
            self._begin_plain()

    def on_body(self, body: bytes) -> None:
        if self.lean:
            self.content += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.lean:
            super().on_message_complete()
            return
        self.lean = False
        scoring, limits, headers = self.scoring, self.limits, Headers(self.headers)
        exchange = scoring.begin(headers)
        try:
            limits.crowd.admit()
            requests.refuse_body(headers, len(self.content), limits.body_bytes)
            answer = scoring.answer(exchange, headers, self.url.partition(b"?")[2], self.content)
        except Refused as refused:
            answer = scoring.refuse(exchange, refused.problem)
        self.transport.write(_bytes(answer))
        self._answered(closes=problems.CLOSE in answer.headers)
        scoring.record(exchange)

    def _answered(self, *, closes: bool) -> None:
        self.server_state.total_requests += 1
        if closes:
            self.transport.close()
        else:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _begin_plain(self) -> None:
        """What uvicorn's own callbacks would have done with this request so far."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def _leave_lane(self) -> None:
        self.lean = False
        self._begin_plain()
        if self.content:
            super().on_body(self.content)


def lean_protocol(scoring: Scoring, limits: Limits) -> type[LeanProtocol]:
    """The protocol class for one scorer."""
    return type("BoundLeanProtocol", (LeanProtocol,), {"scoring": scoring, "limits": limits})


def _bytes(answer: Answer) -> bytes:
    more = b"".join(b"%b: %b\r\n" % header for header in answer.headers)
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b" % (
        STATUS_LINE[answer.status],
        answer.content_type,
        len(answer.body),
        answer.request_id.encode(),
        more,
        answer.body,
    )
