"""/metrics, /livez and /readyz of the exporter, in threads of its own.

/livez: the process answers. /readyz: the store does, too; otherwise 503 and why. /metrics answers in any case.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

_SLOW_CLIENT_SECONDS: Final = 5.0


class ExporterServer:
    """Listens from `with` to its end. `problem` says why the store is away. Raises OSError for a taken port."""

    def __init__(self, host: str, port: int, problem: Callable[[], str], registry: CollectorRegistry) -> None:
        class Handler(_Handler):
            ask = staticmethod(problem)
            metrics = registry

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="exporter", daemon=True)

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
    ask: Callable[[], str]
    metrics: CollectorRegistry
    timeout = _SLOW_CLIENT_SECONDS

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(self.metrics), CONTENT_TYPE_LATEST)
        elif self.path == "/livez":
            self._answer(200, b"it runs\n")
        elif self.path == "/readyz":
            problem = type(self).ask()
            self._answer(503 if problem else 200, f"{problem or 'the store answers'}\n".encode())
        else:
            self._answer(404, b"there are /metrics, /livez and /readyz\n")

    def log_message(self, *_: object) -> None:
        """Nothing: a probe is no event."""

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
