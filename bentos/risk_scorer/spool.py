"""The spool: rows kept on disk, in numbered files, while the database is away."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .errors import SpoolError

_DIGITS: Final = 12
_PARTS: Final = f"{'[0-9]' * _DIGITS}.rows"
_LOCK: Final = "lock"


class Spool:
    """A folder of parts, each a batch of row lines, oldest first. One process a folder, held by a lock."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Take over the parts that an earlier process left; what it did not finish writing is removed.

        Raises SpoolError when another process uses the folder. A folder that can't be made or written is no error
        here: `add` then raises it, and scoring goes on.
        """
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = _locked(folder)
        for unfinished in folder.glob("*.tmp"):
            unfinished.unlink(missing_ok=True)
        self._parts = [(part, part.stat().st_size) for part in sorted(folder.glob(_PARTS)) if part.is_file()]
        self.bytes = sum(size for _, size in self._parts)
        self._next = max((int(part.stem) for part in folder.glob(_PARTS)), default=-1) + 1

    def __len__(self) -> int:
        return len(self._parts)

    def __del__(self) -> None:
        self.close()

    def add(self, lines: Sequence[bytes]) -> int:
        """Keep a batch; how many rows were kept: all, or none where it would exceed the limit. Raises OSError."""
        content = b"".join(lines)
        if self.bytes + len(content) > self._max_bytes:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{self._next:0{_DIGITS}d}.rows"
        unfinished = part.with_suffix(".tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(part)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._next += 1
        self._parts.append((part, len(content)))
        self.bytes += len(content)
        return len(lines)

    def oldest(self) -> list[bytes]:
        """The rows of the oldest part. Raises OSError."""
        return self._parts[0][0].read_bytes().splitlines(keepends=True)

    def remove_oldest(self) -> None:
        """Delete the oldest part: its rows are dealt with."""
        part, size = self._parts.pop(0)
        self.bytes -= size
        part.unlink(missing_ok=True)

    def set_oldest_aside(self) -> Path:
        """Leave the oldest part where it is and look at it no more; its path."""
        part, size = self._parts.pop(0)
        self.bytes -= size
        return part

    def close(self) -> None:
        """Give the folder to the next process."""
        lock, self._lock = getattr(self, "_lock", None), None
        if lock is not None:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """The open lock of a folder, None where there can be none. Raises SpoolError when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SpoolError(f"{folder}: another scorer keeps its rows there; set SCORER_SPOOL_DIR to another") from error
    return lock
