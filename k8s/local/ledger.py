"""The client's own book of what it sent and what it was answered, to be held against the prediction store."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from bentos.risk_scorer.policy import Decision


@dataclass(frozen=True)
class Entry:
    """One request. Everything after `seconds` is None when the answer did not have it."""

    event_id: str
    entity_id: str | None
    seconds: float
    """From the moment when it was due to the answer: a request that had to wait for its turn is slower by that."""
    status: int | None = None
    request_id: str | None = None
    model_version: str | None = None
    score: float | None = None
    decision: Decision | None = None
    error: str | None = None
    """Why there is no score: the transport's error, or what the answer said."""

    @property
    def answered(self) -> bool:
        """Whether the request got a score."""
        return self.error is None


class Ledger:
    """Writes entries to a file, one JSON object a line, from `with` to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, entry: Entry) -> None:
        if self._file is None:
            raise RuntimeError("the ledger is closed")
        self._file.write(json.dumps(asdict(entry)) + "\n")


def read(path: Path) -> Iterator[Entry]:
    """The entries of a ledger's file, in the order of their answers."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            decision = fields.pop("decision")
            yield Entry(**fields, decision=Decision(decision) if decision else None)
