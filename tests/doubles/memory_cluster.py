"""A cluster in memory: objects with field managers and versions, a gateway that accepts routes, pods."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from k8s.rollout.kubernetes_api import AbsentError, ClusterError, Kind, Object
from k8s.rollout.kubernetes_fleet import ROLE, SETTLED_SECONDS, TAG, KubernetesFleet
from k8s.rollout.routers import SERVICES, Role

NAMESPACE = "vigil"


@dataclass
class MemoryCluster:
    """What `kubernetes_api.Cluster` is, without a server. `failure`: while set, every call raises it."""

    namespace: str = NAMESPACE
    failure: ClusterError | None = None
    accepts: bool = True
    """Whether there is a gateway that accepts routes."""
    _made: dict[tuple[Kind, str], Object] = field(default_factory=dict)
    _applied: dict[tuple[Kind, str], dict[str, Object]] = field(default_factory=dict)
    _versions: dict[tuple[Kind, str], int] = field(default_factory=dict)
    _generations: dict[tuple[Kind, str], int] = field(default_factory=dict)
    """Of objects whose status is written by itself, which is no change of what is wanted."""
    _count: int = 0

    def get(self, kind: Kind, name: str) -> Object:
        self._reach()
        key = (kind, name)
        if key not in self._versions:
            raise AbsentError(f"GET {name}: not found (404)")
        found = copy.deepcopy(self._made.get(key, {}))
        for content in self._applied.get(key, {}).values():
            found = _merged(found, content)
        version = self._versions[key]
        generation = self._generations.get(key, version)
        owned = [
            {"manager": manager, "fieldsV1": _fields(content)}
            for manager, content in self._applied.get(key, {}).items()
        ]
        found["metadata"] |= {"resourceVersion": str(version), "generation": generation, "managedFields": owned}
        if kind is Kind.ROUTES and self.accepts:
            condition = {"type": "Accepted", "status": "True", "observedGeneration": version}
            found["status"] = {"parents": [{"conditions": [condition]}]}
        return found

    def labelled(self, kind: Kind, labels: Mapping[str, str]) -> list[Object]:
        self._reach()
        found = [self.get(*key) for key in self._versions if key[0] is kind]
        return [each for each in found if labels.items() <= each["metadata"]["labels"].items()]

    def with_fields(self, kind: Kind, fields: Mapping[str, str]) -> list[Object]:
        self._reach()
        found = [self.get(*key) for key in self._versions if key[0] is kind]
        return [each for each in found if all(_field(each, path) == value for path, value in fields.items())]

    def apply(self, kind: Kind, content: Object, manager: str) -> Object:
        self._reach()
        key = (kind, content["metadata"]["name"])
        applied = self._applied.setdefault(key, {})
        for other in applied.keys() - {manager}:
            applied[other] = _without(applied[other], content) | {"metadata": applied[other]["metadata"]}
        applied[manager] = copy.deepcopy(content)
        self._versions[key] = self._versions.get(key, 0) + 1
        return self.get(*key)

    def create(self, kind: Kind, content: Object) -> Object | None:
        self._reach()
        key = (kind, content["metadata"]["name"])
        if key in self._versions:
            return None
        self._count += 1
        self._made[key], self._versions[key] = copy.deepcopy(content), self._count
        self._made[key]["metadata"] |= {"uid": f"uid-{self._count}", "namespace": self.namespace}
        if kind is Kind.ROLLOUTS:
            self._made[key].pop("status", None)
            self._generations[key] = 1
        return self.get(*key)

    def replace(self, kind: Kind, content: Object) -> Object | None:
        key = (kind, content["metadata"]["name"])
        if self._stale(key, content):
            return None
        made = copy.deepcopy(content)
        if kind is Kind.ROLLOUTS:
            before = self._made[key]
            made.pop("status", None)
            made |= {"status": before["status"]} if "status" in before else {}
            self._generations[key] += made["spec"] != before["spec"]
        self._made[key] = made
        self._versions[key] += 1
        return self.get(*key)

    def replace_status(self, kind: Kind, content: Object) -> Object | None:
        key = (kind, content["metadata"]["name"])
        if self._stale(key, content):
            return None
        self._made[key] = {**self._made[key], "status": copy.deepcopy(content["status"])}
        self._versions[key] += 1
        return self.get(*key)

    def _stale(self, key: tuple[Kind, str], content: Object) -> bool:
        """Whether somebody has written it since. Raises AbsentError."""
        found, given = self.get(*key)["metadata"], content["metadata"]
        return found["resourceVersion"] != given["resourceVersion"] or found.get("uid") != given.get("uid")

    def delete(self, kind: Kind, name: str) -> None:
        for kept in (self._made, self._applied, self._versions, self._generations):
            kept.pop((kind, name), None)  # type: ignore[attr-defined]

    def _reach(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class Kubelet:
    """What makes the pods of the three Deployments be as they are wanted, one step at each `tend`."""

    cluster: MemoryCluster
    published: tuple[str, ...]
    now: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    _count: int = 0

    def __post_init__(self) -> None:
        for role, name in SERVICES.items():
            spec = {"template": {"metadata": {"labels": {ROLE: role}}}}
            self.cluster.create(Kind.DEPLOYMENTS, {"metadata": {"name": name, "labels": {ROLE: role}}, "spec": spec})
            KubernetesFleet(self.cluster).scale(role, 0)  # type: ignore[arg-type]

    def clock(self) -> datetime:
        return self.now

    def tend(self) -> None:
        self.now += timedelta(seconds=SETTLED_SECONDS)
        for role in SERVICES:
            self._tend(role)

    def _tend(self, role: Role) -> None:
        spec = self.cluster.get(Kind.DEPLOYMENTS, SERVICES[role])["spec"]
        tag, wanted = spec["template"]["metadata"].get("annotations", {}).get(TAG), spec["replicas"]
        pods = self.cluster.labelled(Kind.PODS, {ROLE: role})
        right = [pod for pod in pods if pod["metadata"]["annotations"].get(TAG) == tag]
        others = [pod for pod in pods if pod not in right]
        serving = [pod for pod in pods if self._serves(pod)]
        if len(right) > wanted:
            self._end(right[-1])
        elif len(right) < wanted:
            self._begin(role, tag)
        elif others and (len(serving) > wanted or not self._serves(others[0])):
            self._end(others[0])

    def _begin(self, role: Role, tag: str | None) -> None:
        self._count += 1
        status: Object = {
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": self.now.isoformat()}]
        }
        if tag not in self.published:
            ended = {"terminated": {"exitCode": 3, "message": f"no such artifact: {tag} is not in the store\n"}}
            status = {
                "initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}]
            }
        metadata = {"name": f"{role}-{self._count}", "labels": {ROLE: role}, "annotations": {TAG: tag} if tag else {}}
        self.cluster.create(Kind.PODS, {"metadata": metadata, "status": status})

    def _end(self, pod: Object) -> None:
        self.cluster.delete(Kind.PODS, pod["metadata"]["name"])

    def _serves(self, pod: Object) -> bool:
        conditions = pod["status"].get("conditions", [])
        age = timedelta(seconds=SETTLED_SECONDS)
        return any(self.now - datetime.fromisoformat(each["lastTransitionTime"]) >= age for each in conditions)


def _field(found: Object, path: str) -> object:
    for name in path.split("."):
        found = found[name]
    return found


def _fields(content: Object) -> Object:
    """What is owned of it, as `managedFields` says it: lists are owned whole."""
    return {f"f:{name}": _fields(value) if isinstance(value, dict) else {} for name, value in content.items()}


def _without(one: Object, other: Object) -> Object:
    """What is left of one after another manager took what it wants."""
    left = {}
    for name, value in one.items():
        if name not in other:
            left[name] = value
        elif isinstance(value, dict) and isinstance(other[name], dict) and (inner := _without(value, other[name])):
            left[name] = inner
    return left


def _merged(one: Object, other: Object) -> Object:
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = _merged(one[key], other[key])
    return both
