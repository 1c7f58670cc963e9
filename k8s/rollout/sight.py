"""What can be seen of a rollout in one moment: its object, the traffic, the copies, the controller, the last events."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from k8s.rollout.backend import Backend
from k8s.rollout.fleets import Copies, FleetError
from k8s.rollout.history import DECISION, History, HistoryError
from k8s.rollout.leases import Holder
from k8s.rollout.model_rollout import Event, ModelRollout
from k8s.rollout.routers import Role, RouterError, Split
from k8s.rollout.turn import SIGN_OF_LIFE

Seen = TypeVar("Seen")

_LATE_TICKS: Final = 4
"""So many ticks missing, the controller is called late: one slow tick is no news."""


@dataclass(frozen=True)
class Sight:
    """One moment. What could not be seen is None, and `problems` says why."""

    rollout: ModelRollout
    now: datetime
    split: Split | None = None
    fleet: Mapping[Role, Copies] | None = None
    controller: Holder | None = None
    events: tuple[Event, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def tick_age(self) -> float | None:
        """Seconds since the controller's last sign of life, of which there is one at least every 30; None: never."""
        ticked = self.rollout.status.ticked_at
        return None if ticked is None else max(0.0, (self.now - ticked).total_seconds())

    @property
    def unattended(self) -> str:
        """Why nobody decides anything now; empty when a controller is at work."""
        if self.controller is None:
            return "no controller runs, so nothing is decided; start one with `vigil rollout run`"
        attempt = self.rollout.status.attempt
        block = (attempt.plan if attempt else self.rollout.spec.plan).block_seconds
        late = SIGN_OF_LIFE.total_seconds() + max(5.0, block / 6) * _LATE_TICKS
        if self.tick_age is not None and self.tick_age > late:
            return f"the controller ({self.controller.who}) has not ticked for {self.tick_age:.0f} s; read its log"
        return ""


def look(backend: Backend, now: datetime, events: int = 8) -> Sight:
    """What can be seen now. Raises StoreError when the object itself can't be read."""
    problems: list[str] = []

    def seen(name: str, ask: Callable[[], Seen]) -> Seen | None:
        try:
            return ask()
        except (RouterError, FleetError, HistoryError, OSError) as error:
            problems.append(f"{name} can't be seen: {error}")
            return None

    rollout = backend.store.read()
    split = seen("the split in force", backend.router.current)
    fleet = seen("the copies", backend.fleet.look)
    controller = seen("the controller's lease", backend.lease.holder)
    told = seen("the history", lambda: _told(backend, events)) if events else []
    # Events that the history has not taken yet are in the object, so an outage hides nothing.
    kept = (event for event in rollout.status.outbox if event.kind != DECISION)
    # A cluster keeps whole seconds of them.
    newest = {(event.at.replace(microsecond=0), event.number): event for event in (*(told or ()), *kept)}
    last = tuple(newest[key] for key in sorted(newest))[-events:] if events else ()
    return Sight(rollout, now, split, fleet, controller, last, tuple(problems))


def _told(backend: Backend, most: int) -> list[Event]:
    return newest_events(backend.history, None, most) if backend.recent is None else backend.recent(most)


def newest_events(history: History, attempt: str | None, last: int, *, decisions: bool = False) -> list[Event]:
    """The newest events, of an attempt or of all, in their order. Raises HistoryError.

    Decisions are most of what is recorded, so without them the look back grows until there are enough others.
    """
    most = last
    while True:
        found = history.events(attempt, most)
        wanted = [event for event in found if decisions or event.kind != DECISION]
        if len(wanted) >= last or len(found) < most:
            return wanted[-last:]
        most *= 4


def as_json(sight: Sight) -> dict[str, Any]:
    """The same as plain data: `spec` and `status` as the object has them, beside what was seen."""
    holder = sight.controller
    return {
        **json.loads(sight.rollout.model_dump_json(include={"spec", "status"})),
        "split": None if sight.split is None else asdict(sight.split),
        "fleet": None if sight.fleet is None else {role: _plain(copies) for role, copies in sight.fleet.items()},
        "controller": None
        if holder is None
        else {"who": holder.who, "since": holder.since.isoformat() if holder.since else None},
        "tick_age_seconds": sight.tick_age,
        "unattended": sight.unattended,
        "events": [json.loads(event.model_dump_json()) for event in sight.events],
        "problems": list(sight.problems),
    }


def _plain(copies: Copies) -> dict[str, Any]:
    return {**asdict(copies), "altered": sorted(copies.altered)}
