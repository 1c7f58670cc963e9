"""What wakes the controller before its next tick is due."""

from queue import Empty, SimpleQueue
from typing import Protocol


class Changes(Protocol):
    """Whether something happened to the rollout's objects that somebody else may have done."""

    def wait(self, seconds: float) -> bool:
        """Blocks until something changed since the last call, or for so long; whether something did."""

    def wake(self) -> None:
        """Ends the wait that is under way, or the next one. Safe in a signal handler."""


class NoChanges:
    """Changes of a place that tells none: every wait lasts its time, unless somebody calls `wake`."""

    def __init__(self) -> None:
        # A queue of this kind may be written by a signal handler of the thread that waits for it; an Event may not.
        self._woken: SimpleQueue[None] = SimpleQueue()

    def wait(self, seconds: float) -> bool:
        try:
            self._woken.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        while not self._woken.empty():  # what came meanwhile is one change
            self._woken.get_nowait()
        return True

    def wake(self) -> None:
        self._woken.put(None)
