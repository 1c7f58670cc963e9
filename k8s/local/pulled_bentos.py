"""Bentos by their tags, brought from the artifact store when they are first asked for, by a process of its own.

So that whoever asks never waits: a pull imports BentoML, which takes seconds. A Bento that is here already is only
proved again, which takes milliseconds.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bentos.artifacts import ArtifactError, NotFoundError, pull
from bentos.risk_scorer import identity
from k8s.local.errors import last_lines
from k8s.local.processes import Child, Command, Supervisor
from k8s.local.state import State

RETRY_SECONDS: Final = 5.0
"""A tag that could not be had is asked for again after so long: somebody may have published it."""

_SHOWN: Final = 300
"""Characters of what the pull said that are kept: its message is a sentence or two."""

_CHECKOUT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Missing:
    """Why a Bento can't be had now; empty while it is on its way."""

    problem: str = ""


@dataclass
class _Pull:
    child: Child
    missing: Missing = Missing()
    again_at: float = 0.0


class PulledBentos:
    """The Bentos of the artifact store at `url`, kept in the state folder's BentoML home."""

    def __init__(
        self, state: State, url: str, supervisor: Supervisor, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._state = state
        self._url = url
        self._supervisor = supervisor
        self._ticks = ticks
        self._folders: dict[str, Path] = {}
        self._pulls: dict[str, _Pull] = {}

    def folder(self, tag: str) -> Path | Missing:
        """The Bento's folder; else why it is not here. Returns at once: ask again."""
        found = self._folders.get(tag) or self._kept(tag)
        if isinstance(found, Path):
            self._folders[tag] = found
        return found

    def forget(self, tag: str) -> None:
        """It is proved again before it is used again: a process that was started from it did not run."""
        self._folders.pop(tag, None)

    def _kept(self, tag: str) -> Path | Missing:
        """The Bento that is here already, proved; else it is being brought."""
        home = self._state.bentoml
        if not _is_version(tag):
            return Missing(f"no such artifact: {tag!r} is no tag of ours")
        if tag not in self._pulls and (home / "bentos" / identity.NAME / tag.partition(":")[2]).is_dir():
            try:
                return pull(tag, self._url, home)
            except ArtifactError:
                pass  # it was altered, and `pull` has removed it: bring it anew
        return self._brought(tag)

    def _brought(self, tag: str) -> Path | Missing:
        pulling = self._pulls.get(tag)
        if pulling is None or (pulling.again_at and self._ticks() >= pulling.again_at):
            self._pulls[tag] = _Pull(self._supervisor.start(self._command(tag), vital=False))
            return Missing()
        if pulling.child.alive or pulling.missing.problem:
            return pulling.missing
        code = pulling.child.exit_code
        self._supervisor.forget(pulling.child)
        if code == 0:
            del self._pulls[tag]
            return self._kept(tag)
        pulling.missing = Missing(self._why(tag, code))
        pulling.again_at = self._ticks() + RETRY_SECONDS
        return pulling.missing

    def _why(self, tag: str, code: int | None) -> str:
        said = " ".join(last_lines(self._log(tag)).split())[:_SHOWN]
        return f"no such artifact: {said}" if code == NotFoundError.exit_code else f"can't be pulled: {said}"

    def _log(self, tag: str) -> Path:
        return self._state.logs / f"pull-{tag.partition(':')[2]}.log"

    def _command(self, tag: str) -> Command:
        arguments = ("pull", tag, "--from", self._url, "--home", str(self._state.bentoml.absolute()))
        return Command(
            name=f"pull of {tag}",
            arguments=(sys.executable, "-m", "bentos.artifacts", *arguments),
            folder=_CHECKOUT,
            log=self._log(tag),
            environment={**os.environ, "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(_CHECKOUT)},
            layer=1,
        )


def _is_version(tag: str) -> bool:
    name, _, version = tag.partition(":")
    return name == identity.NAME and len(version) == 12 and set(version) <= set("0123456789abcdef")
