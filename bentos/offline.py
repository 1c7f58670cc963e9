"""Many events scored by a Bento's own code in a process of its own, away from any server.

Neither the caller's code nor its model has a part in the answers: what comes back is what that Bento would have
answered live, refusals included.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .risk_scorer import identity

_SECONDS: Final = 1800
"""A million events take about a minute; this is for a machine that is very busy."""

_COMMAND: Final = ("-m", f"bentos.{identity.NAME}", "score")


class OfflineError(Exception):
    """The Bento can't score offline. The message says which one, why, and what to do."""


@dataclass(frozen=True)
class Program:
    """Code that scores: the folder that holds its package `bentos`, and its model where that is not the code's own."""

    code: Path
    model: Path | None = None

    @classmethod
    def of_bento(cls, bento: Path) -> "Program":
        """The program in a Bento's folder."""
        return cls(bento / "src")

    @classmethod
    def of_model(cls, model: Path) -> "Program":
        """This checkout's code with the model of a model folder."""
        return cls(identity.CODE.parents[1], model.absolute())


@dataclass(frozen=True)
class Answers:
    """One entry an event, in their order: its score (NaN where it was refused) and its decision ('' where refused)."""

    scores: NDArray[np.float64]
    decisions: NDArray[np.str_]

    @property
    def refused(self) -> NDArray[np.bool_]:
        return np.isnan(self.scores)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Where the decision was review or block."""
        return np.isin(self.decisions, ["review", "block"])


def score(program: Program, events: Iterable[Mapping[str, Any]]) -> Answers:
    """What a program answers to events, each a mapping of its known features. Raises OfflineError."""
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as said:
        asked.writelines(f"{json.dumps(event)}\n" for event in events)
        asked.seek(0)
        _run(program, asked, said)
        said.seek(0)
        answers = [json.loads(line) for line in said]
    scores = np.array([np.nan if each is None else each[0] for each in answers], dtype=np.float64)
    return Answers(scores, np.array(["" if each is None else each[1] for each in answers], dtype=np.str_))


def _run(program: Program, asked: Any, said: Any) -> None:
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}  # no PYTHONPATH: it could bring other code in
    if program.model is not None:
        environment["SCORER_MODEL_DIR"] = str(program.model)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *_COMMAND],
            cwd=program.code,  # where `-m` imports from first
            env=environment,
            stdin=asked,
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OfflineError(f"the code in {program.code} could not score: {error}") from error
    if done.returncode != 0:
        problem = done.stderr.strip()[-1000:]
        raise OfflineError(f"the code in {program.code} ended with {done.returncode} instead of scoring: {problem}")
