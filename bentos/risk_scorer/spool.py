"""The spool: rows kept on disk, in numbered files, while the database is away."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".rows"


class Spool:
    """A folder of parts, each a batch of row lines, oldest first. One process a folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Take over the parts that an earlier process left; what it did not finish writing is removed."""
        self._folder, self._max_bytes = folder, max_bytes
        for unfinished in folder.glob("*.tmp"):
            unfinished.unlink()
        self._parts = sorted(folder.glob(f"*{_SUFFIX}"))
        self.bytes = sum(part.stat().st_size for part in self._parts)
        self._next = int(self._parts[-1].stem) + 1 if self._parts else 0

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, lines: Sequence[bytes]) -> int:
        """Keep a batch; how many rows were kept: all, or none where it would exceed the limit. Raises OSError."""
        content = b"".join(lines)
        if self.bytes + len(content) > self._max_bytes:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{self._next:012d}{_SUFFIX}"
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
        self._parts.append(part)
        self.bytes += len(content)
        return len(lines)

    def oldest(self) -> list[bytes]:
        """The rows of the oldest part."""
        return self._parts[0].read_bytes().splitlines(keepends=True)

    def remove_oldest(self) -> None:
        """Forget the oldest part: its rows are in the store."""
        part = self._parts.pop(0)
        self.bytes -= part.stat().st_size
        part.unlink()
