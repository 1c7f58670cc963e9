"""The lease: the right to be the only controller of a rollout.

Two controllers would not break a rule (each acts on what the world shows), but they would write the same status in
turns and count the same evidence twice. Who sets weights by hand asks the lease first, too.
"""

import fcntl
import json
import os
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from k8s.rollout.errors import HeldError, LostError, NotRunningError

_PATIENCE_SECONDS: Final = 0.5
"""Longer than `holder` keeps the lock when it looks whether somebody has it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, and since when (UTC); None: it was taken this very moment."""

    who: str
    since: datetime | None

    def __str__(self) -> str:
        return f"{self.who}, since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else self.who


class Lease(Protocol):
    """The right to be the only controller. All calls return at once."""

    def take(self, who: str, now: datetime) -> None:
        """From now on it is `who`'s. Raises HeldError, saying whose it is, and NotRunningError."""

    def renew(self, now: datetime) -> None:
        """Keeps it; called before every tick. Raises LostError when it is not ours any more."""

    def release(self) -> None:
        """Gives it back; nothing happens when it is not ours."""

    def holder(self) -> Holder | None:
        """Whose it is; None: nobody's."""


class FileLease:
    """A lease by the kernel's lock on a file: it ends with the process, whatever ends that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self, who: str, now: datetime) -> None:
        try:
            self._take(who, now)
        except OSError as error:
            self.release()
            raise NotRunningError(f"{self._path} can't be locked: {error.strerror or error}") from error

    def _take(self, who: str, now: datetime) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(file)
                raise _held(self._read(), str(self._path))
            time.sleep(0.02)
        self._file = file
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps({"who": who, "since": now.isoformat()}).encode(), 0)

    def renew(self, now: datetime) -> None:  # noqa: ARG002 - a lock of the kernel has no end
        if self._file is None or not self._is_ours(self._file):
            raise LostError(f"{self._path} is not this controller's any more: its folder was replaced; start it again")

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return None if _locked(file, fcntl.LOCK_SH) else self._read()
        finally:
            os.close(file)

    def _is_ours(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _read(self) -> Holder:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return Holder(found["who"], datetime.fromisoformat(found["since"]))
        except (OSError, ValueError, KeyError, TypeError):  # it is just being written
            return Holder("a controller that is just starting", None)


class MemoryLease:
    """A lease in a dictionary that its competitors share: for tests and dry runs."""

    def __init__(self, places: MutableMapping[str, Holder], name: str = "rollout") -> None:
        self._places = places
        self._name = name
        self._mine: Holder | None = None

    def take(self, who: str, now: datetime) -> None:
        held = self._places.get(self._name)
        if held is not None:
            raise _held(held, self._name)
        self._mine = self._places[self._name] = Holder(who, now)

    def renew(self, now: datetime) -> None:  # noqa: ARG002 - as above
        if self._mine is None or self._places.get(self._name) is not self._mine:
            raise LostError(f"the lease {self._name} is not this controller's any more; start it again")

    def release(self) -> None:
        if self._mine is not None and self._places.get(self._name) is self._mine:
            del self._places[self._name]
        self._mine = None

    def holder(self) -> Holder | None:
        return self._places.get(self._name)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(holder: Holder, place: str) -> HeldError:
    return HeldError(f"a controller runs already: {holder} ({place}); end it first, or leave the work to it")
