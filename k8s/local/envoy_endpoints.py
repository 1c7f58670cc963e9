"""Where each Service's copies listen, as files that the running Envoy watches; and whether Envoy has taken them."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from k8s.local import envoy
from k8s.local.envoy import Endpoint
from k8s.local.ports import get
from k8s.rollout.routers import SERVICES, Role


class EnvoyEndpoints:
    """Writes the endpoints of each role into files of `folder`, which holds nothing else."""

    def __init__(self, folder: Path, admin_port: int) -> None:
        self._folder = folder
        self._admin = admin_port
        self._written: dict[Role, frozenset[int]] = {}
        self._in_force: dict[Role, frozenset[int]] = {}

    @property
    def files(self) -> Mapping[str, Path]:
        """The file of each Service, by its name."""
        return {service: (self._folder / f"{service}.json").absolute() for service in SERVICES.values()}

    def write(self, role: Role, ports: Iterable[int]) -> None:
        """The role's copies that get requests from now on; writing the same again changes nothing."""
        wanted = frozenset(ports)
        if self._written.get(role) != wanted:
            self._folder.mkdir(parents=True, exist_ok=True)
            service = SERVICES[role]
            content = envoy.endpoint_discovery(service, [Endpoint(port) for port in sorted(wanted)])
            # A draft beside it, as a rename is atomic only within one file system.
            draft = self._folder / f".{service}.{os.getpid()}"
            draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
            draft.replace(self.files[service])
            self._written[role] = wanted

    def in_force(self, role: Role) -> frozenset[int]:
        """The ports that the running Envoy sends the role's requests to; none while it does not answer."""
        if self._written.get(role) != self._in_force.get(role):
            self._in_force = _in_envoy(self._admin)
        return self._in_force.get(role, frozenset())


def _in_envoy(admin_port: int) -> dict[Role, frozenset[int]]:
    """The endpoints of each role that Envoy's admin page lists."""
    answer = get(admin_port, "/clusters?format=json")
    if answer is None:
        return {}
    clusters = {each["name"]: each for each in json.loads(answer).get("cluster_statuses", ())}
    return {role: _ports(clusters[service]) for role, service in SERVICES.items() if service in clusters}


def _ports(cluster: Mapping[str, object]) -> frozenset[int]:
    hosts = cluster.get("host_statuses", ())
    assert isinstance(hosts, Iterable)  # noqa: S101 - told to mypy; Envoy's own format
    return frozenset(int(each["address"]["socket_address"]["port_value"]) for each in hosts)
