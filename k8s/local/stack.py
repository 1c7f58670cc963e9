"""The whole of Vigil on one machine: PostgreSQL, a scorer for each role, Envoy; in this order, and back at the end.

Every port is on the loopback interface and found at the start, unless one is asked for. Each scorer runs the code of
its own Bento. The prediction store's passwords are made anew at each start and kept nowhere.
"""

import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from k8s.local import envoy, postgres
from k8s.local.envoy_router import EnvoyFileRouter, admin_version
from k8s.local.errors import NotRunningError
from k8s.local.gateway_manifests import GATEWAY, BackendTrafficPolicy, http_route, read, traffic_policy
from k8s.local.ports import LOOPBACK, free_ports, get, refuse_taken
from k8s.local.processes import Command, Supervisor
from k8s.local.state import State
from k8s.rollout.routers import SERVICES, Role, Route, Split
from monitoring import migrations, partitions, store

START_SECONDS: Final = 60.0
"""Deadline of each process: a scorer needs a second, on a machine that is busy with a build perhaps ten."""

PARTITION_DAYS: Final = 7
"""Days of partitions from today on: a stack that runs on over midnight has where to write."""

_DEATH_SECONDS: Final = 2.0
"""How long a process that closed its connections may take to be gone."""

_POLL_SECONDS: Final = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to run: the folder of each role's Bento, the split at the start, and the gateway's port (None: found)."""

    bentos: Mapping[Role, Path]
    split: Split
    port: int | None = None


class LocalStack:
    """A stack whose processes belong to `supervisor`, which ends them."""

    def __init__(self, state: State, plan: Plan, supervisor: Supervisor, progress: Progress) -> None:
        """Raises ManifestError when the gateway's manifests say what the local Envoy can't do."""
        self._state = state
        self._plan = plan
        self._supervisor = supervisor
        self._progress = progress
        self._template: Route = read(GATEWAY / "httproute.yaml")
        self._policy: BackendTrafficPolicy = traffic_policy(
            read(GATEWAY / "backendtrafficpolicy.yaml"), http_route(self._template)
        )
        self._passwords = {user: secrets.token_urlsafe(24) for user in migrations.USERS}
        gateway, admin, database, *scorers = free_ports(3 + len(SERVICES))
        self._ports = envoy.Ports(plan.port or gateway, admin)
        self._database_port = database
        self._scorer_ports = dict(zip(SERVICES, scorers, strict=True))
        self._server: postgres.Prepared | None = None

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://{LOOPBACK}:{self._ports.listener}"

    @property
    def router(self) -> EnvoyFileRouter:
        """Applies splits to the running Envoy."""
        return self._file_router(lambda: admin_version(self._ports.admin))

    def dsn(self, user: str | None = None) -> str:
        """The prediction store as one of `monitoring.migrations.USERS`, or as its owner."""
        if self._server is None:
            raise RuntimeError("the stack was not started")
        if user is None:
            return self._server.dsn(self._database_port)
        return self._server.dsn(self._database_port, user, self._passwords[user])

    def start(self) -> None:
        """Returns once a request through the gateway is answered. Raises NotRunningError, PostgresError, ..."""
        refuse_taken(self._ports.listener)
        self._start_database()
        self._start_scorers()
        self._start_gateway()

    def check(self) -> None:
        """Raises ProcessDiedError when one of the processes is gone."""
        self._supervisor.check()

    def wait_for_death(self) -> None:
        """For when a process stopped answering: raises ProcessDiedError once it is known to be gone, if it is soon."""
        deadline = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)

    def wait_for_rows(self, wanted: Mapping[Role, int], seconds: float) -> dict[Role, int]:
        """Rows of each role in the prediction store, once there are as many as `wanted`, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            found = self._rows()
            done = all(found.get(role, 0) >= rows for role, rows in wanted.items())
            if done or time.monotonic() > deadline:
                return found
            time.sleep(_POLL_SECONDS)

    def _rows(self) -> dict[Role, int]:
        try:
            with psycopg.connect(self.dsn("reader"), autocommit=True) as connection:
                return {each.role: each.rows for each in store.traffic(connection)}
        except psycopg.OperationalError as problem:
            self.wait_for_death()
            raise NotRunningError(f"the prediction store went away: {problem}") from problem

    def _start_database(self) -> None:
        self._progress("starting PostgreSQL")
        self._server = postgres.prepare(self._state.postgres)
        port = self._database_port
        command = Command(
            name="PostgreSQL",
            arguments=tuple(postgres.command(self._server, port)),
            folder=Path("/"),
            log=self._state.logs / "postgres.log",
            environment=postgres.ENVIRONMENT,
            account=self._server.account,
            stop_signal=postgres.STOP_SIGNAL,
            orphan_signal=signal.SIGQUIT,  # ends its sessions too, and needs no one to wait for
        )
        child = self._supervisor.start(command)
        self._supervisor.wait_ready(child, lambda: postgres.accepts_sessions(self.dsn()), START_SECONDS)
        with psycopg.connect(self.dsn()) as connection:
            migrations.migrate(connection, self._passwords)
            partitions.ensure(connection, datetime.now(UTC).date(), PARTITION_DAYS)

    def _start_scorers(self) -> None:
        self._progress("starting the scorers stable, canary and shadow")
        children = {role: self._supervisor.start(self._scorer(role)) for role in SERVICES}
        for role, child in children.items():
            port = self._scorer_ports[role]
            self._supervisor.wait_ready(child, lambda port=port: get(port, "/readyz") is not None, START_SECONDS)  # type: ignore[misc]  # mypy can't infer a lambda with a default

    def _scorer(self, role: Role) -> Command:
        settings = {
            "SCORER_ROLE": role,
            "SCORER_HOST": LOOPBACK,
            "SCORER_PORT": str(self._scorer_ports[role]),
            "SCORER_LOG_DSN": self.dsn(role),
            "SCORER_SPOOL_DIR": str(self._state.spool(role).absolute()),
            # Three scorers share the cores of one machine, and score one event at a time.
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.defpath,
        }
        return Command(
            name=f"scorer {role}",
            arguments=(sys.executable, "-m", "bentos.risk_scorer", "serve"),
            folder=self._plan.bentos[role] / "src",
            log=self._state.logs / f"scorer-{role}.log",
            environment=settings,
        )

    def _start_gateway(self) -> None:
        self._progress("starting Envoy")
        self._state.routes.parent.mkdir(parents=True, exist_ok=True)
        self._file_router(None).apply(self._plan.split)
        endpoints = {SERVICES[role]: envoy.Endpoint(port) for role, port in self._scorer_ports.items()}
        config: dict[str, Any] = envoy.bootstrap(self._ports, self._state.routes.absolute(), endpoints, self._policy)
        self._state.bootstrap.write_text(json.dumps(config, indent=1), encoding="utf-8")
        command = Command(
            name="Envoy",
            arguments=tuple(envoy.command(self._state.bootstrap.absolute())),
            folder=self._state.folder,
            log=self._state.logs / "envoy.log",
            environment={},
        )
        child = self._supervisor.start(command)
        gateway = self._ports.listener
        self._supervisor.wait_ready(child, lambda: get(gateway, "/openapi.json") is not None, START_SECONDS)

    def _file_router(self, version_in_force: Callable[[], str | None] | None) -> EnvoyFileRouter:
        return EnvoyFileRouter(self._template, self._policy, self._state.routes, version_in_force)
