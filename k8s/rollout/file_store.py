"""A rollout's object in a file, for the local stack: JSON, replaced whole by rename, changed under a lock."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from k8s.rollout.model_rollout import ModelRollout, Spec, Status
from k8s.rollout.stores import ConflictError, StoreError, UnreadableError

KIND: Final = "ModelRollout"
FORMAT: Final = 1
"""Rises when an older reader would misunderstand a file."""

_EMPTY: Final = ""
"""Version of an object that is not there yet."""


class FileStore:
    """A RolloutStore. The version is a hash of the file, so an edit by hand is one more change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f"{path.name}.lock")

    def read(self) -> ModelRollout:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ModelRollout(version=_EMPTY)
        except OSError as error:
            raise StoreError(f"{self._path} can't be read: {error.strerror or error}") from error
        return self._parsed(content)

    def change_spec(self, change: Callable[[Spec], Spec]) -> ModelRollout:
        with self._changing():
            found = self.read()
            return self._write(found.model_copy(update={"spec": change(found.spec)}))

    def write_status(self, status: Status, version: str) -> ModelRollout:
        with self._changing():
            found = self.read()
            if found.version != version:
                raise ConflictError(f"{self._path} was changed since it was read: read it again")
            return self._write(found.model_copy(update={"status": status}))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One change at a time, of all processes. The lock is a file of its own: the object's is replaced."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._lock} can't be locked: {error.strerror or error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, rollout: ModelRollout) -> ModelRollout:
        """The object as it is now in the file, which holds the old one or the new one whatever happens."""
        data = {"kind": KIND, "format": FORMAT, **rollout.model_dump(mode="json", exclude={"version", "generation"})}
        content = (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            _replace(self._path, content)
        except OSError as error:
            raise StoreError(f"{self._path} can't be written: {error.strerror or error}") from error
        return rollout.model_copy(update={"version": _version(content)})

    def _parsed(self, content: bytes) -> ModelRollout:
        try:
            data = json.loads(content)
        except ValueError as error:
            raise self._unreadable(f"is no JSON ({error})") from error
        if not isinstance(data, dict) or data.pop("kind", None) != KIND:
            raise self._unreadable(f"is no {KIND}")
        self._check_format(data.pop("format", None))
        try:
            return ModelRollout.model_validate({**data, "version": _version(content)})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._unreadable(f"has a mistake at {where}: {first['msg']}") from error

    def _check_format(self, found: Any) -> None:
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._unreadable(f"has the format {found!r}, which is none")
        if found > FORMAT:
            raise UnreadableError(
                f"{self._path} has the format {found}, and this program knows {FORMAT}: run the newer version that "
                "wrote it, or move the file away and name stable's model again"
            )

    def _unreadable(self, what: str) -> UnreadableError:
        return UnreadableError(
            f"{self._path} {what}: put it right, or move it away; stable is then taken over from what runs, and a "
            "candidate begins again at its shadow phase"
        )


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _replace(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, also when the machine goes down."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
