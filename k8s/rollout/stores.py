"""Where the rollout's object is kept.

StoreError
+-- ConflictError    somebody wrote in between: read again
+-- UnreadableError  what is there is no rollout
"""

from collections.abc import Callable
from typing import Protocol

from k8s.rollout.model_rollout import ModelRollout, Spec, Status


class StoreError(Exception):
    """The object can't be read or written."""


class ConflictError(StoreError):
    """Somebody wrote in between: read again."""


class UnreadableError(StoreError):
    """What is there is no rollout, or one of a newer version."""


class RolloutStore(Protocol):
    """One rollout's object. An object that is missing reads as an empty one."""

    def read(self) -> ModelRollout:
        """What is wanted, and what happened. Raises StoreError."""

    def change_spec(self, change: Callable[[Spec], Spec]) -> ModelRollout:
        """Changes what is wanted, in one step; `change` may be called again. Raises StoreError, and what it raises."""

    def write_status(self, status: Status, version: str) -> ModelRollout:
        """Writes what happened, if the object still has this version. Raises ConflictError, StoreError."""
