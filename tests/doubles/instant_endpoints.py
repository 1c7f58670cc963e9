"""A gateway's endpoints that are in force as soon as they are written."""

from collections.abc import Iterable

from k8s.rollout.routers import Role


class InstantEndpoints:
    def __init__(self) -> None:
        self._ports: dict[Role, frozenset[int]] = {}

    def write(self, role: Role, ports: Iterable[int]) -> None:
        self._ports[role] = frozenset(ports)

    def in_force(self, role: Role) -> frozenset[int]:
        return self._ports.get(role, frozenset())
