"""Verdicts, sent to an address of the user's by POST. A thread of its own sends them, so no tick ever waits for it.

The body is JSON; with a secret, the header `X-Vigil-Signature: sha256=<hex>` is the HMAC-SHA256 of the body. A receiver
may get a verdict twice (its answer was lost): `attempt` and `number` together tell. It may get none (the controller
died first, or every try failed): the history has every verdict.
"""

import hashlib
import hmac
import http.client
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from k8s.rollout.model_rollout import Event

SIGNATURE: Final = "X-Vigil-Signature"
_TRY_AGAIN: Final = frozenset({408, 425, 429})
"""Refusals that pass by themselves; any other 4xx would be the same the next time."""


@dataclass(frozen=True)
class Address:
    """Where to, and how patiently. `secret`: empty for no signature. Times are seconds."""

    url: str
    secret: str = ""
    tries: int = 5
    timeout: float = 5.0
    pause: float = 1.0
    queue: int = 100


@dataclass(frozen=True)
class Sent:
    """How one event fared. `problem` is empty when it was taken; it never holds the address, which may be a secret."""

    event: Event
    problem: str = ""


class Webhook:
    """Sends events in their order, from `with` to its end. `report` is called, from its thread, for each."""

    def __init__(self, address: Address, report: Callable[[Sent], None]) -> None:
        self._address = address
        self._report = report
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What waits gets one try more, for as long as one try may take; then the process ends without it."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(self._address.timeout * 2)

    def send(self, event: Event) -> None:
        """Returns at once. When the queue is full, the oldest is given up."""
        given_up = None
        with self._changed:
            if len(self._waiting) >= self._address.queue:
                given_up = self._waiting.popleft()
            self._waiting.append(event)
            self._changed.notify()
        if given_up is not None:
            self._report(Sent(given_up, f"given up: {self._address.queue} newer ones waited"))

    def _work(self) -> None:
        while (event := self._next()) is not None:
            self._report(Sent(event, self._tried(event)))

    def _next(self) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            return self._waiting.popleft() if self._waiting else None

    def _tried(self, event: Event) -> str:
        """Why it was not taken after all tries; empty when it was."""
        problem, pause = "", self._address.pause
        for number in range(1, self._address.tries + 1):
            problem, final = post(self._address, _body(event))
            if not problem or final or self._stopping or number == self._address.tries:
                break
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, timeout=pause)
            pause *= 2
        return problem


def post(address: Address, body: bytes) -> tuple[str, bool]:
    """Why the body was not taken (empty: it was), and whether trying again is useless."""
    parts = urlsplit(address.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=address.timeout)
    try:
        connection.request("POST", _target(parts.path, parts.query), body, _headers(address, body))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}", False
    finally:
        connection.close()
    if 200 <= status < 300:
        return "", True
    # A redirect is not followed: the address and its signature are for one receiver.
    return f"answered {status}", 300 <= status < 500 and status not in _TRY_AGAIN


def signature(secret: str, body: bytes) -> str:
    """What the header holds: `sha256=` and 64 hex digits."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _headers(address: Address, body: bytes) -> dict[str, str]:
    signed = {SIGNATURE: signature(address.secret, body)} if address.secret else {}
    return {"Content-Type": "application/json", "User-Agent": "vigil-rollout", **signed}


def _target(path: str, query: str) -> str:
    return f"{path or '/'}{'?' if query else ''}{query}"


def _body(event: Event) -> bytes:
    content = {
        "event": event.kind,
        "attempt": event.attempt,
        "number": event.number,
        "at": event.at.isoformat(),
        "message": event.message,
        **event.numbers,
    }
    return json.dumps(content, ensure_ascii=False, default=str).encode()
