"""The state folder of the local stack: what lies where in it, and the lock that makes its owner the only one.

The lock is the kernel's (flock): it ends with the process, whatever ends that. What the file says is only for people
and for the other commands: who has it, since when, and where the gateway listens.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from k8s.local.errors import AlreadyRunningError

HOME: Final = Path(".vigil")
"""Below the working directory, so that a checkout has its own stacks."""

DEFAULT: Final = HOME / "local"
"""What `up` runs in: its prediction store stays from one start to the next."""

DEMO: Final = HOME / "demo"
"""What `demo` runs in: each demo begins with an empty prediction store."""

ARTIFACTS: Final = HOME / "artifacts"
"""The artifact store that both use: Bentos that were published."""

_PATIENCE_SECONDS: Final = 0.5
"""Longer than `owner` keeps the lock when it looks whether somebody has it."""


@dataclass(frozen=True)
class Owner:
    """The running stack of a state folder. `url` is None until its gateway listens."""

    pid: int
    since: str
    url: str | None = None

    def __str__(self) -> str:
        where = self.url or "not yet listening"
        return f"process {self.pid}, since {self.since}, {where}"


@dataclass(frozen=True)
class State:
    """The places in a state folder."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def builds(self) -> Path:
        """BentoML's store of what was packaged here, before it is published."""
        return self.folder / "builds"

    @property
    def bentoml(self) -> Path:
        """BentoML's store of what was pulled, to be run."""
        return self.folder / "bentoml"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def events(self) -> Path:
        """The events that the demo made up."""
        return self.folder / "events.csv"

    @property
    def ledger(self) -> Path:
        """What was sent, and what was answered."""
        return self.folder / "ledger.jsonl"

    @property
    def page(self) -> Path:
        """The demo's report."""
        return self.folder / "report.html"

    @property
    def spools(self) -> Path:
        """The scorers' rows that the prediction store did not take yet."""
        return self.folder / "spool"

    @property
    def routes(self) -> Path:
        """Alone in its folder, which Envoy watches."""
        return self.folder / "envoy" / "routes" / "routes.json"

    @property
    def endpoints(self) -> Path:
        """The endpoints of each Service; Envoy watches this folder, too."""
        return self.folder / "envoy" / "endpoints"

    @property
    def fleet(self) -> Path:
        """Which model each role is to run, and how many copies of it."""
        return self.folder / "fleet.json"

    @property
    def fleet_status(self) -> Path:
        """What runs."""
        return self.folder / "fleet-status.json"

    @property
    def rollout(self) -> Path:
        """The rollout's object: what is wanted, and what happened."""
        return self.folder / "rollout.json"

    @property
    def connections(self) -> Path:
        """How other processes reach this stack's parts; it holds passwords, so it is its owner's only (0600)."""
        return self.folder / "connections.json"

    @property
    def bootstrap(self) -> Path:
        return self.folder / "envoy" / "bootstrap.json"

    def spool(self, role: str, slot: int) -> Path:
        """Of one copy of a role: no two processes share a spool."""
        return self.spools / role / str(slot)

    def scorer_log(self, role: str, slot: int) -> Path:
        return self.logs / (f"scorer-{role}.log" if slot == 0 else f"scorer-{role}-{slot}.log")


class StateLock:
    """The right to use a state folder, from `with` to its end."""

    def __init__(self, state: State, now: datetime) -> None:
        self._path = state.lock
        self._owner = Owner(os.getpid(), now.isoformat(timespec="seconds"))
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Raises AlreadyRunningError, saying who has the folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _locked(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(self._file)
                raise AlreadyRunningError(
                    f"the stack of {self._path.parent} is running already: {_read(self._path) or 'no details'}. "
                    "Use it, end it with Ctrl-C, or choose another folder with --state"
                )
            time.sleep(0.02)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def announce(self, url: str) -> None:
        """Tells the other commands where the gateway listens."""
        self._owner = Owner(self._owner.pid, self._owner.since, url)
        self._write()

    def _write(self) -> None:
        if self._file is None:
            raise RuntimeError("the lock is not held")
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(asdict(self._owner)).encode(), 0)


def owner(state: State) -> Owner | None:
    """Who runs the stack of this folder; None when nobody does."""
    try:
        file = os.open(state.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared: two who look at the same time must not take each other for the owner.
        return None if _locked(file, fcntl.LOCK_SH) else _read(state.lock)
    finally:
        os.close(file)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # it is just being written
        return None
