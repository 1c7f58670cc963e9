"""What a command says while it works: one line a step, with the time since its start."""

import time
from collections.abc import Callable

from rich.console import Console


class Story:
    """Writes lines to a console. `ticks` is a monotonic clock in seconds."""

    def __init__(self, console: Console, ticks: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self._ticks = ticks
        self._began = ticks()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._ticks() - self._began

    def say(self, message: str) -> None:
        self.console.print(f"{self.seconds:6.1f} s  {message}", markup=False, highlight=False, soft_wrap=True)
