"""Whether copies answer, asked in the background: a scorer that hangs must not hang whoever watches it."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from k8s.local.ports import get

SOON_SECONDS: Final = 0.1
"""Pause between two questions to a copy that has not answered yet."""

LATER_SECONDS: Final = 1.0
"""Pause between two questions to a copy that answers, as a readiness probe would leave."""

MISSES: Final = 3
"""So many answers must be missing in a row before a copy that answered counts as not ready."""

_THREADS: Final = 4


class Probe:
    """Asks one copy. `ready` is what is known now; `look` is to be called often."""

    def __init__(self, threads: ThreadPoolExecutor, port: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._port = port
        self._ticks = ticks
        self._asked: Future[bool] | None = None
        self._next_at = 0.0
        self._misses = 0
        self.ready = False

    def look(self) -> bool:
        """Takes in an answer that has come, asks again when it is time; whether the copy is ready."""
        if self._asked is not None and self._asked.done():
            self._take(self._asked.result())
            self._asked = None
        if self._asked is None and self._ticks() >= self._next_at:
            self._asked = self._threads.submit(_answers, self._port)
        return self.ready

    def _take(self, answered: bool) -> None:
        self._misses = 0 if answered else self._misses + 1
        if answered or self._misses >= MISSES:
            self.ready = answered
        self._next_at = self._ticks() + (LATER_SECONDS if answered else SOON_SECONDS)


class Probes:
    """Makes probes, and ends their threads with its `with`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="probe")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def of(self, port: int) -> Probe:
        return Probe(self._threads, port)


def _answers(port: int) -> bool:
    return get(port, "/readyz") is not None
