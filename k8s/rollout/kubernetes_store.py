"""A rollout's object in a cluster: the custom resource ModelRollout, one a namespace.

The fields of spec and status are those of the models. The store adds to the status what is only for people (columns,
conditions, observedGeneration) and takes it away when it reads. A status or a spec with a field that these models do
not have is refused, as everywhere: an older controller must not decide by half of what a newer one knew.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from k8s.rollout.conditions import columns, conditions
from k8s.rollout.custom_resource import GROUP, KIND, NAME, VERSION
from k8s.rollout.kubernetes_api import AbsentError, Cluster, ClusterError, Kind, Object, UnknownKindError
from k8s.rollout.model_rollout import ModelRollout, Spec, Status
from k8s.rollout.stores import ConflictError, StoreError, UnreadableError

MOST_BYTES: Final = 400_000
"""Of a status as JSON. etcd takes 1.5 MB, and the API server keeps a second account of every field beside it."""

_TRIES: Final = 20
_FOR_PEOPLE: Final = frozenset({"candidate", "weight", "verdict", "conditions", "observedGeneration"})
_ABSENT: Final = ""
"""Version of an object that is not there yet."""


def _now() -> datetime:
    return datetime.now(UTC)


class KubernetesStore:
    """A RolloutStore. The version is the resourceVersion: a label that somebody changes is a change, too."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime] = _now) -> None:
        self._cluster = cluster
        self._clock = clock
        self._place = f"ModelRollout {NAME} of namespace {cluster.namespace}"

    def read(self) -> ModelRollout:
        return self._rollout(self._get())

    def change_spec(self, change: Callable[[Spec], Spec]) -> ModelRollout:
        for _ in range(_TRIES):
            found = self._get()
            spec = _plain(change(self._rollout(found).spec))
            made = self._create(spec) if found is None else self._replace({**found, "spec": spec})
            if made is not None:
                return self._unless_cut(made, "spec", spec)
        raise ConflictError(f"{self._place} was changed {_TRIES} times while this change was made: try it again")

    def write_status(self, status: Status, version: str) -> ModelRollout:
        found = self._get()
        if (found["metadata"]["resourceVersion"] if found else _ABSENT) != version:
            raise ConflictError(f"{self._place} was changed since it was read: read it again")
        found = found or self._create({})
        if found is None:
            raise ConflictError(f"{self._place} was made by somebody else at this moment: read it again")
        plain = _plain(_fitting(status))
        made = self._put_status({**found, "status": plain | self._for_people(found, status)})
        if made is None:
            raise ConflictError(f"{self._place} was changed at this moment: read it again")
        return self._unless_cut(made, "status", plain)

    def _for_people(self, found: Object, status: Status) -> Object:
        """What of a status nobody reads again but people and their tools."""
        spec, generation = self._rollout({**found, "status": {}}).spec, status.observed_generation
        before = found.get("status", {}).get("conditions", [])
        now = status.ticked_at or self._clock()
        shown = {"observedGeneration": generation, "conditions": conditions(spec, status, before, generation, now)}
        return columns(spec, status) | shown

    def _rollout(self, found: Object | None) -> ModelRollout:
        """The object as the models have it. Raises UnreadableError."""
        if found is None:
            return ModelRollout(version=_ABSENT)
        kept = {key: value for key, value in found.get("status", {}).items() if key not in _FOR_PEOPLE}
        kept |= {"observed_generation": found.get("status", {}).get("observedGeneration", 0)}
        content = {"spec": found.get("spec") or {}, "status": kept}
        metadata = found["metadata"]
        try:
            rollout = ModelRollout.model_validate(content)
        except ValidationError as error:
            raise self._unreadable(error) from error
        return rollout.model_copy(
            update={"version": metadata["resourceVersion"], "generation": metadata.get("generation", 0)}
        )

    def _unreadable(self, error: ValidationError) -> UnreadableError:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            return UnreadableError(
                f"{self._place} has a field that this program does not know, {where}: run the newer version that wrote "
                f"it, or take the field away with `kubectl edit {KIND.lower()} {NAME}`"
                + (" --subresource=status" if first["loc"][0] == "status" else "")
            )
        return UnreadableError(
            f"{self._place} has a mistake at {where}: {first['msg']}. Put it right, or delete the object; stable is "
            "then taken over from what runs, and a candidate begins again at its shadow phase"
        )

    def _unless_cut(self, made: Object, part: str, wanted: Object) -> ModelRollout:
        """The object as it was written. An older definition of its kind would cut off what it does not know."""
        lost = _lost(wanted, made.get(part) or {})
        if lost:
            raise StoreError(
                f"the cluster's definition of {KIND} is older than this program and dropped {part}.{lost}: "
                "kubectl apply --server-side -k k8s/platform/crds"
            )
        return self._rollout(made)

    def _get(self) -> Object | None:
        """The object; None: it is not there. Raises StoreError, also when the cluster has no such kind."""
        try:
            return self._cluster.get(Kind.ROLLOUTS, NAME)
        except UnknownKindError as error:
            raise StoreError(
                f"the cluster has no kind {KIND} ({GROUP}/{VERSION}): kubectl apply --server-side -k k8s/platform/crds"
            ) from error
        except AbsentError:
            return None
        except ClusterError as error:
            raise StoreError(str(error)) from error

    def _create(self, spec: Object) -> Object | None:
        content = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": NAME}, "spec": spec}
        return self._asked(lambda: self._cluster.create(Kind.ROLLOUTS, content))

    def _replace(self, content: Object) -> Object | None:
        return self._asked(lambda: self._cluster.replace(Kind.ROLLOUTS, content))

    def _put_status(self, content: Object) -> Object | None:
        return self._asked(lambda: self._cluster.replace_status(Kind.ROLLOUTS, content))

    def _asked(self, write: Callable[[], Object | None]) -> Object | None:
        """The object as it was written; None: somebody else wrote it first, or took it away."""
        try:
            return write()
        except AbsentError:
            return None
        except ClusterError as error:
            raise StoreError(str(error)) from error


def _plain(model: BaseModel) -> Object:
    """A model as JSON. A field that is None and would be without being named is left out: `kubectl` shows the rest."""
    dumped: Object = json.loads(json.dumps(model.model_dump(mode="json"), allow_nan=False))
    made = _lean(model, dumped)
    made.pop("observed_generation", None)
    return made


def _lean(model: BaseModel, dumped: Object) -> Object:
    kept = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if value is not None or info.is_required() or info.default is not None:
            kept[name] = _lean(value, dumped[name]) if isinstance(value, BaseModel) else dumped[name]
    return kept


def _fitting(status: Status) -> Status:
    """The status, without the oldest events that the history has not taken when it would be too large otherwise."""
    while len(status.model_dump_json()) > MOST_BYTES and status.outbox:
        status = status.model_copy(update={"outbox": status.outbox[1 + len(status.outbox) // 4 :]})
    return status


def _lost(wanted: Any, found: Any) -> str:
    """The path of the first field that was wanted and is not there; '' when all are."""
    if isinstance(wanted, list):
        wanted, found = dict(enumerate(wanted)), dict(enumerate(found if isinstance(found, list) else ()))
    if not isinstance(wanted, dict):
        return ""
    for key, value in wanted.items():
        if not isinstance(found, dict) or key not in found:
            return str(key)
        if inner := _lost(value, found[key]):
            return f"{key}.{inner}"
    return ""
