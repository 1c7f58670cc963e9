"""Changes of a cluster's objects: the ModelRollout, the HTTPRoute, the three Deployments, each watched by its name."""

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from k8s.rollout.changes import NoChanges
from k8s.rollout.kubernetes_api import Cluster, ClusterError, Kind, Object, Stream

_log: Final = logging.getLogger(__name__)

WATCH_SECONDS: Final = 60
"""A watch is made anew so often: a connection that died without a word is noticed after that."""

_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds between tries while the API server is away."""

_COPIES: Final = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


class KubernetesChanges:
    """Changes of objects, by kind and name. The watches begin with the first `wait`: most commands never call it.

    What the controller itself writes into a status is no change, so a tick does not lead to the next one.
    """

    def __init__(self, cluster: Cluster, names: Iterable[tuple[Kind, str]]) -> None:
        self._cluster = cluster
        self._names = tuple(names)
        self._woken = NoChanges()
        self._closed = threading.Event()
        self._streams: dict[tuple[Kind, str], Stream] = {}
        self._threads: list[threading.Thread] = []

    def wait(self, seconds: float) -> bool:
        if not self._threads and not self._closed.is_set():
            self._threads = [self._started(*each) for each in self._names]
        return self._woken.wait(seconds)

    def wake(self) -> None:
        self._woken.wake()

    def close(self) -> None:
        """Ends the watches."""
        self._closed.set()
        for stream in tuple(self._streams.values()):
            with suppress(OSError, ValueError):  # it ended by itself a moment ago
                stream.end()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _started(self, kind: Kind, name: str) -> threading.Thread:
        thread = threading.Thread(target=self._follow, args=(kind, name), name=f"watch-{name}", daemon=True)
        thread.start()
        return thread

    def _follow(self, kind: Kind, name: str) -> None:
        """Watches one object until the end, whatever the API server does meanwhile."""
        seen: Any = None
        failures = 0
        while not self._closed.is_set():
            try:
                seen = self._watch(kind, name, seen)
                failures = 0
            except ClusterError as error:
                if self._closed.is_set():
                    return
                if not failures:
                    _log.info("watch.failed", extra={"object": name, "problem": str(error)})
                self._closed.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _watch(self, kind: Kind, name: str, seen: Any) -> Any:
        """One watch, from what was seen to what was seen last."""
        with self._cluster.watching(kind, name, WATCH_SECONDS) as stream:
            self._streams[kind, name] = stream
            if self._closed.is_set():
                return seen
            for state in stream:
                if (found := _mark(state)) != seen:
                    self._woken.wake()
                seen = found
        return seen


def _mark(state: Object | None) -> Any:
    """What of a state matters: what is wanted, and which copies there are; None: it is not there."""
    if state is None:
        return None
    metadata, status = state["metadata"], state.get("status", {})
    copies = [status.get(each) for each in _COPIES] if state.get("kind") == "Deployment" else []
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), *copies
