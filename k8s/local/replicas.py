"""The scorers' processes: as many copies of each role as are wanted, each running the Bento that is wanted.

What a kubelet, a Deployment and an EndpointSlice do in a cluster. `tend` is called often, and each call does what can
be done at once. A role is rolled in the order of `rolling`: new copies ready, then the gateway sends to them, then the
old ones leave: the gateway forgets them first, they answer what is open, and end. A copy that dies is begun again
after a pause that doubles each time.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from k8s.local.errors import last_lines
from k8s.local.local_fleet import CopyStatus, RoleStatus
from k8s.local.ports import free_ports
from k8s.local.probes import Probe, Probes
from k8s.local.processes import STOP_SECONDS, Child, Command, Supervisor, how_it_ended
from k8s.local.pulled_bentos import Missing
from k8s.local.rolling import Seen, Wish, next_moves
from k8s.rollout.routers import SERVICES, Role

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds before a copy that died is begun again: the first time, and at most."""

WELL_SECONDS: Final = 10.0
"""A copy that ran for so long is no part of an earlier series of deaths."""

LINGER_SECONDS: Final = 0.5
"""Between the gateway's main thread forgetting a copy and the copy being asked to end: its workers follow later."""

SLOW_SECONDS: Final = 20.0
"""A copy that is not ready after so long is shown as a problem; it may still become ready."""


DIED: Final = ".died.log"
"""Suffix of the log of the copy that died last."""


class Endpoints(Protocol):
    """Where the gateway sends a role's requests."""

    def write(self, role: Role, ports: Iterable[int]) -> None:
        """Those that are to get requests from now on."""

    def in_force(self, role: Role) -> frozenset[int]:
        """Those that the gateway does send requests to."""


class Bentos(Protocol):
    """Bentos by their tags."""

    def folder(self, tag: str) -> Path | Missing:
        """Where it lies; else why it is not here. Returns at once: ask again."""

    def forget(self, tag: str) -> None:
        """It is to be proved again."""


@dataclass(frozen=True)
class Place:
    """What a copy is begun with. Its slot is its own as long as it lives: spool and log go by it."""

    role: Role
    slot: int
    port: int
    bento: Path


@dataclass
class _Copy:
    number: int
    tag: str
    place: Place
    child: Child
    probe: Probe
    began: float
    leaving: bool = False
    forgotten_at: float | None = None
    """When the gateway was first seen to send nothing more."""
    asked_at: float | None = None
    """When it was asked to end."""


@dataclass
class _Role:
    """One role's copies, and what is remembered of those that died."""

    copies: list[_Copy] = field(default_factory=list)
    tag: str | None = None
    begun: int = 0
    restarts: int = 0
    deaths: int = 0
    again_at: float = 0.0
    problem: str = ""


