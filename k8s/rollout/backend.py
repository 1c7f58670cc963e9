"""All that a rollout acts on and asks, in one place: what the controller and every command are given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from k8s.rollout.changes import Changes, NoChanges
from k8s.rollout.evidence import EvidenceSource
from k8s.rollout.fleets import Fleet
from k8s.rollout.leases import Lease
from k8s.rollout.routers import Router
from k8s.rollout.stores import RolloutStore

if TYPE_CHECKING:
    from k8s.rollout.history import History
    from k8s.rollout.model_rollout import Event
    from monitoring.comparisons import Comparison

Comparisons = Callable[[str, str], "Comparison | None"]
"""The newest comparison of (stable, candidate); None: they were never compared. Raises MonitoringError."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Backend:
    """One rollout's world: the local stack's, a cluster's, or one in memory. Used with `with`, which closes it.

    `place` says in words where it is, for messages: 'the stack in .vigil/local'.
    """

    router: Router
    fleet: Fleet
    evidence: EvidenceSource
    store: RolloutStore
    history: "History"
    comparisons: Comparisons
    lease: Lease
    changes: Changes = field(default_factory=NoChanges)
    recent: "Callable[[int], list[Event]] | None" = None
    """The newest events without the history, where that was not named. Raises HistoryError."""
    lacks: str = ""
    """Why no controller can run here, if so, and what to do about it."""
    place: str = "memory"
    close: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
