"""What happens in a rollout, told as Events of its object: `kubectl describe modelrollout` shows the story of an hour.

The history in the prediction store is the record; Events are for people, and a cluster forgets them. One that can't be
written is no reason to stop anything, and one that was written before a restart is not written twice: its name is made
of its time and number.
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from k8s.rollout.custom_resource import GROUP, KIND, NAME, VERSION
from k8s.rollout.history import DECISION, History, Recorded
from k8s.rollout.kubernetes_api import Cluster, ClusterError, Kind, Object
from k8s.rollout.model_rollout import OUTBOX, Event, Outcome

_log: Final = logging.getLogger(__name__)

AT_ONCE: Final = 20
"""Events written in one tick; the others wait for the next."""

_WAITING: Final = 100
_LONGEST: Final = 1024
"""Bytes of an Event's message that the API server takes."""

_COMPONENT: Final = "vigil-rollout"
_ABOUT: Final = f"{GROUP}/event"
_ATTEMPT: Final = f"{GROUP}/attempt"
_NUMBER: Final = f"{GROUP}/number"
_WARNINGS: Final = frozenset(
    f"rollout.{kind}" for kind in ("corrected", "forced", "refused", "suspended", "undo_impossible", "undo_proposed")
)

Key = tuple[datetime, int]


class KubernetesEvents:
    """Events of the one ModelRollout of a namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: deque[Event] = deque(maxlen=_WAITING)
        self._known: deque[Key] = deque(maxlen=2 * OUTBOX + _WAITING)

    def tell(self, events: Iterable[Event]) -> None:
        """Writes those that are new, in their order; never raises."""
        for event in events:
            if event.kind != DECISION and _key(event) not in self._known:
                self._known.append(_key(event))
                self._waiting.append(event)
        if not self._waiting:
            return
        try:
            owner = self._cluster.get(Kind.ROLLOUTS, NAME)["metadata"]
            for _ in range(min(AT_ONCE, len(self._waiting))):
                self._cluster.create(Kind.EVENTS, written(self._waiting[0], owner))
                self._waiting.popleft()
        except ClusterError as error:
            _log.info("rollout.untold", extra={"events": len(self._waiting), "problem": str(error)})

    def newest(self, most: int) -> list[Event]:
        """The newest that the cluster has kept, in their order. Raises ClusterError."""
        about = {"involvedObject.kind": KIND, "involvedObject.name": NAME}
        found = [read for each in self._cluster.with_fields(Kind.EVENTS, about) if (read := _read(each))]
        return sorted(found, key=_key)[-most:] if most else []


class ToldHistory:
    """A History whose events are told as a cluster's Events, too, whether or not it takes them."""

    def __init__(self, history: History, told: KubernetesEvents) -> None:
        self._history = history
        self._told = told

    def add_events(self, events: Sequence[Event]) -> None:
        try:
            self._history.add_events(events)
        finally:
            self._told.tell(events)

    def events(self, attempt: str | None = None, most: int | None = None) -> tuple[Event, ...]:
        return self._history.events(attempt, most)

    def evidence(self, attempt: str) -> tuple[Recorded, ...]:
        return self._history.evidence(attempt)


def written(event: Event, owner: Object) -> Object:
    """An event as the API has it; `owner`: the metadata of the object that it is about."""
    at = event.at.astimezone(UTC)
    words = event.message.encode()[:_LONGEST].decode(errors="ignore")
    annotations = {_ABOUT: event.kind, _NUMBER: str(event.number)}
    about = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "name": owner["name"], "namespace": owner["namespace"]}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{owner['name']}.{at:%Y%m%dt%H%M%S}.{event.number}",
            "annotations": annotations | ({_ATTEMPT: event.attempt} if event.attempt else {}),
        },
        "involvedObject": {**about, "uid": owner["uid"]},
        "reason": "".join(word.capitalize() for word in event.kind.partition(".")[2].split("_")),
        "message": words,
        "type": "Warning" if _warns(event) else "Normal",
        "firstTimestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "lastTimestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "count": 1,
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
    }


def _warns(event: Event) -> bool:
    ended_badly = event.kind == "rollout.verdict" and event.numbers.get("outcome") != Outcome.PROMOTED
    return ended_badly or event.kind in _WARNINGS


def _read(told: Object) -> Event | None:
    """The event that was told; None: it is somebody else's."""
    annotations = told["metadata"].get("annotations") or {}
    if _ABOUT not in annotations or not annotations.get(_NUMBER, "").isdigit():
        return None
    return Event(
        number=int(annotations[_NUMBER]),
        at=told["firstTimestamp"],
        attempt=annotations.get(_ATTEMPT),
        kind=annotations[_ABOUT],
        message=told.get("message", ""),
    )


def _key(event: Event) -> Key:
    return event.at, event.number
