"""Bentos that are wrong on purpose, for the demo and for tests: a model as it is, with serving code that was changed.

A Bento runs its own code, so a fault in its serving path is a Bento of other content: it has a tag of its own, and is
published, pulled and verified like any other. Each fault changes only how requests are answered. Offline, these Bentos
answer what the model says (`bentos.offline`), which is why only live traffic finds them out.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bentos.risk_scorer import identity
from k8s.local.errors import UsageError
from training import package

_SCORED: Final = "            score = self.scorer.score_row(read.row)\n"
"""The line of `scoring.py` that the faults are put before: a single request's score."""


@dataclass(frozen=True)
class Fault:
    """Code for `scoring.py`: a definition at its end, and lines before a request is scored."""

    name: str
    definition: str
    call: str


def leaking_pool(per_second: float, reserve: int) -> Fault:
    """Errors that begin when the copy's own requests pass a rate, as of a pool that gets its connections back too late.

    `per_second` connections come back, `reserve` are there at first; a request that finds none is a 500.
    """
    return Fault(
        "leaking pool",
        f"""
class _Pool:
    def __init__(self) -> None:
        self.free, self.seen = {float(reserve)!r}, time.monotonic()

    def take(self) -> None:
        now = time.monotonic()
        self.free = min({float(reserve)!r}, self.free + (now - self.seen) * {per_second!r})
        self.seen = now
        if self.free < 1:
            raise RuntimeError("no connection left in the pool")
        self.free -= 1


_POOL = _Pool()
""",
        "_POOL.take()",
    )


def slow_tail(one_in: int, seconds: float) -> Fault:
    """One request in `one_in` takes `seconds` longer, as of a call that blocks when a cache has expired."""
    return Fault(
        "slow tail",
        "\n_CALLS = itertools.count(1)\n",
        f"time.sleep({seconds!r} if next(_CALLS) % {one_in} == 0 else 0)",
    )


def skewed_feature(column: str, factor: float) -> Fault:
    """A column of the matrix is multiplied, as when live events come in another unit than the training's."""
    return Fault(
        "skewed feature",
        f"\nfrom .features import COLUMNS as _COLUMNS\n\n_SKEWED = _COLUMNS.index({column!r})\n",
        f"read.row[_SKEWED] *= {factor!r}",
    )


def build(fault: Fault, model_dir: Path, home: Path) -> str:
    """The tag of a Bento of a model folder with a fault in its serving code, built into the BentoML home `home`.

    Raises ArtifactError as `package.build` does, UsageError when the scorer's code is no longer what a fault fits into.
    """
    with tempfile.TemporaryDirectory(prefix="vigil-flawed-") as folder:
        code = Path(folder) / identity.NAME
        shutil.copytree(identity.CODE, code, ignore=shutil.ignore_patterns("__pycache__", "model"))
        shutil.copyfile(identity.CODE.parent / "__init__.py", code.parent / "__init__.py")
        _put_in(fault, code / "scoring.py")
        return package.build(model_dir, home, code)


def _put_in(fault: Fault, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(_SCORED) != 1:
        raise UsageError(
            f"{file.name} has {text.count(_SCORED)} lines {_SCORED.strip()!r}, expected one: fit the faults "
            f"in {__name__} to what it says now"
        )
    indent = " " * (len(_SCORED) - len(_SCORED.lstrip()))
    changed = text.replace(_SCORED, f"{indent}{fault.call}\n{_SCORED}")
    file.write_text(f"{changed}\n{fault.definition}", encoding="utf-8")
