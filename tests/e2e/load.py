"""Load through the gateway while something happens to the cluster, and what came of it."""

import itertools
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from k8s.local.ledger import Entry
from k8s.local.outgoing import Outgoing
from k8s.local.traffic import MOST_REQUESTS, MOST_SECONDS, Load, send

PER_SECOND: Final = 140.0
AT_LEAST: Final = 10_000
"""Requests of each test that promises that none fails."""


def event(name: str, entity: str | None, number: int = 0) -> Outgoing:
    """A request of the four plain fields."""
    fields = {
        "event_id": name,
        "amount": 10.0 + number % 500,
        "hour": number % 24,
        "device_risk": number % 3,
        "velocity_5m": number % 7,
    }
    return Outgoing(name, entity, json.dumps(fields).encode())


def events(prefix: str, entities: int) -> Iterator[Outgoing]:
    """Events `<prefix>-0`, `<prefix>-1`, ... of so many entities in turns, without end."""
    for number in itertools.count():
        yield event(f"{prefix}-{number}", f"{prefix}-entity-{number % entities}", number)


def exchange(url: str, wanted: list[Outgoing], per_second: float = 200.0) -> list[Entry]:
    """The entries of these requests, in the order of their answers."""
    entries: list[Entry] = []
    load = Load(per_second, len(wanted), "even")
    send(url, iter(wanted), load, random.Random(1), entries.append, lambda: None)
    return entries


@dataclass(frozen=True)
class Measured:
    """What a load came to."""

    entries: tuple[Entry, ...]
    seconds: float

    @property
    def failed(self) -> list[Entry]:
        return [each for each in self.entries if not each.answered]

    @property
    def request_ids(self) -> set[str]:
        return {each.request_id for each in self.entries if each.request_id is not None}

    @property
    def per_second(self) -> float:
        return len(self.entries) / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        ordered = sorted(each.seconds for each in self.entries)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        median = statistics.median(each.seconds for each in self.entries)
        return (
            f"{len(self.entries):,} requests at {self.per_second:.0f} a second, {len(self.failed)} failed; "
            f"median {median * 1e3:.1f} ms, p99 {self.quantile(0.99) * 1e3:.0f} ms, "
            f"longest {self.quantile(1) * 1e3:.0f} ms"
        )


class Running:
    """A load of another thread: `with` begins it; `measured` lets it end, once it has sent what it must."""

    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        at_least: int = AT_LEAST,
        per_second: float = PER_SECOND,
        sent: Iterator[Outgoing] | None = None,
    ) -> None:
        self._url, self._at_least, self._rate = url, at_least, per_second
        self._sent = events(prefix, 2_000) if sent is None else sent
        self._enough = threading.Event()
        self._entries: list[Entry] = []
        self._problem: BaseException | None = None
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._run, name=f"load {prefix}")

    @property
    def answered(self) -> int:
        """How many requests were answered, or given up, until now."""
        return len(self._entries)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._at_least = 0
        self._enough.set()
        self._thread.join()

    def after(self, seconds: float) -> Callable[[], bool]:
        """Whether as many more requests were answered as the load sends in so many seconds."""
        target = self.answered + int(seconds * self._rate)
        return lambda: self.answered >= target or self._problem is not None

    def measured(self) -> Measured:
        """What it came to, once it has ended."""
        self._enough.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return Measured(tuple(self._entries), self._seconds)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            load = Load(self._rate, min(MOST_REQUESTS, int(self._rate * MOST_SECONDS)))
            send(self._url, self._wanted(), load, random.Random(7), self._entries.append, lambda: None)
        except BaseException as problem:  # noqa: BLE001 - raised again by `measured`
            self._problem = problem
        self._seconds = time.monotonic() - began

    def _wanted(self) -> Iterator[Outgoing]:
        for number, each in enumerate(self._sent):
            if self._enough.is_set() and number >= self._at_least:
                return
            yield each
