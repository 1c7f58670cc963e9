"""Ctrl-C, SIGTERM and SIGHUP as one exception, raised where it can do no harm.

The exception is a KeyboardInterrupt, the only one (with SystemExit) that asyncio lets through from a signal handler.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class Interrupts:
    """Raises Interrupted in the main thread for each of SIGNALS, from `with` to its end, except while `held`."""

    def __init__(self) -> None:
        self.count = 0
        """How many signals came so far."""
        self._depth = 0
        self._pending: int | None = None
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait until the end of this block: a process that was started is then known, one that ends is gone."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._raise_pending()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self._pending = number
        self._raise_pending()

    def _raise_pending(self) -> None:
        if self._depth == 0 and self._pending is not None:
            number, self._pending = self._pending, None
            raise Interrupted(number)
