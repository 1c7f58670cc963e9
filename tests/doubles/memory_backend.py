"""A rollout's whole world in memory, with a clock that only moves when it is told to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from k8s.rollout.backend import Backend
from k8s.rollout.desk import Desk
from k8s.rollout.history import MemoryHistory
from k8s.rollout.leases import Holder, MemoryLease
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.memory_fleet import MemoryFleet
from k8s.rollout.memory_store import MemoryStore
from k8s.rollout.model_rollout import ModelRollout
from k8s.rollout.routers import MemoryRouter

STABLE = "risk_scorer:0123456789ab"
CANDIDATE = "risk_scorer:ba9876543210"
BEGINNING = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
TEMPLATE = Path(__file__).parents[2] / "k8s" / "base" / "gateway" / "httproute.yaml"


@dataclass
class World:
    """Everything that a Desk opens; `then` is called at every rest of a command, in place of other processes."""

    rollout: ModelRollout = field(default_factory=ModelRollout)
    now: datetime = BEGINNING
    then: Callable[["World"], None] | None = None
    leases: dict[str, Holder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.rollout)
        self.history = MemoryHistory()
        self.fleet = MemoryFleet(instant=True)
        self.evidence = MemoryEvidence(history=self.history)
        self.router = MemoryRouter(yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")), {})
        self.lease = MemoryLease(self.leases)
        self.comparison = None

    def backend(self) -> Backend:
        return Backend(
            router=self.router,
            fleet=self.fleet,
            evidence=self.evidence,
            store=self.store,
            history=self.history,
            comparisons=lambda _stable, _candidate: self.comparison,
            lease=MemoryLease(self.leases),
        )

    def desk(self) -> Desk:
        return Desk(opener=lambda _state: self.backend(), clock=lambda: self.now, rest=self.rest)

    def rest(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.then is not None:
            self.then(self)

    def attended(self) -> "World":
        """The same with a controller at work, as far as anybody can see."""
        self.leases["rollout"] = Holder("another process", self.now)
        return self
