"""One tick of the controller: read the world, say what to do, do it, tell the history. The thin shell of `phases`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from k8s.rollout.backend import Backend
from k8s.rollout.errors import LeaseError, RolloutError
from k8s.rollout.fleets import Copies, FleetError
from k8s.rollout.gates import Gates
from k8s.rollout.history import HistoryError
from k8s.rollout.labelled import Labelled
from k8s.rollout.model_rollout import OUTBOX, Event, ModelRollout, Status
from k8s.rollout.phases import REAL, next_commands
from k8s.rollout.prediction import Prediction, from_comparison
from k8s.rollout.questions import label_question, question
from k8s.rollout.routers import Role, RouterError, Split
from k8s.rollout.stores import ConflictError, StoreError
from k8s.rollout.world import Assign, Command, Save, Scale, SetSplit, World
from monitoring.errors import MonitoringError

_log: Final = logging.getLogger(__name__)

CLOCK_SET_BACK: Final = timedelta(seconds=5)
"""Less is said of nothing: clocks are put right by small steps all the time."""


@dataclass(frozen=True)
class TickReport:
    """What a tick saw and did. None: it could not be seen.

    `problems`: what failed, in words. While there is one, everything holds that needs what failed; the weights stay.
    `events`: those that are new since the last tick, whether or not the history has taken them.
    """

    at: datetime
    rollout: ModelRollout | None = None
    split: Split | None = None
    copies: Mapping[Role, Copies] | None = None
    commands: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    problems: tuple[str, ...] = ()
    unsent: int = 0
    """Events that the history has not taken."""


@dataclass
class _Tick:
    """What is known of a tick that is under way."""

    at: datetime
    rollout: ModelRollout | None = None
    split: Split | None = None
    copies: Mapping[Role, Copies] | None = None
    commands: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def failed(self, what: str, error: Exception) -> None:
        self.problems.append(f"{what}: {error}")
        _log.warning("rollout.problem", extra={"what": what, "problem": str(error)})


class Controller:
    """Whatever it remembers from tick to tick only saves work: one that begins anew goes on in the same way.

    `confirm` is called before each change: whether we may still act. It raises LeaseError, which ends the tick and goes
    on to the caller, or another RolloutError, which ends the tick.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Callable[[], datetime],
        gates: Gates = REAL,
        *,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._gates = gates
        self._confirm = confirm
        self._sent = 0
        """Number of the newest event that the history has."""
        self._told = 0
        """Number of the newest event that was reported."""

    def tick(self) -> TickReport:
        """One look at the world, and what follows from it. Never raises for a part of the world that is away."""
        tick = _Tick(self._clock())
        world = self._look(tick)
        if world is not None:
            self._execute(next_commands(world, self._gates), tick)
        events = self._news(tick.rollout)
        self._flush(tick)
        return TickReport(
            at=tick.at,
            rollout=tick.rollout,
            split=tick.split,
            copies=tick.copies,
            commands=tuple(tick.commands),
            events=events,
            problems=tuple(tick.problems),
            unsent=sum(event.number > self._sent for event in tick.rollout.status.outbox) if tick.rollout else 0,
        )

    def _look(self, tick: _Tick) -> World | None:
        """The world; None when a part of it can't be seen without which nothing may be decided."""
        backend = self._backend
        backend.evidence.watch(tick.at)
        try:
            tick.rollout = rollout = backend.store.read()
            tick.split = split = backend.router.current()
            altered = backend.router.altered()
            tick.copies = copies = backend.fleet.look()
        except (StoreError, RouterError, FleetError, OSError) as error:
            tick.failed("holds, as a part of the world can't be seen", error)
            return None
        if rollout.status.events < max(self._sent, self._told):  # the object was made anew: it counts from 1 again
            self._sent = self._told = 0
        self._mind_the_clock(rollout.status, tick)
        prediction, problem = self._prediction(rollout)
        return World(
            now=tick.at,
            rollout=rollout,
            split=split,
            copies=copies,
            altered=altered,
            evidence=self._evidence(rollout, tick.at),
            looks=self._looks(rollout, tick.at),
            prediction=prediction,
            prediction_problem=problem,
        )

    def _evidence(self, rollout: ModelRollout, now: datetime) -> Any:
        asked = question(rollout)
        if asked is None:
            return None
        kind, about = asked
        source = self._backend.evidence
        return source.shadow(about, now) if kind == "shadow" else source.canary(about, now)

    def _looks(self, rollout: ModelRollout, now: datetime) -> Labelled | None:
        asked = label_question(rollout)
        return self._backend.evidence.looks(asked, now) if asked else None

    def _prediction(self, rollout: ModelRollout) -> tuple[Prediction | None, str]:
        """The newest comparison of what is on its way, or of what wants to be; why it can't be read."""
        status, attempt = rollout.status, rollout.status.attempt
        if attempt is not None and (attempt.verdict is not None or attempt.shadow_passed_at is not None):
            return None, ""
        stable = attempt.stable if attempt else status.stable
        candidate = attempt.candidate if attempt else rollout.spec.candidate
        if stable is None or candidate is None or stable == candidate:
            return None, ""
        try:
            comparison = self._backend.comparisons(stable, candidate)
        except (MonitoringError, OSError) as error:
            return None, str(error)
        return (from_comparison(comparison), "") if comparison is not None else (None, "")

    def _mind_the_clock(self, status: Status, tick: _Tick) -> None:
        if status.ticked_at is not None and status.ticked_at - tick.at > CLOCK_SET_BACK:
            back = status.ticked_at - tick.at
            problem = f"the clock is {back.total_seconds():.0f} s behind the last tick: ages grow again from there"
            tick.problems.append(problem)
            _log.warning("rollout.clock", extra={"problem": problem})

    def _execute(self, commands: tuple[Command, ...], tick: _Tick) -> None:
        """Does one after the other. When one fails, nothing after it is done: the next tick looks again."""
        for command in commands:
            try:
                self._confirm()
                self._do(command, tick)
            except LeaseError:
                raise
            except (RouterError, FleetError, StoreError, RolloutError, OSError) as error:
                tick.failed(f"could not be done: {command}", error)
                return
            tick.commands.append(str(command))

    def _do(self, command: Command, tick: _Tick) -> None:
        match command:
            case SetSplit(split):
                self._backend.router.apply(split)
                tick.split = split
                _log.info("rollout.split", extra={"canary": split.canary, "mirror": split.mirror})
            case Assign(role, tag):
                self._backend.fleet.assign(role, tag)
                _log.info("rollout.assign", extra={"role": role, "tag": tag})
            case Scale(role, copies):
                self._backend.fleet.scale(role, copies)
                _log.info("rollout.scale", extra={"role": role, "copies": copies})
            case Save(status):
                self._save(status, tick)

    def _save(self, status: Status, tick: _Tick) -> None:
        """Writes the status. That somebody changed what is wanted is no reason to forget what has just been done."""
        if tick.rollout is None:
            raise StoreError("nothing was read that could be written")
        kept = tuple(event for event in status.outbox if event.number > self._sent)[-OUTBOX:]
        status = status.model_copy(update={"outbox": kept})
        before = tick.rollout
        try:
            tick.rollout = self._backend.store.write_status(status, before.version)
        except ConflictError:
            found = self._backend.store.read()
            if found.status != before.status:
                raise
            tick.rollout = self._backend.store.write_status(status, found.version)

    def _news(self, rollout: ModelRollout | None) -> tuple[Event, ...]:
        """Events that no earlier tick of this controller reported. Each is a line of the log, too."""
        outbox = rollout.status.outbox if rollout else ()
        news = tuple(event for event in outbox if event.number > self._told)
        for event in news:
            self._told = event.number
            words = {"event": event.number, "attempt": event.attempt, "words": event.message, "numbers": event.numbers}
            _log.info(event.kind, extra=words)
        return news

    def _flush(self, tick: _Tick) -> None:
        """Gives the history what it has not taken yet. It may get an event twice, which it knows by time and number."""
        if tick.rollout is None:
            return
        waiting = tuple(event for event in tick.rollout.status.outbox if event.number > self._sent)
        if not waiting:
            return
        try:
            self._backend.history.add_events(waiting)
        except HistoryError as error:
            tick.failed("the history takes no events now; they are kept", error)
            return
        self._sent = waiting[-1].number
