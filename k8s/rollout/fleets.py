"""The copies of the scorer: which model each role runs, and how many copies of it are ready.

FleetError
+-- UnknownTagError   no such model was published
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from k8s.rollout.routers import Role

Wanted = Literal["tag", "copies"]
"""What a fleet is told of a role."""


class FleetError(Exception):
    """The fleet can't be seen or changed."""


class UnknownTagError(FleetError):
    """No such model was published."""


@dataclass(frozen=True)
class Copies:
    """One role's copies.

    `tag` is what is wanted; None: no version assigned. `ready` have that tag and answer; `ready_other` answer with
    another tag, as in the middle of a roll. `settled`: nothing but the wanted copies is left. `restarts`: since they
    were made.
    """

    tag: str | None = None
    wanted: int = 0
    ready: int = 0
    ready_other: int = 0
    restarts: int = 0
    settled: bool = True
    problem: str = ""
    """Why a copy is not ready, if it is known: 'no such artifact', 'CrashLoopBackOff', ..."""
    altered: frozenset[Wanted] = frozenset()
    """What of it somebody else wrote since the fleet did, where that is known."""

    @property
    def serving(self) -> int:
        """Copies that answer, whatever their tag."""
        return self.ready + self.ready_other


class Fleet(Protocol):
    """What runs. All calls return at once; `look` shows when it has come true. Each raises FleetError."""

    def look(self) -> Mapping[Role, Copies]:
        """All three roles, always."""

    def assign(self, role: Role, tag: str | None) -> None:
        """Rolls a role to a model, never with fewer ready copies than before; None: no version (only at 0 copies)."""

    def scale(self, role: Role, copies: int) -> None:
        """Wants so many copies. Stable is never scaled by a rollout: its size is the user's or the autoscaler's."""
