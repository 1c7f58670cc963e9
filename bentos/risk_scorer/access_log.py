"""The access log: one JSON line a row on standard output, without payload and without entity.

The prediction log has the same and more; this is for whoever reads `kubectl logs`. Lines are gathered and written
together, so that a request does not pay for a system call.
"""

import logging
import threading
from collections import deque
from typing import BinaryIO, Final

from .prediction_log import Row
from .settings import Lines

_log = logging.getLogger(__name__)

_MOST_WAITING: Final = 10_000
"""Lines that may wait while nobody reads the output: beyond that the oldest are lost, and scoring goes on."""


class AccessLog:
    """Gathers lines, and writes them from a thread of its own every `seconds`, between `start` and `close`."""

    def __init__(self, lines: Lines, role: str, output: BinaryIO, seconds: float = 0.5) -> None:
        self._all, self._role, self._output, self._seconds = lines == "all", role, output, seconds
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, row: Row) -> None:
        """Take a row, or leave it when it was answered and only refused ones are wanted."""
        if not (self._all or row.score is None):
            return
        score = "null" if row.score is None else repr(row.score)
        decision = "null" if row.decision is None else f'"{row.decision}"'
        self._waiting.append(
            f'{{"time":"{row.scored_at.isoformat()}","event":"scorer.request","request_id":"{row.request_id}",'
            f'"role":"{self._role}","tag":"{row.tag}","status":{row.status},"score":{score},"decision":{decision},'
            f'"latency_us":{row.latency_us}}}\n'
        )

    def close(self) -> None:
        """Write what waits, and stop."""
        self._closing.set()
        self._thread.join(self._seconds + 1)

    def _run(self) -> None:
        while not self._closing.wait(self._seconds):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        lines = [waiting.popleft() for _ in range(len(waiting))]
        if lines:
            try:
                self._output.write("".join(lines).encode())
                self._output.flush()
            except OSError as error:
                _log.warning("access_log.lost lines=%d error=%s", len(lines), error.strerror)
