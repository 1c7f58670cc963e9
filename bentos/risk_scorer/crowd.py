"""How many requests wait for each other, and when there are too many of them."""

from asyncio import get_running_loop
from collections.abc import Iterator
from contextlib import contextmanager

from . import problems
from .problems import Refused


class Crowd:
    """Counts the requests that one turn of the event loop finds waiting, and those whose body is still on its way.

    A scorer answers one request after the other, so what arrived while it was busy is found together, in its next turn:
    that many requests wait for each other. Above `most` of them the rest is better refused at once than answered late.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open = 0
        self._found = 0

    def admit(self) -> None:
        """Count a request in. Raises Refused (503, Retry-After) when too many wait."""
        if self._found == 0:
            get_running_loop().call_soon(self._turn_ends)
        self._found += 1
        if self._found + self._open > self.most:
            raise Refused(problems.crowded(self.most))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a request waits for the rest of its body."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def _turn_ends(self) -> None:
        self._found = 0
