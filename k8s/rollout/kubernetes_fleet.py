"""The copies of the scorer in a cluster: three Deployments, whose tag and number of replicas are written here alone.

The manifests name neither field, and each is applied by a field manager of its own, so applying the manifests again (a
deploy, GitOps, `skaffold dev`) changes neither.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from k8s.rollout.fleets import Copies, FleetError, Wanted
from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, Object, owners
from k8s.rollout.routers import SERVICES, Role

TAG: Final = "vigil.dev/tag"
"""Annotation of a scorer's pod: the model that it is assigned."""

ROLE: Final = "vigil.dev/role"
"""Label of a scorer's pod and Deployment."""

SETTLED_SECONDS: Final = 5.0
"""A copy counts as ready when it has been so for this long: until then a gateway may not have heard of it."""

_WAITS: Final = frozenset({"PodInitializing", "ContainerCreating"})
"""Reasons of a container that just begins."""


_TAGGER: Final = "vigil-tag"
_SCALER: Final = "vigil-replicas"
_FIELDS: Final[dict[Wanted, tuple[str, ...]]] = {
    "tag": ("spec", "template", "metadata", "annotations", TAG),
    "copies": ("spec", "replicas"),
}
_DEFAULT: Final = 1
"""Copies of a Deployment that nobody gave a number."""

_OURS: Final[dict[Wanted, str]] = {"tag": _TAGGER, "copies": _SCALER}


def _now() -> datetime:
    return datetime.now(UTC)


class KubernetesFleet:
    """A Fleet of the Deployments scorer-stable, scorer-canary and scorer-shadow of one namespace."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime] = _now) -> None:
        self._cluster = cluster
        self._clock = clock

    def look(self) -> Mapping[Role, Copies]:
        return {role: self._copies(role) for role in SERVICES}

    def assign(self, role: Role, tag: str | None) -> None:
        found = self._deployment(role)
        wanted = found["spec"]["replicas"]
        if tag is None and wanted:
            raise FleetError(f"{role} has {wanted} copies; scale it to 0 before its version is taken away")
        if tag is None and owners(found, *_FIELDS["tag"]) - {_TAGGER}:
            # What somebody else wrote goes only once it is ours.
            self._apply(role, _tagged(""), _TAGGER)
        self._apply(role, _tagged(tag) if tag else {}, _TAGGER)

    def scale(self, role: Role, copies: int) -> None:
        if copies < 0:
            raise FleetError(f"{copies} copies of {role}; expected 0 or more")
        self._deployment(role)
        self._apply(role, {"replicas": copies}, _SCALER)

    def _copies(self, role: Role) -> Copies:
        deployment = self._deployment(role)
        try:
            pods = self._cluster.labelled(Kind.PODS, {ROLE: role})
        except ClusterError as error:
            raise FleetError(str(error)) from error
        return copies(deployment, pods, self._clock())

    def _deployment(self, role: Role) -> Object:
        try:
            return self._cluster.get(Kind.DEPLOYMENTS, SERVICES[role])
        except AbsentError as error:
            raise FleetError(
                f"there is no Deployment {SERVICES[role]} in namespace {self._cluster.namespace}: apply an overlay of "
                "k8s/overlays first"
            ) from error
        except ClusterError as error:
            raise FleetError(str(error)) from error

    def _apply(self, role: Role, spec: Object, manager: str) -> None:
        wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": SERVICES[role]}, "spec": spec}
        try:
            self._cluster.apply(Kind.DEPLOYMENTS, wanted, manager)
        except ClusterError as error:
            raise FleetError(str(error)) from error


def copies(deployment: Object, pods: list[Object], now: datetime) -> Copies:
    """What a Deployment and the pods of its role come to."""
    spec = deployment["spec"]
    tag, wanted = _tag(spec["template"]), spec.get("replicas", 1)
    serving = [pod for pod in pods if _serves(pod, now)]
    ready = sum(_tag(pod) == tag for pod in serving) if tag else 0
    return Copies(
        tag=tag,
        wanted=wanted,
        ready=ready,
        ready_other=len(serving) - ready,
        restarts=sum(_restarts(pod) for pod in pods),
        settled=len(pods) <= wanted and all(_tag(pod) == tag and not _ends(pod) for pod in pods),
        problem=_problem(tag, pods) if ready < wanted else "",
        altered=_altered(deployment),
    )


def _altered(deployment: Object) -> frozenset[Wanted]:
    """What somebody else has written: a field that nobody wrote has a default, and is nobody's."""
    by = {what: owners(deployment, *path) for what, path in _FIELDS.items()}
    accounted = bool(deployment.get("metadata", {}).get("managedFields"))
    if accounted and not by["copies"] and deployment["spec"].get("replicas", _DEFAULT) != _DEFAULT:
        by["copies"] = frozenset({"kubectl scale"})  # to 0 copies leaves no account of itself
    return frozenset(what for what, who in by.items() if who and _OURS[what] not in who)


def _tagged(tag: str) -> Object:
    return {"template": {"metadata": {"annotations": {TAG: tag}}}}


def _tag(annotated: Object) -> str | None:
    """The tag of a pod or of a pod's template."""
    found: str | None = (annotated["metadata"].get("annotations") or {}).get(TAG)
    return found


def _ends(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _serves(pod: Object, now: datetime) -> bool:
    """Whether the gateway sends requests to it: ready for long enough, and not about to end."""
    if _ends(pod):
        return False
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            since = datetime.fromisoformat(condition["lastTransitionTime"])
            return (now - since).total_seconds() >= SETTLED_SECONDS
    return False


def _restarts(pod: Object) -> int:
    return sum(each["restartCount"] for each in pod.get("status", {}).get("containerStatuses", []))


def _problem(tag: str | None, pods: list[Object]) -> str:
    """Why copies of this tag are not ready: the first reason that is found in a pod; else ''."""
    if tag is None:
        return "no version assigned"
    mine = [pod.get("status", {}) for pod in pods if _tag(pod) == tag]
    return next((reason for status in mine if (reason := _reason(status))), "")


def _reason(status: Object) -> str:
    """What a container said last when it ended, else why it waits, else why the pod has no node."""
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated", {})
            if ended.get("exitCode"):
                said = str(ended.get("message", "")).strip() or str(ended.get("reason", ""))
                return said.splitlines()[-1] if said else "ended with an error"
    for container in containers:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason", "PodInitializing") not in _WAITS:
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", condition.get("reason", "not scheduled")))
    return ""