class Replicas:
    """All three roles. `command` makes a copy's command line; `supervisor` owns the processes."""

    def __init__(
        self,
        supervisor: Supervisor,
        bentos: Bentos,
        endpoints: Endpoints,
        command: Callable[[Place], Command],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._bentos = bentos
        self._endpoints = endpoints
        self._command = command
        self._ticks = ticks
        self._probes = Probes()
        self._roles: dict[Role, _Role] = {role: _Role() for role in SERVICES}

    def tend(self, wishes: Mapping[Role, Wish]) -> dict[Role, RoleStatus]:
        """Does what can be done now; what runs afterwards."""
        return {role: self._tend(role, found, wishes[role]) for role, found in self._roles.items()}

    def close(self) -> None:
        """Ends what asks in the background; the processes are the supervisor's."""
        self._probes.close()

    def _tend(self, role: Role, found: _Role, wish: Wish) -> RoleStatus:
        if found.tag != wish.tag or not wish.copies:
            found.tag, found.restarts, found.deaths, found.again_at, found.problem = wish.tag, 0, 0, 0.0, ""
        self._bury(role, found)
        staying = [each for each in found.copies if not each.leaving]
        moves = next_moves(wish, [Seen(each.number, each.tag, each.probe.look()) for each in staying])
        for each in staying:
            each.leaving = each.number in moves.leave
        self._endpoints.write(role, [each.place.port for each in staying if each.number in moves.serving])
        self._dismiss(role, found)
        if moves.begin and wish.tag is not None:
            self._begin(role, found, wish.tag, moves.begin)
        return self._status(role, found, wish)

    def _bury(self, role: Role, found: _Role) -> None:
        """Takes out those that ended; what was not asked to end has died."""
        for copy in [each for each in found.copies if not each.child.alive]:
            found.copies.remove(copy)
            code = copy.child.exit_code
            self._supervisor.forget(copy.child)
            if copy.asked_at is None and copy.tag == found.tag:
                self._mourn(role, found, copy, how_it_ended(code if code is not None else 0))

    def _mourn(self, role: Role, found: _Role, copy: _Copy, how: str) -> None:
        now = self._ticks()
        found.restarts += 1
        found.deaths = 1 if now - copy.began > WELL_SECONDS else found.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(found.deaths - 1, 10))
        found.again_at = now + pause
        log = copy.child.command.log
        said, kept = last_lines(log, 1).strip(), log.with_suffix(DIED)
        log.replace(kept)  # the next copy begins the log anew
        found.problem = f"CrashLoopBackOff: scorer {role} {how} ({said}; see {kept}); begun again after {pause:g} s"
        self._bentos.forget(copy.tag)

    def _dismiss(self, role: Role, found: _Role) -> None:
        """Lets go of those that leave, once the gateway sends them nothing more."""
        leaving = [each for each in found.copies if each.leaving]
        serving = self._endpoints.in_force(role) if leaving else frozenset()
        for copy in leaving:
            if copy.place.port not in serving:
                self._end(copy, self._ticks())

    @staticmethod
    def _end(copy: _Copy, now: float) -> None:
        copy.forgotten_at = copy.forgotten_at or now
        if copy.asked_at is None:
            if now >= copy.forgotten_at + LINGER_SECONDS:
                copy.asked_at = now
                copy.child.ask_to_end()
        elif now > copy.asked_at + STOP_SECONDS:
            copy.child.kill()

    def _begin(self, role: Role, found: _Role, tag: str, count: int) -> None:
        if self._ticks() < found.again_at:
            return
        bento = self._bentos.folder(tag)
        if isinstance(bento, Missing):
            found.problem = bento.problem
            return
        for port in free_ports(count):
            place = Place(role, self._free_slot(found), port, bento)
            child = self._supervisor.start(self._command(place), vital=False)
            found.begun += 1
            found.copies.append(_Copy(found.begun, tag, place, child, self._probes.of(port), self._ticks()))

    @staticmethod
    def _free_slot(found: _Role) -> int:
        taken = {each.place.slot for each in found.copies}
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def _status(self, role: Role, found: _Role, wish: Wish) -> RoleStatus:
        serving = self._endpoints.in_force(role)
        copies = tuple(
            CopyStatus(tag=each.tag, ready=each.probe.ready and each.place.port in serving, leaving=each.leaving)
            for each in found.copies
        )
        if sum(each.ready and each.tag == wish.tag for each in copies) >= wish.copies:
            found.problem = ""
        problem = self._problem(role, found, wish)
        return RoleStatus(copies=copies, restarts=found.restarts, problem=problem, problem_tag=wish.tag)

    def _problem(self, role: Role, found: _Role, wish: Wish) -> str:
        if wish.tag is None and wish.copies:
            return "no version assigned"
        waiting = [each for each in found.copies if each.tag == wish.tag and not each.probe.ready]
        late = next((each for each in waiting if self._ticks() - each.began > SLOW_SECONDS), None)
        if late is not None:
            log = late.child.command.log
            return (
                f"scorer {role} is not ready after {SLOW_SECONDS:g} s; the end of {log}: {last_lines(log, 1).strip()}"
            )
        return found.problem
