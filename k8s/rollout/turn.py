"""One tick in the making: the commands so far, in order, and the status that they lead to."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from k8s.rollout.fleets import Copies
from k8s.rollout.gates import Gates
from k8s.rollout.model_rollout import (
    OUTBOX,
    Attempt,
    Ban,
    Event,
    Outcome,
    Phase,
    Request,
    Spec,
    Suspension,
    Verdict,
)
from k8s.rollout.routers import Role, Split
from k8s.rollout.world import Assign, Command, Save, Scale, SetSplit, World

CORRECTED: Final = "rollout.corrected"
"""Kind of the event that says what somebody else had changed."""

FIRST_COPIES: Final = "its first copies start"
"""Why an attempt is suspended at its beginning."""

DRAIN: Final = timedelta(seconds=5)
"""Copies stay up for so long after their weight became 0: a gateway takes up to 3 s to follow, requests end."""

SIGN_OF_LIFE: Final = timedelta(seconds=30)
"""The status is written at least so often, so that `status` can tell a controller that waits from a dead one; not at
each tick, because in a cluster every write is kept for a while, and told to whoever watches."""


class Turn:
    """What one tick does. Everything is asked of the world as it will be after the commands so far."""

    def __init__(self, world: World, gates: Gates) -> None:
        self.world = world
        self.gates = gates
        self.status = world.rollout.status
        self.split = world.split
        self._saved = world.rollout.status
        self._commands: list[Command] = []
        self._begun_at = self.status.events
        if self.status.observed_generation != world.rollout.generation:
            self.change(observed_generation=world.rollout.generation)

    @property
    def now(self) -> datetime:
        return self.world.now

    @property
    def spec(self) -> Spec:
        return self.world.rollout.spec

    @property
    def copies(self) -> Mapping[Role, Copies]:
        return self.world.copies

    @property
    def attempt(self) -> Attempt:
        """The attempt that is on its way. There must be one."""
        if self.status.attempt is None:
            raise LookupError("no attempt is on its way")
        return self.status.attempt

    def put(self, canary: int, mirror: int = 0) -> bool:
        """Puts a split into force; False when it is already.

        Traffic is not taken from a canary that answers when no copy of stable does: it would go nowhere.
        """
        if canary < self.split.canary and not self.copies["stable"].serving and self.copies["canary"].serving:
            canary = self.split.canary
        split = Split(100 - canary, canary, 0 if canary else mirror)
        if split == self.split:
            return False
        self.split = split
        self._commands.append(SetSplit(split))
        return True

    def assign(self, role: Role, tag: str | None) -> bool:
        """Rolls a role to a model; False when that is wanted already."""
        found = self.copies[role]
        if found.tag == tag:
            return False
        if found.serving:
            self.confirm()
        if "tag" in found.altered and role != "stable":
            self.correct(f"somebody else gave the {role} {found.tag or 'no model'}: that is put right", found=found.tag)
        self._commands.append(Assign(role, tag))
        return True

    def scale(self, role: Role, copies: int) -> bool:
        """Wants so many copies; False when that is wanted already."""
        wanted, altered = self.copies[role].wanted, "copies" in self.copies[role].altered
        if wanted == copies and not altered:
            return False
        if copies < wanted:
            self.confirm()
        if altered:
            # More than it needs are no harm, and none goes while it has traffic.
            ended = "it keeps them for now" if wanted == copies else f"it has {copies} again"
            self.correct(f"somebody else wanted {wanted} copies of the {role}: {ended}", found=wanted)
        self._commands.append(Scale(role, copies))
        return True

    def confirm(self) -> None:
        """Puts the split into force once more, unless this tick has: fails while the gateway has not taken it.

        What is written may not be in force: a gateway may be away, and a controller may have died while it waited.
        """
        if not any(isinstance(command, SetSplit) for command in self._commands):
            self._commands.append(SetSplit(self.split))

    def change(self, **fields: Any) -> None:
        """Changes the status, to be saved."""
        self.status = self.status.model_copy(update=fields)

    def change_attempt(self, **fields: Any) -> None:
        """Changes the attempt, to be saved."""
        self.change(attempt=self.attempt.model_copy(update=fields))

    def note(self, kind: str, message: str, **numbers: Any) -> None:
        """Adds an event, to be saved. The watch after a promotion belongs to the attempt that was promoted."""
        number, attempt, watch = self.status.events + 1, self.status.attempt, self.status.watch
        event = Event(
            number=number,
            at=self.now,
            attempt=attempt.id if attempt else watch.attempt if watch else None,
            kind=kind,
            message=message,
            numbers=numbers,
        )
        self.change(events=number, outbox=(*self.status.outbox, event)[-OUTBOX:])

    def correct(self, message: str, **numbers: Any) -> None:
        """Records that what somebody else changed is put right; one record a tick says enough."""
        new = (event for event in self.status.outbox if event.number > self._begun_at)
        if all(event.kind != CORRECTED for event in new):
            self.note(CORRECTED, message, **numbers)

    def say(self, phase: Phase, message: str) -> None:
        """What goes on, for people."""
        self.change(phase=phase, message=message)

    def save(self) -> None:
        """Writes what was changed so far, before the commands that follow."""
        if self.status != self._saved:
            self.status = self._saved = self.status.model_copy(update={"ticked_at": self.now})
            self._commands.append(Save(self._saved))

    def commands(self) -> tuple[Command, ...]:
        """All of them; what was changed is saved at the end, and a sign of life now and then."""
        if self.world.altered:
            self.confirm()
            self.correct(f"{self.world.altered}: it is applied again, with {self.split.canary} % for the canary")
        ticked = self._saved.ticked_at
        if self.status == self._saved and (ticked is None or not timedelta(0) <= self.now - ticked < SIGN_OF_LIFE):
            self.change(ticked_at=self.now)
        self.save()
        return tuple(self._commands)

    def blocks_since(self, moment: datetime) -> float:
        """Elapsed time in blocks; 0 when the clock was set back."""
        return max(0.0, (self.now - moment).total_seconds() / self.attempt.plan.block_seconds)

    def weigh(self, percent: int) -> None:
        """Records the canary's weight that is in force from now on."""
        weights = self.attempt.weights
        share = percent / 100
        if (weights[-1][1] if weights else 0.0) == share:
            return
        self.confirm()
        # Times must rise also when the clock was set back.
        at = max(self.now, weights[-1][0]) if weights else self.now
        self.change_attempt(weights=(*weights, (at, share)))

    def recorded(self) -> int:
        """The canary's weight that was recorded last, in per cent."""
        weights = self.attempt.weights
        return round(weights[-1][1] * 100) if weights else 0

    def fallen(self) -> bool:
        """Whether the weight is 0 although a higher one was recorded: the mark of an end that was cut short.

        Whoever ends an attempt sets the weight first and records why afterwards; a controller that dies in between
        leaves this. The weight never rises again in this attempt.
        """
        return self.world.split.canary == 0 and self.recorded() > 0

    def draining(self) -> bool:
        """Whether the canary's weight became 0 a moment ago, so that its copies may still have requests."""
        weights = self.attempt.weights
        return bool(weights) and timedelta(0) <= self.now - weights[-1][0] < DRAIN

    def available(self, role: Role) -> bool:
        """Whether some copies of a role answer, all of them as the candidate."""
        copies = self.copies[role]
        return copies.tag == self.attempt.candidate and copies.ready > 0 and copies.ready_other == 0

    def complete(self, role: Role) -> bool:
        """Whether as many copies as are wanted answer, all of them as the candidate."""
        return self.available(role) and self.copies[role].ready >= self.copies[role].wanted

    def fresh(self, request: Request | None, tag: str) -> bool:
        """Whether a request is about this way of a model, not about an earlier one of the same tag."""
        if request is None or request.tag != tag:
            return False
        ended, asked = self._ended(tag), self.spec.asked
        before_the_start = asked is not None and asked.tag == tag and request.at < asked.at
        return not before_the_start and (ended is None or request.at > ended)

    def held(self) -> str | None:
        """Why nothing may rise now, if so."""
        paused = self.spec.paused
        if paused is not None:
            return f"paused by {paused.by}: {paused.reason}; `vigil rollout resume` goes on"
        if not self.attempt.plan.allows(self.now):
            return "outside the plan's change windows: nothing rises until the next one begins"
        if not self.copies["stable"].ready:
            return "no copy of stable is ready"
        return None

    def suspend(self, reason: str) -> None:
        """Records that no copy is ready, from now on."""
        if self.attempt.suspended is None:
            self.change_attempt(suspended=Suspension(since=self.now, reason=reason))
            self.note("rollout.suspended", reason, weight=self.recorded())

    def back(self, message: str) -> None:
        """Records that copies are ready; it is news when they had been before."""
        suspended = self.attempt.suspended
        if suspended is not None:
            self.change_attempt(suspended=None)
            if suspended.reason != FIRST_COPIES:
                self.note("rollout.resumed", message, weight=self.recorded())

    def conclude(self, verdict: Verdict) -> None:
        """Latches the end of the attempt, and bans its model when it was rolled back."""
        attempt = self.attempt
        self.change_attempt(verdict=verdict, suspended=None)
        if verdict.outcome is Outcome.ROLLED_BACK:
            ban = Ban(at=self.now, gate=verdict.gate, reason=verdict.reason[:500])
            self.change(banned={**self.status.banned, attempt.candidate: ban})
        self.note(
            "rollout.verdict",
            f"{attempt.candidate} is {verdict.outcome} by '{verdict.gate}': {verdict.reason}",
            outcome=str(verdict.outcome),
            gate=verdict.gate,
            by=verdict.by,
            candidate=attempt.candidate,
            stable=attempt.stable,
        )

    def _ended(self, tag: str) -> datetime | None:
        last = self.status.last
        return last.verdict.at if last is not None and last.candidate == tag and last.verdict is not None else None
