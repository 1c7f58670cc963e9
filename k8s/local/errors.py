"""What can go wrong in the local stack, and the exit code of each kind.

    LocalError                 exit code
    +-- CheckFailedError       1   the demo ran to its end and something in it was not as it must be
    +-- UsageError             2   the options don't fit together, or name something that is not there
    +-- DataError              3   the data file can't be used
    +-- NotEnoughDataError     4   the data file is fine and too small, or has one class only
    +-- NotRunningError        5   a process died, or did not start
    |   +-- ProcessDiedError       it ended without being asked to
    |   +-- NotReadyError          it did not answer in time
    |   +-- PortTakenError         somebody else listens there
    +-- AlreadyRunningError    6   another stack has this state folder

Ctrl-C, SIGTERM and SIGHUP end a command with 130, after everything that it started was stopped.
"""

from pathlib import Path
from typing import ClassVar, Final

INTERRUPTED: Final = 130


class LocalError(Exception):
    """The root of this package's errors."""

    exit_code: ClassVar[int] = 1


class CheckFailedError(LocalError):
    """The demo ran to its end and something in it was not as it must be."""

    exit_code = 1


class UsageError(LocalError):
    """The options don't fit together, or name something that is not there."""

    exit_code = 2


class DataError(LocalError):
    """The data file can't be used."""

    exit_code = 3


class NotEnoughDataError(LocalError):
    """The data file is fine and too small, or has one class only."""

    exit_code = 4


class NotRunningError(LocalError):
    """A process died, or did not start."""

    exit_code = 5


class ProcessDiedError(NotRunningError):
    """A process ended without being asked to. `log` is where its last words are."""

    def __init__(self, name: str, how: str, log: Path) -> None:
        self.name = name
        self.how = how
        self.log = log
        super().__init__(f"{name} {how}. The end of {log}:\n{last_lines(log)}")


class NotReadyError(NotRunningError):
    """A process did not answer in time."""


class PortTakenError(NotRunningError):
    """Somebody else listens on a port that was asked for."""


class AlreadyRunningError(LocalError):
    """Another stack has this state folder."""

    exit_code = 6


def last_lines(log: Path, count: int = 15) -> str:
    """The last lines of a log, indented; says so when there are none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError as problem:
        return f"    (it can't be read: {problem})"
    return "\n".join(f"    {line}" for line in lines) or "    (it is empty)"
