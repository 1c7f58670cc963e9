"""A rollout's object in memory: for tests, model checks and dry runs."""

from collections.abc import Callable

from k8s.rollout.model_rollout import ModelRollout, Spec, Status
from k8s.rollout.stores import ConflictError, StoreError


class MemoryStore:
    """A RolloutStore. What is written is kept as JSON, as in every other store: nothing is shared with the caller."""

    def __init__(self, rollout: ModelRollout | None = None) -> None:
        first = rollout or ModelRollout()
        self._spec, self._status = first.spec.model_dump_json(), first.status.model_dump_json()
        self._version = 1
        self.failure: StoreError | None = None
        """While it is set, every call raises it: the store can't be reached."""

    def read(self) -> ModelRollout:
        self._reach()
        return ModelRollout(
            spec=Spec.model_validate_json(self._spec),
            status=Status.model_validate_json(self._status),
            version=str(self._version),
        )

    def change_spec(self, change: Callable[[Spec], Spec]) -> ModelRollout:
        self._reach()
        self._spec = change(self.read().spec).model_dump_json()
        self._version += 1
        return self.read()

    def write_status(self, status: Status, version: str) -> ModelRollout:
        self._reach()
        if version != str(self._version):
            raise ConflictError(f"the rollout was changed (version {self._version}, not {version}): read it again")
        self._status = status.model_dump_json()
        self._version += 1
        return self.read()

    def _reach(self) -> None:
        if self.failure is not None:
            raise self.failure
