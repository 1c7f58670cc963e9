"""A scorer's metrics: plain integers on the hot path, shaped for Prometheus only when somebody asks.

A custom collector costs .3 us a request; `.labels()` of prometheus-client's own metrics costs 3.2.
"""

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from .events import FEATURES, Event
from .features import COLUMNS

_FEATURES: Final = tuple(field.name for field in FEATURES)

LATENCY_EDGES: Final = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)
"""Seconds; fine from 1 to 100 ms, because 100 ms is the objective."""

SCORE_EDGES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Histogram:
    """Counts of values by upper edge (inclusive, as Prometheus has it), and their sum."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper edge, '+Inf' last."""
        names = [*(str(edge) for edge in self.edges), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class LogState(Protocol):
    """What a prediction log can tell of itself at this moment."""

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in memory."""

    @property
    def spool_bytes(self) -> int:
        """Bytes that wait on disk."""

    @property
    def is_writing(self) -> bool:
        """Whether the writer lives."""


class LogCounts:
    """What became of the rows of the prediction log.

    queued = written + spooled + dropped + those that still wait. Of the spooled ones, this process's and those that it
    found, replayed are in the store and rejected are rows that the store can't hold.
    """

    STATES: Final = ("queued", "written", "spooled", "replayed", "rejected", "dropped")

    def __init__(self) -> None:
        self.queued = self.written = self.spooled = self.replayed = self.rejected = self.dropped = 0


class ScorerMetrics(Collector):
    """Everything that a scorer counts, with its role and tag on each series."""

    def __init__(self, role: str, tag: str, *, native: bool, log: LogCounts) -> None:
        self.role, self.tag, self.native, self.log = role, tag, native, log
        self.statuses: Counter[int] = Counter()
        self.decisions: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.latency = Histogram(LATENCY_EDGES)
        self.scores = Histogram(SCORE_EDGES)
        self.ready = False
        self.log_state: LogState | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def request(self, status: int, seconds: float) -> None:
        """Count a request by its status, and how long it took."""
        self.statuses[status] += 1
        self.latency.add(seconds)

    def answer(self, score: float, decision: str) -> None:
        """Count an event that was scored."""
        self.scores.add(score)
        self.decisions[decision] += 1

    def count_missing(self, event: Event) -> None:
        """Count the features of an event that are not known."""
        values = event.__dict__
        for name in _FEATURES:
            if values[name] is None:
                self.missing[name] += 1

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The families, as prometheus-client asks for them."""
        yield self._counter("requests", "Requests to score, by HTTP status.", "status", self.statuses)
        yield self._counter("decisions", "Answers, by decision.", "decision", self.decisions)
        yield self._counter("missing_values", "Values that were not known, by field.", "field", self.missing)
        rows = {state: getattr(self.log, state) for state in LogCounts.STATES}
        yield self._counter("log_rows", "Rows of the prediction log, by what became of them.", "state", rows)
        yield self._histogram("request_duration_seconds", "From having a request to its answer written.", self.latency)
        yield self._histogram("score", "Calibrated probabilities that were answered.", self.scores)
        if self.log_state is not None:
            yield self._gauge("log_waiting_rows", "Rows in memory, on their way.", self.log_state.waiting_rows)
            yield self._gauge(
                "log_spool_bytes", "Bytes on disk, until the database is back.", self.log_state.spool_bytes
            )
        yield self._build_info()
        yield self._gauge("ready", "1 while requests are taken.", float(self.ready))
        yield self._gauge(
            "native_booster", "1 when the fast path answers, 0 when its fallback does.", float(self.native)
        )

    def _counter(self, name: str, text: str, label: str, values: dict[int, int] | dict[str, int]) -> Metric:
        family = CounterMetricFamily(f"vigil_scorer_{name}", text, labels=("role", "tag", label))
        for value, count in list(values.items()):
            family.add_metric((self.role, self.tag, str(value)), count)
        return family

    def _histogram(self, name: str, text: str, histogram: Histogram) -> Metric:
        family = HistogramMetricFamily(f"vigil_scorer_{name}", text, labels=("role", "tag"))
        family.add_metric((self.role, self.tag), histogram.buckets(), histogram.sum)
        return family

    def _build_info(self) -> Metric:
        versions = {"python": platform.python_version(), "lightgbm": version("lightgbm"), "columns": str(len(COLUMNS))}
        family = GaugeMetricFamily(
            "vigil_scorer_build_info", "1; what answers, in the labels.", labels=("role", "tag", *versions)
        )
        family.add_metric((self.role, self.tag, *versions.values()), 1)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"vigil_scorer_{name}", text, labels=("role", "tag"))
        family.add_metric((self.role, self.tag), value)
        return family
