"""The lean lane: a whole `POST /score` answered inside the HTTP parser's callback.

Uvicorn makes a scope, a task and a few futures for each request, which cost more than the score does. A request that
arrives whole, in one piece, on a connection where nothing else is under way needs none of them. Everything else (other
paths, bodies that come in pieces, `Expect`, HTTP/1.0, a pipeline behind a slow answer, a client that reads slowly)
takes uvicorn's own way through the ASGI app. Both ways share `scoring.py`, and the contract tests hold for both.

This relies on the inside of uvicorn's protocol class, so uvicorn is pinned by the lock, `supports` checks what is used,
and the server falls back to the plain way when it is not there.
"""

from typing import Any, ClassVar, Final

from httptools import HttpParserError, HttpParserUpgrade
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
    "_unsupported_upgrade_warning",
    "send_400_response",
)
_URL: Final = b"/score"
_SPECIAL: Final = frozenset({b"connection", b"expect", b"upgrade"})
"""Headers that change what happens on a connection. HTTP/1.0 keeps none alive without the first."""


def supports(protocol: type[Any]) -> bool:
    """Whether a protocol class has what the lean lane builds on."""
    return all(hasattr(protocol, name) for name in _USED)


class LeanProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with the lean lane in front of it. `lean`: the request under way is in the lane."""

    scoring: ClassVar[Scoring]
    limits: ClassVar[Limits]

    lean = False
    fields: Headers
    content = b""
    last_answer = 0.0

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self.lean and not self.transport.is_closing():  # the request did not arrive whole
            self._leave_lane()

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        parser, cycle = self.parser, self.cycle
        self.fields = Headers(self.headers)
        self.lean = (
            self.url.partition(b"?")[0] == _URL
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and _SPECIAL.isdisjoint(self.fields)
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
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
        if self.transport.is_closing():  # the answer before this one was the last
            return
        scoring, limits, headers = self.scoring, self.limits, self.fields
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
        self.last_answer = self.loop.time()
        if closes:
            self.transport.close()
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle for long enough; look again later at one that has not.

        So a request costs no timer of its own.
        """
        left = self.last_answer + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _begin_plain(self) -> None:
        """What uvicorn's own callbacks would have done with this request so far."""
        self._unset_keepalive_if_required()
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
