"""/metrics, /livez and /readyz of the controller, by a thread of its own.

/livez fails when no tick has ended for long: the process hangs, start it again. /readyz fails while ticks fail or are
late: it runs, but nothing is decided, because a part of the world does not answer.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from k8s.rollout.errors import UsageError

_SLOW_CLIENT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Health:
    """How the ticks go. `age`: seconds since one ended; `problem`: why the last failed, empty when it did not."""

    age: float
    late: float
    stuck: float
    problem: str = ""

    @property
    def live(self) -> bool:
        return self.age < self.stuck

    @property
    def ready(self) -> bool:
        return self.age < self.late and not self.problem

    def words(self) -> dict[str, Any]:
        return {"tick_age_seconds": round(self.age, 3), "problem": self.problem}


class HealthServer:
    """Listens from `with` to its end. `ask` is called in the server's threads. Raises UsageError for a taken port."""

    def __init__(self, host: str, port: int, ask: Callable[[], Health], registry: CollectorRegistry) -> None:
        class Handler(_Handler):
            health = staticmethod(ask)
            metrics = registry

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"can't listen on {host}:{port} for metrics: {error}; choose another port") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    health: Callable[[], Health]
    metrics: CollectorRegistry
    timeout = _SLOW_CLIENT_SECONDS

    def do_GET(self) -> None:
        health = type(self).health()
        if self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.metrics))
        elif self.path == "/livez":
            self._say(health, well=health.live)
        elif self.path == "/readyz":
            self._say(health, well=health.ready)
        else:
            self._answer(404, "text/plain", b"there are /metrics, /livez and /readyz\n")

    def log_message(self, *_: object) -> None:
        """Nothing: a probe a second is no event."""

    def _say(self, health: Health, *, well: bool) -> None:
        self._answer(200 if well else 503, "application/json", json.dumps(health.words()).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
