"""The fleet of the local stack: two files. One says what is wanted, the other what runs.

    fleet.json          written by whoever rolls or scales (the rollout's controller), followed by the stack
    fleet-status.json   written by the stack, whose process runs the copies (see `replicas`)

So the controller can be killed without touching a scorer, and the stack can be started again without losing what is
wanted. Both files are replaced by rename; a change of the first is made under a lock.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from k8s.local.rolling import Wish
from k8s.local.state import State, owner
from k8s.rollout.fleets import Copies, FleetError
from k8s.rollout.routers import SERVICES, Role

Content = TypeVar("Content", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Wanted(_Model):
    tag: str | None = None
    copies: int = Field(0, ge=0)


class _FleetFile(_Model):
    roles: dict[Role, _Wanted] = {}


class CopyStatus(_Model):
    """One copy as the stack sees it. `ready`: it answers, and the gateway sends requests to it."""

    tag: str
    ready: bool
    leaving: bool = False


class RoleStatus(_Model):
    """One role's copies as the stack sees them; `problem` is why a copy of `problem_tag` is not ready."""

    copies: tuple[CopyStatus, ...] = ()
    restarts: int = 0
    problem: str = ""
    problem_tag: str | None = None


class FleetStatus(_Model):
    """What runs. Written by the stack's process `pid`."""

    pid: int
    roles: dict[Role, RoleStatus]


class LocalFleet:
    """The Fleet of a stack's state folder; the stack itself runs in another process, or in this one."""

    def __init__(self, state: State) -> None:
        self._state = state

    def look(self) -> Mapping[Role, Copies]:
        """Raises FleetError when no stack runs there, too: nobody would make anything come true."""
        running, wanted = owner(self._state), self.wishes()
        status = _read(self._state.fleet_status, FleetStatus)
        if running is None:
            raise FleetError(
                f"no stack runs in {self._state.folder}: start it with `python -m k8s.local up`; it goes on with what "
                f"{self._state.fleet} says"
            )
        ours = status.roles if status is not None and status.pid == running.pid else {}
        return {role: _copies(wanted[role], ours.get(role, RoleStatus())) for role in SERVICES}

    def assign(self, role: Role, tag: str | None) -> None:
        with self._changing() as roles:
            if tag is None and roles[role].copies:
                raise FleetError(
                    f"{role} has {roles[role].copies} copies; scale it to 0 before its version is taken away"
                )
            roles[role] = Wish(tag, roles[role].copies)

    def scale(self, role: Role, copies: int) -> None:
        if copies < 0:
            raise FleetError(f"{copies} copies of {role}; expected 0 or more")
        with self._changing() as roles:
            roles[role] = Wish(roles[role].tag, copies)

    def wishes(self) -> dict[Role, Wish]:
        """What is wanted, of all three roles. Raises FleetError for a file that is not ours."""
        found = _read(self._state.fleet, _FleetFile)
        roles = found.roles if found is not None else {}
        wanted = {role: roles.get(role, _Wanted()) for role in SERVICES}
        return {role: Wish(each.tag, each.copies) for role, each in wanted.items()}

    def begin(self, wishes: Mapping[Role, Wish]) -> None:
        """Writes what is wanted, whatever was wanted before."""
        with self._changing() as roles:
            roles.update(wishes)

    @contextmanager
    def _changing(self) -> Iterator[dict[Role, Wish]]:
        """What is wanted, to be changed; written at the end, unless something was raised. One at a time."""
        self._state.folder.mkdir(parents=True, exist_ok=True)
        with self._state.fleet.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            roles = self.wishes()
            yield roles
            content = _FleetFile(
                roles={role: _Wanted(tag=each.tag, copies=each.copies) for role, each in roles.items()}
            )
            _replace(self._state.fleet, content)


def write_status(state: State, roles: Mapping[Role, RoleStatus]) -> None:
    """Tells everybody what runs; for the stack's process only."""
    _replace(state.fleet_status, FleetStatus(pid=os.getpid(), roles=dict(roles)))


def _copies(wish: Wish, found: RoleStatus) -> Copies:
    here = [each for each in found.copies if not each.leaving]
    return Copies(
        tag=wish.tag,
        wanted=wish.copies,
        ready=sum(each.ready for each in here if each.tag == wish.tag),
        ready_other=sum(each.ready for each in here if each.tag != wish.tag),
        restarts=found.restarts,
        settled=len(found.copies) <= wish.copies and all(each.tag == wish.tag for each in found.copies),
        problem=found.problem if wish.copies and found.problem_tag == wish.tag else "",
    )


def _read(path: Path, content: type[Content]) -> Content | None:
    """What a file holds; None when there is none."""
    try:
        return content.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as problem:
        raise FleetError(f"{path} can't be used: {problem}; restore it, or remove it while no stack runs") from problem


def _replace(path: Path, content: BaseModel) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(content.model_dump_json(indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as problem:
        raise FleetError(f"{path} can't be written: {problem}") from problem
