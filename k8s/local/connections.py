"""How one reaches the parts of a running stack: ports and passwords, and the file that tells other processes of them.

They are kept from one start to the next where they can be, so that a controller goes on when the stack is started
again under it. The file is its owner's only (0600). Scorers' passwords are in no file: each gets its own at its start.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from k8s.local.errors import NotRunningError, PortTakenError
from k8s.local.ports import free_ports, refuse_taken
from k8s.local.state import State
from monitoring import migrations

SHARED: Final = tuple(user for user in ("reader", "trainer", "rollout") if user in migrations.USERS)
"""Users of the prediction store that other processes may be: to look, to compare models, to roll out."""


@dataclass(frozen=True)
class Links:
    """The loopback ports of a stack, and a password for each user of its prediction store."""

    gateway: int
    admin: int
    database: int
    passwords: Mapping[str, str]


class Connections(BaseModel):
    """What the file holds. `dsns`: of the prediction store, by the user's name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gateway: int
    admin: int
    database: int
    passwords: dict[str, str]
    dsns: dict[str, str]


def begin(state: State, gateway: int | None) -> Links:
    """Links for a stack that is to start; `gateway` is the port that was asked for."""
    before = _read(state)
    kept = before.passwords if before else {}
    ports = (before.gateway, before.admin, before.database) if before else (None, None, None)
    spare = free_ports(len(ports))
    found = [port if port and _is_free(port) else other for port, other in zip(ports, spare, strict=True)]
    passwords = {user: kept.get(user) or secrets.token_urlsafe(24) for user in migrations.USERS}
    return Links(gateway or found[0], found[1], found[2], passwords)


def write(state: State, links: Links, dsns: Mapping[str, str]) -> None:
    """Tells other processes of this user."""
    content = Connections(
        gateway=links.gateway,
        admin=links.admin,
        database=links.database,
        passwords={user: links.passwords[user] for user in SHARED},
        dsns=dict(dsns),
    )
    draft = state.connections.with_name(f".{state.connections.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, made with its mode
        file.write(content.model_dump_json(indent=1) + "\n")
    draft.replace(state.connections)


def read(state: State) -> Connections:
    """How to reach the stack of a state folder. Raises NotRunningError when none was ever started there."""
    found = _read(state)
    if found is None:
        raise NotRunningError(f"no stack was started in {state.folder}: start one with `python -m k8s.local up`")
    return found


def _read(state: State) -> Connections | None:
    try:
        return Connections.model_validate_json(state.connections.read_bytes())
    except (OSError, ValidationError):  # there is none, or one of another version: both are made anew
        return None


def _is_free(port: int) -> bool:
    try:
        refuse_taken(port)
    except PortTakenError:
        return False
    return True
