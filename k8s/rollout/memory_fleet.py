"""A fleet that lives in memory: for tests, model checks and dry runs. What happens to its copies is up to the caller.

`assign` and `scale` only write down what is wanted. `advance` then lets one thing happen at a time in that direction,
in the order of every fleet of ours: the new copy is ready before an old one goes. `settle` lets everything happen.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from k8s.rollout.fleets import Copies, FleetError, Wanted
from k8s.rollout.routers import SERVICES, Role

NO_TAG: Final = "no version assigned"


@dataclass(frozen=True, slots=True)
class MemoryCopy:
    """One copy: what it runs, and whether it answers."""

    tag: str
    ready: bool = False


@dataclass(frozen=True, slots=True)
class MemoryRole:
    """One role's copies, oldest first, and what is wanted of them."""

    tag: str | None = None
    wanted: int = 0
    copies: tuple[MemoryCopy, ...] = ()
    restarts: int = 0
    problem: str = ""
    """While it is not empty, none of the role's copies becomes ready."""
    altered: frozenset[Wanted] = frozenset()


Snapshot = tuple[tuple[Role, MemoryRole], ...]
"""A fleet's whole state; it can be compared, hashed and kept."""


class MemoryFleet:
    """A Fleet. `tags`: what was published; None: everything. `instant`: whatever is wanted is so at once."""

    def __init__(self, tags: Collection[str] | None = None, *, instant: bool = False) -> None:
        self._tags = tags
        self._instant = instant
        self._roles: dict[Role, MemoryRole] = {role: MemoryRole() for role in SERVICES}
        self.failure: FleetError | None = None
        """While it is set, every call raises it: the fleet can't be reached."""

    def look(self) -> Mapping[Role, Copies]:
        self._reach()
        return {role: self._seen(each) for role, each in self._roles.items()}

    def assign(self, role: Role, tag: str | None) -> None:
        self._reach()
        found = self._roles[role]
        if tag is None and found.wanted:
            raise FleetError(f"{role} has {found.wanted} copies; scale it to 0 before its version is taken away")
        self._want(role, replace(found, tag=tag, altered=found.altered - {"tag"}))

    def scale(self, role: Role, copies: int) -> None:
        self._reach()
        if copies < 0:
            raise FleetError(f"{copies} copies of {role}; expected 0 or more")
        found = self._roles[role]
        self._want(role, replace(found, wanted=copies, altered=found.altered - {"copies"}))

    def assign_by_hand(self, role: Role, tag: str | None) -> None:
        """Somebody else, not the rollout, rolls a role to a model."""
        found = self._roles[role]
        self._want(role, replace(found, tag=tag, altered=found.altered | {"tag"}))

    def scale_by_hand(self, role: Role, copies: int) -> None:
        """Somebody else, not the rollout, wants so many copies."""
        found = self._roles[role]
        self._want(role, replace(found, wanted=copies, altered=found.altered | {"copies"}))

    def advance(self, role: Role) -> bool:
        """Lets one thing happen that brings the role nearer to what is wanted; False when nothing can."""
        found = self._roles[role]
        self._roles[role] = changed = _gone(found) or _begun(found) or self._answering(found) or found
        return changed != found

    def settle(self, *roles: Role) -> None:
        """Lets everything happen that can, in these roles or in all."""
        for role in roles or tuple(SERVICES):
            while self.advance(role):
                pass

    def crash(self, role: Role) -> bool:
        """The newest copy that answers dies and is begun anew; False when none answers."""
        found = self._roles[role]
        if not self.lose(role):
            return False
        self._roles[role] = replace(self._roles[role], restarts=found.restarts + 1)
        return True

    def lose(self, role: Role) -> bool:
        """The newest copy that answers stops answering, without dying; False when none answers."""
        found = self._roles[role]
        answering = [number for number, copy in enumerate(found.copies) if copy.ready]
        if not answering:
            return False
        self._roles[role] = replace(found, copies=_with(found.copies, answering[-1], ready=False))
        return True

    def trouble(self, role: Role, problem: str) -> None:
        """From now on no copy of the role becomes ready, for that reason; '' ends it."""
        self._roles[role] = replace(self._roles[role], problem=problem)

    def snapshot(self) -> Snapshot:
        """The state of all copies, for `restore`."""
        return tuple(self._roles.items())

    def restore(self, snapshot: Snapshot) -> None:
        """Everything is as it was."""
        self._roles = dict(snapshot)

    def _reach(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _want(self, role: Role, wanted: MemoryRole) -> None:
        self._roles[role] = wanted
        if self._instant:
            self.settle(role)

    def _answering(self, found: MemoryRole) -> MemoryRole | None:
        """With one more copy that answers, if one can."""
        for number, copy in enumerate(found.copies):
            if not copy.ready and copy.tag == found.tag and not self._problem(found):
                return replace(found, copies=_with(found.copies, number, ready=True))
        return None

    def _problem(self, found: MemoryRole) -> str:
        if found.wanted == 0:
            return ""
        if found.tag is None:
            return NO_TAG
        if self._tags is not None and found.tag not in self._tags:
            return f"no such artifact: {found.tag}"
        return found.problem

    def _seen(self, found: MemoryRole) -> Copies:
        ready = sum(copy.ready for copy in found.copies if copy.tag == found.tag)
        other = sum(copy.ready for copy in found.copies if copy.tag != found.tag)
        nothing_else = len(found.copies) <= found.wanted and all(copy.tag == found.tag for copy in found.copies)
        problem = self._problem(found) if ready < found.wanted else ""
        return Copies(found.tag, found.wanted, ready, other, found.restarts, nothing_else, problem, found.altered)


def _gone(found: MemoryRole) -> MemoryRole | None:
    """Without one copy too many: one of another version first, one that does not answer before one that does.

    A copy of another version that answers stays until enough others do.
    """
    answering = sum(copy.ready for copy in found.copies)
    right = sum(copy.tag == found.tag for copy in found.copies)
    for number, copy in sorted(enumerate(found.copies), key=lambda each: (each[1].tag == found.tag, each[1].ready)):
        replaced = not copy.ready or answering > found.wanted
        if replaced if copy.tag != found.tag else right > found.wanted:
            return replace(found, copies=found.copies[:number] + found.copies[number + 1 :])
    return None


def _begun(found: MemoryRole) -> MemoryRole | None:
    """With one more copy of the version wanted, if one is missing."""
    right = sum(copy.tag == found.tag for copy in found.copies)
    if found.tag is None or right >= found.wanted:
        return None
    return replace(found, copies=(*found.copies, MemoryCopy(found.tag)))


def _with(copies: tuple[MemoryCopy, ...], number: int, *, ready: bool) -> tuple[MemoryCopy, ...]:
    changed = replace(copies[number], ready=ready)
    return (*copies[:number], changed, *copies[number + 1 :])
