"""The lease of a cluster: a Lease object (coordination.k8s.io) that its holder renews, and that runs out without it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from k8s.rollout.errors import HeldError, LostError, NotRunningError
from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, Object
from k8s.rollout.leases import Holder

NAME: Final = "rollout"
SECONDS: Final = 30
"""A holder that has not renewed for this long is gone. A controller looks at every tick, each 5 s at most."""

_RENEWED_AFTER: Final = timedelta(seconds=8)
"""An older renewal is renewed; a write at every tick would be one a second under a plan with short blocks."""


def _now() -> datetime:
    return datetime.now(UTC)


class KubernetesLease:
    """A Lease by the object `rollout` of the namespace. Two that take it at once: one of them gets a conflict."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime] = _now) -> None:
        self._cluster = cluster
        self._clock = clock
        self._who: str | None = None

    def take(self, who: str, now: datetime) -> None:
        found = self._read()
        held = _holder(found, now)
        if held is not None and held.who != who:
            raise HeldError(f"a controller runs already: {held}; end it first, or leave the work to it")
        if not self._write(found, who, acquired=now, renewed=now):
            raise HeldError("another controller took the lease at this moment; leave the work to it")
        self._who = who

    def renew(self, now: datetime) -> None:
        """One that ran out while the API server was away is still ours, unless somebody has taken it since."""
        found = self._read()
        spec = found.get("spec", {}) if found else {}
        who = spec.get("holderIdentity")
        if self._who is None or who != self._who:
            raise LostError(f"the lease {NAME} is {who or 'nobody'}'s, not this controller's any more; start it again")
        if found is not None and timedelta(0) <= now - _renewed(found) < _RENEWED_AFTER:
            return
        if not self._write(found, who, acquired=datetime.fromisoformat(spec["acquireTime"]), renewed=now):
            raise LostError(f"somebody else wrote the lease {NAME} at this moment; start this controller again")

    def release(self) -> None:
        if self._who is None:
            return
        found, now = self._read(), self._clock()
        held = _holder(found, now)
        if held is not None and held.who == self._who:
            self._write(found, "", acquired=now, renewed=now)
        self._who = None

    def holder(self) -> Holder | None:
        return _holder(self._read(), self._clock())

    def _read(self) -> Object | None:
        try:
            return self._cluster.get(Kind.LEASES, NAME)
        except AbsentError:
            return None
        except ClusterError as error:
            raise NotRunningError(str(error)) from error

    def _write(self, found: Object | None, who: str, *, acquired: datetime, renewed: datetime) -> bool:
        spec = {
            "holderIdentity": who,
            "acquireTime": _written(acquired),
            "renewTime": _written(renewed),
            "leaseDurationSeconds": SECONDS,
        }
        try:
            if found is None:
                made = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": NAME},
                    "spec": spec,
                }
                return self._cluster.create(Kind.LEASES, made) is not None
            return self._cluster.replace(Kind.LEASES, {**found, "spec": spec}) is not None
        except ClusterError as error:
            raise NotRunningError(str(error)) from error


def _holder(lease: Object | None, now: datetime) -> Holder | None:
    """Whose it is; None: nobody's, or its holder has not renewed it in time."""
    spec = lease.get("spec", {}) if lease else {}
    if not spec.get("holderIdentity"):
        return None
    if lease is None or now - _renewed(lease) > timedelta(seconds=spec.get("leaseDurationSeconds", SECONDS)):
        return None
    return Holder(spec["holderIdentity"], datetime.fromisoformat(spec["acquireTime"]))


def _renewed(lease: Object) -> datetime:
    return datetime.fromisoformat(lease["spec"]["renewTime"])


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
