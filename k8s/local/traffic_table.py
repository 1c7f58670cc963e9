"""The load as it goes: running figures, and the table that shows them."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bentos.risk_scorer.policy import Decision
from k8s.local.ledger import Entry

_RECENT: Final = 2_000
"""Answers that the live percentiles are of."""


class Figures:
    """Counts of what was answered so far, and the latest latencies. `ticks` is a monotonic clock in seconds."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._began: float | None = None
        self.answers = 0
        self.versions: Counter[str] = Counter()
        self.decisions: Counter[tuple[str, Decision]] = Counter()
        self.errors: Counter[str] = Counter()
        """By kind: a status, or the name of the transport's error."""
        self.last_error = ""
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def add(self, entry: Entry) -> None:
        if self._began is None:
            self._began = self._ticks() - entry.seconds
        self._recent.append(entry.seconds)
        if entry.error is not None:
            self.errors[entry.error.partition(":")[0]] += 1
            self.last_error = entry.error
            return
        self.answers += 1
        if entry.model_version is not None and entry.decision is not None:
            self.versions[entry.model_version] += 1
            self.decisions[entry.model_version, entry.decision] += 1

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def seconds(self) -> float:
        """Since the first request was due."""
        return 0.0 if self._began is None else self._ticks() - self._began

    @property
    def rate(self) -> float:
        """Answers and failures a second, on average."""
        return (self.answers + self.failed) / self.seconds if self.seconds > 0 else 0.0

    def latency_ms(self, share: float) -> float:
        """A percentile (`share` 0 to 1, nearest rank) of the latest latencies, in milliseconds; 0 without any."""
        if not self._recent:
            return 0.0
        ordered = sorted(self._recent)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000


def table(figures: Figures, total: int, names: Mapping[str, str]) -> RenderableType:
    """The live table. `names` says what to call a model version, such as its roles."""
    shown = Table(box=None, pad_edge=False, show_header=True)
    for column in ("model", "requests", "share", *(decision.value for decision in Decision)):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for version, count in sorted(figures.versions.items(), key=lambda each: -each[1]):
        decided = (f"{figures.decisions[version, decision]:,}" for decision in Decision)
        shown.add_row(names.get(version, version), f"{count:,}", f"{count / figures.answers:.1%}", *decided)
    return Group(Text(line(figures, total)), shown, *_error_lines(figures))


def line(figures: Figures, total: int) -> str:
    """The load in one line: how far, how fast, how slow."""
    done = figures.answers + figures.failed
    p50, p95, p99 = (figures.latency_ms(share) for share in (0.50, 0.95, 0.99))
    return (
        f"{done:,} of {total:,} requests   {figures.rate:.0f}/s   "
        f"p50 {p50:.1f} ms   p95 {p95:.1f} ms   p99 {p99:.1f} ms   failed {figures.failed:,}"
    )


def _error_lines(figures: Figures) -> list[Text]:
    if not figures.failed:
        return []
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in figures.errors.most_common(3))
    return [Text(f"failed: {kinds}; the last one: {figures.last_error}", style="red")]
