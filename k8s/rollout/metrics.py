"""What Prometheus sees of the controller. It watches; nothing is decided by it."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from k8s.rollout.blocks import Obstacle
from k8s.rollout.controller import TickReport
from k8s.rollout.model_rollout import Event, ModelRollout, Outcome, Phase
from k8s.rollout.routers import Split
from k8s.rollout.webhook import Sent

_log: Final = logging.getLogger(__name__)

_TICK_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_NUMBERS: Final = ("harm", "harm_bound", "shown", "shown_bound")
_OBSTACLES: Final[tuple[str, ...]] = tuple(each for each in get_args(Obstacle) if each != "not closed")


class Metrics:
    """The metrics of one controller, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.phase = self._gauge("phase", "1 for the phase that the rollout is in.", ["phase"])
        self.weight = self._gauge(
            "weight", "Share of the entities (shadow: of the requests, mirrored), 0 to 1.", ["role"]
        )
        self.harm = self._gauge("gate_harm", "Evidence of harm of each gate; at its bound it is rolled back.", ["gate"])
        self.harm_bound = self._gauge("gate_harm_bound", "What the evidence of harm is compared with.", ["gate"])
        self.shown = self._gauge("gate_shown", "Evidence that all is well, of each gate.", ["gate"])
        self.shown_bound = self._gauge("gate_shown_bound", "From here on a gate lets the candidate go on.", ["gate"])
        self.verdicts = self._counter("verdicts", "Rollouts that ended, by how and by which gate.", ["outcome", "gate"])
        self.forced = self._counter("forced", "Starts and promotions that a person forced.")
        self.refused = self._counter("refused", "Candidates that were not let in.")
        self.paused = self._gauge("paused", "1 while somebody has paused the rollout.")
        self.suspended = self._gauge("suspended", "1 while the candidate has no ready copy, and so no traffic.")
        self.undo_proposed = self._gauge("undo_proposed", "1 while undoing the last promotion is proposed.")
        self.ticks = self._counter(
            "ticks",
            "Looks at the world: ok, failed (a part was away), crashed (a bug), waits (stands by).",
            ["outcome"],
        )
        self.ready = self._gauge("ready", "1 while it leads, and ticks succeed in time; 0: nothing is decided.")
        self.leads = self._gauge("leads", "1 while this controller holds the lease; 0: it stands by.")
        self.tick_seconds = Histogram(
            "vigil_rollout_tick_seconds", "How long a tick took.", buckets=_TICK_SECONDS, registry=self.registry
        )
        self.tick_age = self._gauge("tick_age_seconds", "Time since the last tick ended.")
        self.blocks = self._counter("blocks", "Blocks of evidence that were decided on.", ["phase"])
        self.obstacle = self._gauge("obstacle", "1 for what keeps the next block from closing.", ["obstacle"])
        self.outbox = self._gauge("outbox_events", "Events that the history has not taken yet.")
        self.webhook = self._counter("webhook", "Verdicts by whether the webhook's receiver took them.", ["outcome"])
        self._prepare()

    def see(self, report: TickReport) -> None:
        """Takes what a tick saw and did."""
        if report.rollout is not None:
            self._see_rollout(report.rollout)
            self.outbox.set(report.unsent)
        if report.split is not None:
            self._see_split(report.split)
        self._see_events(report.events)

    def see_sent(self, sent: Sent) -> None:
        """Counts a verdict that was sent to the webhook, or was not."""
        self.webhook.labels("failed" if sent.problem else "taken").inc()
        if sent.problem:
            words = f"{sent.event.message}: {sent.problem}"
            _log.error("webhook.failed", extra={"words": words, "attempt": sent.event.attempt})

    def _see_rollout(self, rollout: ModelRollout) -> None:
        status = rollout.status
        for phase in Phase:
            self.phase.labels(phase).set(status.phase is phase)
        self.paused.set(rollout.spec.paused is not None)
        self.suspended.set(status.attempt is not None and status.attempt.suspended is not None)
        self.undo_proposed.set(status.watch is not None and bool(status.watch.proposed_undo))
        self._see_gates(status.gates)

    def _see_events(self, events: Iterable[Event]) -> None:
        """Counts events that are new."""
        for event in events:
            numbers = event.numbers
            if event.kind == "rollout.verdict":
                self.verdicts.labels(numbers.get("outcome", ""), numbers.get("gate", "")).inc()
            elif event.kind == "rollout.decision":
                self.blocks.labels(numbers.get("phase", "")).inc()
            elif event.kind == "rollout.forced":
                self.forced.inc()
            elif event.kind == "rollout.refused":
                self.refused.inc()

    def _see_split(self, split: Split) -> None:
        """Takes the split in force."""
        for role, percent in (("stable", split.stable), ("canary", split.canary), ("shadow", split.mirror)):
            self.weight.labels(role).set(percent / 100)

    def see_obstacle(self, obstacle: str) -> None:
        """Takes why no newer block is there."""
        for each in _OBSTACLES:
            self.obstacle.labels(each).set(each == obstacle)

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Each metric's full name, its labels, its meaning, for the docs."""
        for metric in vars(self).values():
            if isinstance(metric, MetricWrapperBase):
                found = next(iter(metric.describe()))
                suffix = "_total" if isinstance(metric, Counter) else ""
                yield f"{found.name}{suffix}", ", ".join(metric._labelnames), found.documentation  # noqa: SLF001

    def _see_gates(self, gates: tuple[dict[str, Any], ...]) -> None:
        for name in _NUMBERS:
            gauge: Gauge = getattr(self, name)
            gauge.clear()  # gates of another phase are gone
            for gate in gates:
                if gate.get(name) is not None:
                    gauge.labels(gate["gate"]).set(gate[name])

    def _prepare(self) -> None:
        """Series exist from the beginning, so that a first verdict is a rise and not a birth."""
        for outcome in ("ok", "failed", "crashed", "waits"):
            self.ticks.labels(outcome)
        for outcome in ("taken", "failed"):
            self.webhook.labels(outcome)
        for end in Outcome:
            self.verdicts.labels(end, "")

    def _gauge(self, name: str, words: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"vigil_rollout_{name}", words, tuple(labels), registry=self.registry)

    def _counter(self, name: str, words: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"vigil_rollout_{name}", words, tuple(labels), registry=self.registry)
