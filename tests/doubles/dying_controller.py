"""The real controller on a real local stack, which is killed (SIGKILL) at the steps of a rollout: just before each, or
just after it, so that nothing of the same tick follows. Run as a process of its own, again and again.

    dying_controller.py STATE JOURNAL

A step is a change of the split, of a role's model or number of copies, or of what the status says about the attempt.
The journal remembers where earlier processes died, so that each step is died at once before it and once after it. With
the line "everything" in it the controller never dies.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k8s.local.backend import backend
from k8s.local.state import State
from k8s.rollout.backend import Backend
from k8s.rollout.controller import Controller
from k8s.rollout.model_rollout import ModelRollout, Status

_TICK_SECONDS = 0.1


class _Deaths:
    """Kills this process where no earlier one has died yet."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._died = set(journal.read_text().splitlines()) if journal.exists() else set()

    def at(self, place: str) -> None:
        if place not in self._died and "everything" not in self._died:
            with self._journal.open("a") as file:
                file.write(f"{place}\n")
            os.kill(os.getpid(), signal.SIGKILL)


class _Dying:
    """A part of the world whose changes are deaths."""

    def __init__(self, part: Any, deaths: _Deaths) -> None:
        self._part = part
        self._deaths = deaths

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def _around(self, step: str, change: Any) -> Any:
        self._deaths.at(f"before {step}")
        done = change()
        self._deaths.at(f"after {step}")
        return done


class _Router(_Dying):
    def apply(self, split: Any) -> None:
        if split == self._part.current():
            self._part.apply(split)
        else:
            self._around(f"{self._part.current()} -> {split}", lambda: self._part.apply(split))


class _Fleet(_Dying):
    def assign(self, role: Any, tag: Any) -> None:
        if self._part.wishes()[role].tag != tag:
            self._around(f"{role} runs {tag}", lambda: self._part.assign(role, tag))

    def scale(self, role: Any, copies: int) -> None:
        if self._part.wishes()[role].copies != copies:
            self._around(f"{role} has {copies}", lambda: self._part.scale(role, copies))


class _Store(_Dying):
    def write_status(self, status: Status, version: str) -> ModelRollout:
        before = _known(self._part.read().status)
        if before == _known(status):
            return self._part.write_status(status, version)  # type: ignore[no-any-return]
        step = json.dumps(_known(status))
        return self._around(step, lambda: self._part.write_status(status, version))  # type: ignore[no-any-return]


def _known(status: Status) -> list[Any]:
    """What a status says about an attempt, without its numbers."""
    attempt = status.attempt
    about = None if attempt is None else [
        attempt.shadow_since is not None, attempt.shadow_passed_at is not None, attempt.step,
        attempt.suspended is not None, [share for _, share in attempt.weights],
        str(attempt.verdict.outcome) if attempt.verdict else None, attempt.promoting_since is not None,
    ]  # fmt: skip
    return [status.stable, status.watch is not None, sorted(status.banned), about]


def _dying(world: Backend, deaths: _Deaths) -> Backend:
    return replace(
        world,
        router=_Router(world.router, deaths),
        fleet=_Fleet(world.fleet, deaths),
        store=_Store(world.store, deaths),
    )


def main(state: Path, journal: Path) -> None:
    with backend(State(state)) as world:
        world.lease.take("a controller that dies", datetime.now(UTC))
        controller = Controller(_dying(world, _Deaths(journal)), lambda: datetime.now(UTC))
        while True:
            controller.tick()
            time.sleep(_TICK_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
