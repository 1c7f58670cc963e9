"""A supervisor of child processes that leaves nothing behind, however it ends.

Each child has a session of its own, so that a terminal's Ctrl-C reaches only us and the children are stopped in
order. Each writes to its own log file. On Linux the kernel ends them when we are killed (see `launcher`); on macOS
a SIGKILL of this process leaves them running.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from k8s.local.errors import NotReadyError, ProcessDiedError, last_lines
from k8s.local.interrupts import Interrupted, Interrupts

STOP_SECONDS: Final = 10.0
"""How long a process may take to end when asked, before it is killed: a scorer drains its log in less than a second."""

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_POLL_SECONDS: Final = 0.02


class Account(Protocol):
    """A user of the system."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


@dataclass(frozen=True)
class Command:
    """What to run, and how to end it."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    log: Path
    environment: Mapping[str, str]
    account: Account | None = None
    """None: the user that we are."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when this process is gone."""
    layer: int = 0
    """What is in a higher layer is stopped before what is in a lower one: it needs that to end in order."""


class Child:
    """A process that was started."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes], *, vital: bool = True) -> None:
        self.command = command
        self.vital = vital
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As subprocess says it: negative for a signal; None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raises ProcessDiedError when the process is gone."""
        if not self.alive:
            raise ProcessDiedError(self.command.name, how_it_ended(self._process.returncode), self.command.log)

    def ask_to_end(self) -> None:
        self._process.send_signal(self.command.stop_signal)

    def kill(self) -> None:
        """Ends the process and whatever it started in its own session, and waits for that."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Supervisor:
    """Starts children, notices when a vital one dies, and stops them all, by their layers, the last one first.

    Use it as a context manager, from the main thread: the kernel ties a child to the thread that started it.
    """

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A signal that comes before `stop` holds signals back must not end the stopping.
        interrupted: Interrupted | None = None
        while self._children:
            try:
                self.stop()
            except Interrupted as signalled:
                interrupted = signalled
        if interrupted is not None and error is None:
            raise interrupted

    @property
    def children(self) -> tuple[Child, ...]:
        """Those that were started and not yet stopped, in the order of their start."""
        return tuple(self._children)

    def start(self, command: Command, *, vital: bool = True) -> Child:
        """Starts a child and returns at once. Its log is begun anew. Without a `vital` one nothing goes on."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are started from the main thread: they end with the thread that started them")
        with self._interrupts.held():
            child = Child(command, _spawn(command), vital=vital)
            self._children.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Ends a child at once, if it has not ended yet, with all that it started; it is no longer ours then."""
        with self._interrupts.held():
            child.kill()
            self._children.remove(child)

    def wait_ready(self, child: Child, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once `ready()` holds while every child is alive.

        Raises ProcessDiedError as soon as one is not, NotReadyError after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            child.check()
            self.check()
            if time.monotonic() > deadline:
                name, log = child.command.name, child.command.log
                raise NotReadyError(f"{name} was not ready within {seconds:g} s. The end of {log}:\n{last_lines(log)}")
            time.sleep(_POLL_SECONDS)
        self.check()

    def check(self) -> None:
        """Raises ProcessDiedError when a vital child has ended without being asked to."""
        for child in self._children:
            if child.vital:
                child.check()

    def stop(self) -> None:
        """Asks each child to end, the last one first, and kills it after STOP_SECONDS, or at the next Ctrl-C."""
        with self._interrupts.held():
            asked = self._interrupts.count
            self._children.sort(key=lambda each: each.command.layer)
            while self._children:
                child = self._children[-1]
                _stop(child, impatient=lambda: self._interrupts.count > asked)
                self._children.pop()


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    account = f"{command.account.uid}:{command.account.gid}" if command.account else "-"
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(command.orphan_signal)), account]
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own commands, without a shell
            [*launcher, *command.arguments],
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop(child: Child, impatient: Callable[[], bool]) -> None:
    if child.alive:
        child.ask_to_end()
    deadline = time.monotonic() + STOP_SECONDS
    while child.alive and time.monotonic() < deadline and not impatient():
        time.sleep(_POLL_SECONDS)
    if child.alive:
        child.kill()


def how_it_ended(returncode: int) -> str:
    """The end of a process in words, from subprocess's return code (negative: the number of a signal)."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"
