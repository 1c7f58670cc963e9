"""What happened in rollouts: events and recorded evidence, kept in the prediction store or in memory.

HistoryError   the history can't be read or written now
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from pydantic import TypeAdapter

from k8s.rollout.blocks import CanaryBlock, ShadowBlock
from k8s.rollout.model_rollout import Event
from k8s.rollout.store_session import StoreAwayError, StoreSession
from monitoring import rollout_history
from monitoring.rollout_history import EventRow, EvidenceRow, Phase

DECISION: Final = "rollout.decision"
"""Kind of the event that says what was decided on a block."""

CANARY_BLOCKS: Final = TypeAdapter(CanaryBlock)
SHADOW_BLOCKS: Final = TypeAdapter(ShadowBlock)


class HistoryError(Exception):
    """The history can't be read or written now."""


@dataclass(frozen=True)
class Recorded:
    """A block of evidence as it was read: number `block.number` of an attempt's phase that began at `since`."""

    attempt: str
    phase: Phase
    since: datetime
    block: CanaryBlock | ShadowBlock
    read_at: datetime


class History(Protocol):
    """Append-only. Each call raises HistoryError."""

    def add_events(self, events: Sequence[Event]) -> None:
        """Adds events; one that is there already (same time and number) is left as it is."""

    def events(self, attempt: str | None = None, most: int | None = None) -> tuple[Event, ...]:
        """The events of an attempt, or of all, in their order; with `most`, only the newest ones."""

    def evidence(self, attempt: str) -> tuple[Recorded, ...]:
        """Every block of evidence that an attempt was decided by, phase by phase, in order."""


class MemoryHistory:
    """A history that lasts as long as the process: for tests and simulations."""

    def __init__(self) -> None:
        self._events: dict[tuple[datetime, int], Event] = {}
        self._evidence: list[Recorded] = []

    def add_events(self, events: Sequence[Event]) -> None:
        for event in events:
            # What the caller holds may change later, what is kept may not.
            self._events.setdefault((event.at, event.number), event.model_copy(deep=True))

    def events(self, attempt: str | None = None, most: int | None = None) -> tuple[Event, ...]:
        kept = (self._events[key] for key in sorted(self._events))
        found = tuple(event for event in kept if attempt is None or event.attempt == attempt)
        return found if most is None else found[len(found) - min(most, len(found)) :]

    def add_evidence(self, recorded: Recorded) -> None:
        """Takes a block that was read; one that is there already is left as it is."""
        if all(_key(recorded) != _key(other) for other in self._evidence):
            self._evidence.append(recorded)

    def evidence(self, attempt: str) -> tuple[Recorded, ...]:
        found = (each for each in self._evidence if each.attempt == attempt)
        return tuple(sorted(found, key=lambda each: (each.since, each.block.number)))


class PostgresHistory:
    """The history in the prediction store. `dsn` is of the user `rollout`, or of `reader` to read only."""

    def __init__(self, dsn: str) -> None:
        self._session = StoreSession(dsn)

    def add_events(self, events: Sequence[Event]) -> None:
        # By way of JSON: times become text, and what is no number (inf, nan) null, which the store would refuse.
        rows = [
            EventRow(**{**vars(event), "numbers": json.loads(event.model_dump_json())["numbers"]}) for event in events
        ]
        try:
            with self._session.transaction() as connection:
                rollout_history.add_events(connection, rows)
        except StoreAwayError as error:
            raise HistoryError(f"{len(rows)} events were not written: {error}") from error

    def events(self, attempt: str | None = None, most: int | None = None) -> tuple[Event, ...]:
        try:
            with self._session.transaction() as connection:
                rows = rollout_history.events(connection, attempt, most)
        except StoreAwayError as error:
            raise HistoryError(f"the events can't be read: {error}") from error
        return tuple(Event(**vars(row)) for row in rows)

    def evidence(self, attempt: str) -> tuple[Recorded, ...]:
        try:
            with self._session.transaction() as connection:
                rows = rollout_history.evidence(connection, attempt)
        except StoreAwayError as error:
            raise HistoryError(f"the evidence of {attempt} can't be read: {error}") from error
        return tuple(_recorded(rows))

    def close(self) -> None:
        """Gives the connection back; a later call opens another."""
        self._session.close()


def _recorded(rows: Iterable[EvidenceRow]) -> Iterable[Recorded]:
    for row in rows:
        block = (CANARY_BLOCKS if row.phase == "canary" else SHADOW_BLOCKS).validate_python(row.block)
        yield Recorded(row.attempt, row.phase, row.since, block, row.read_at)


def _key(recorded: Recorded) -> tuple[str, Phase, datetime, int]:
    return recorded.attempt, recorded.phase, recorded.since, recorded.block.number
