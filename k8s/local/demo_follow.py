"""One story of the demo from its comparison to its verdict, told line by line as the rollout records it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from k8s.local.acts import LONGEST_SECONDS, Act, described
from k8s.local.demo_processes import DemoProcesses
from k8s.local.errors import CheckFailedError
from k8s.local.stack import LocalStack
from k8s.local.story import Story
from k8s.rollout.backend import Backend
from k8s.rollout.model_rollout import Attempt, Event, Status
from training.comparison import EXIT_CODES

_QUIET: Final = frozenset({"rollout.decision"})
"""Kinds of events that are for the record: one a block would hide the others."""

REFUSED_SECONDS: Final = 20.0
"""The controller refuses at its next tick; the rest is for a busy machine."""

NEEDS_APPROVAL: Final = EXIT_CODES["needs approval"]


@dataclass(frozen=True)
class Told:
    """How a story went: its attempt, what happened in it, and when it began and ended (UTC)."""

    act: Act
    attempt: Attempt
    events: tuple[Event, ...]
    began: datetime
    ended: datetime
    approved: str = ""
    """Why a person had to let the candidate in; empty when the comparison accepted it."""

    @property
    def seconds(self) -> float:
        return (self.ended - self.began) / timedelta(seconds=1)


@dataclass(frozen=True)
class Refusal:
    """What became of the model that is wrong offline: the exit codes of the comparison, and of its start."""

    tag: str
    compared: int
    started: int


class Teller:
    """Tells stories on one stack with one controller."""

    def __init__(self, stack: LocalStack, processes: DemoProcesses, backend: Backend, data: Path, story: Story) -> None:
        self._stack = stack
        self._processes = processes
        self._backend = backend
        self._data = data
        self._story = story
        self._heard = 0

    def tell(self, act: Act, plan: Path) -> Told:
        """Returns once the attempt is over and put away. Raises CheckFailedError when it can't begin or end."""
        began = datetime.now(UTC)
        self._story.say(f"=== {act.title}: {act.candidate}")
        self._story.say(f"    {act.told}")
        self._story.say(f"    {described(act.plan)}")
        approved = self._compared(act) if act.compared else ""
        forced = ("--force",) if approved else ()
        reason = approved or act.title
        done = self._processes.rollout(
            "start", act.candidate, "--plan", str(plan.absolute()), "--reason", reason, *forced
        )
        if done.code:
            raise CheckFailedError(f"{act.title}: `vigil rollout start` ended with {done.code}: {done.said.strip()}")
        attempt = self._followed(act)
        events = self._backend.history.events(attempt.id)
        return Told(act, attempt, events, began, datetime.now(UTC), approved)

    def refused(self, tag: str) -> Refusal:
        """What becomes of a model that is wrong offline, too."""
        self._story.say(f"=== Wrong offline, too: {tag}")
        stable = self._stack.fleet.wishes()["stable"].tag or ""
        compared = self._processes.compare(stable, tag, self._data).code
        started = self._processes.rollout("start", tag, "--wait", "--timeout", f"{REFUSED_SECONDS:g}")
        said = (started.said.strip().splitlines() or [""])[-1]
        self._story.say(f"    training compare ended with {compared}, vigil rollout start with {started.code}: {said}")
        return Refusal(tag, compared, started.code)

    def _compared(self, act: Act) -> str:
        """Why a person must let it in; '' when the comparison accepts it. Raises CheckFailedError when it refuses."""
        stable = self._stack.fleet.wishes()["stable"].tag or ""
        done = self._processes.compare(stable, act.candidate, self._data)
        verdict = next((name for name, code in EXIT_CODES.items() if code == done.code), f"exit code {done.code}")
        self._story.say(f"    training compare: {verdict}")
        if done.code == 0:
            return ""
        if done.code == NEEDS_APPROVAL:
            return "the demo approves of the expected change"
        raise CheckFailedError(f"{act.title}: the comparison says {verdict}:\n{done.said[-1500:]}")

    def _followed(self, act: Act) -> Attempt:
        before = self._backend.store.read().status.last

        def over() -> bool:
            status = self._backend.store.read().status
            self._hear(status, act.candidate)
            return status.attempt is None and status.last != before

        if not self._stack.wait_until(over, LONGEST_SECONDS):
            status = self._backend.store.read().status
            raise CheckFailedError(
                f"{act.title}: not over after {LONGEST_SECONDS:g} s: {status.phase}: {status.message}"
            )
        last = self._backend.store.read().status.last
        if last is None or last.candidate != act.candidate:
            raise CheckFailedError(f"{act.title}: the rollout that ended is of {last.candidate if last else 'nothing'}")
        return last

    def _hear(self, status: Status, candidate: str) -> None:
        """Says what happened to the candidate since the last time."""
        if status.events == self._heard:
            return
        for event in self._backend.history.events(most=40):
            about = event.attempt is not None or candidate in event.message
            if event.number > self._heard and event.kind not in _QUIET and about:
                self._story.say(f"    {event.kind}: {event.message}")
        self._heard = status.events
