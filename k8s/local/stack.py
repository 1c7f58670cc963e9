"""The whole of Vigil on one machine: PostgreSQL, Envoy, and as many scorers of each role as its fleet file wants.

The stack follows that file as long as `tend` is called: nobody starts or stops a scorer by another way. A role that is
wanted with 0 copies costs nothing. Every port is on the loopback interface. Each scorer runs the code of its own Bento.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from k8s.local import connections, envoy, postgres
from k8s.local.envoy_endpoints import EnvoyEndpoints
from k8s.local.envoy_router import EnvoyFileRouter, admin_version
from k8s.local.errors import NotReadyError, NotRunningError, last_lines
from k8s.local.gateway_manifests import GATEWAY, BackendTrafficPolicy, http_route, read, traffic_policy
from k8s.local.local_fleet import LocalFleet, RoleStatus, write_status
from k8s.local.ports import LOOPBACK, get, refuse_taken
from k8s.local.processes import Command, Supervisor
from k8s.local.pulled_bentos import PulledBentos
from k8s.local.replicas import DIED, Place, Replicas
from k8s.local.rolling import Wish
from k8s.local.state import State
from k8s.rollout.routers import SERVICES, Role, Route, RouteError, Split
from monitoring import migrations, partitions, store

START_SECONDS: Final = 60.0
"""Deadline of each process and of each role: a scorer needs a second, on a machine that is busy perhaps ten."""

CANARY_SECONDS: Final = 15.0
"""How long a start waits for a canary that has a weight; then all goes to stable, which is the safe way."""

PARTITION_DAYS: Final = 7
"""Days of partitions from today on: a stack that runs on over midnight has where to write."""

_DEATH_SECONDS: Final = 2.0
"""How long a process that closed its connections may take to be gone."""

_POLL_SECONDS: Final = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to run at first, the split at first, and the gateway's port (None: found).

    `wishes` and `split` None: what was wanted when the stack ran last; a rollout goes on.
    """

    artifacts: str
    """URL of the artifact store that Bentos are pulled from."""
    wishes: Mapping[Role, Wish] | None = None
    split: Split | None = None
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
        self._links = connections.begin(state, plan.port)
        self._server: postgres.Prepared | None = None
        self._status: dict[Role, RoleStatus] = {}
        self._fleet = LocalFleet(state)
        self._endpoints = EnvoyEndpoints(state.endpoints, self._links.admin)
        bentos = PulledBentos(state, plan.artifacts, supervisor)
        self._replicas = Replicas(supervisor, bentos, self._endpoints, self._scorer)

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://{LOOPBACK}:{self._links.gateway}"

    @property
    def router(self) -> EnvoyFileRouter:
        """Applies splits to the running Envoy."""
        return self._file_router(lambda: admin_version(self._links.admin))

    @property
    def fleet(self) -> LocalFleet:
        """What is wanted of each role, and what runs."""
        return self._fleet

    def dsn(self, user: str | None = None, database: str = "postgres") -> str:
        """The prediction store, or another database, as one of `monitoring.migrations.USERS`, or as its owner."""
        if self._server is None:
            raise RuntimeError("the stack was not started")
        name, secret = (user, self._links.passwords[user]) if user else (postgres.SUPERUSER, None)
        return self._server.dsn(self._links.database, name, secret, database)

    def add_store(self, database: str) -> None:
        """Makes another, empty prediction store beside the stack's own; nothing of the stack writes there."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        with psycopg.connect(self.dsn(database=database)) as connection:
            migrations.migrate(connection, self._links.passwords)

    def start(self) -> None:
        """Returns once a request through the gateway is answered.

        Raises NotRunningError when stable is not ready in time, PostgresError, FleetError, RouterError.
        """
        refuse_taken(self._links.gateway)
        if self._plan.wishes is not None:
            self._fleet.begin(self._plan.wishes)
        self._start_database()
        connections.write(self._state, self._links, {user: self.dsn(user) for user in connections.SHARED})
        self._start_gateway()
        self._await_scorers()

    def tend(self) -> None:
        """Makes true what the fleet file wants, as far as it can be done now; to be called often.

        Raises ProcessDiedError when PostgreSQL or Envoy is gone; a scorer that is gone is begun again.
        """
        self._supervisor.check()
        found = self._replicas.tend(self._fleet.wishes())
        if found != self._status:
            write_status(self._state, found)
            self._status = found

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Tends until the condition holds; False when it did not within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(_POLL_SECONDS)
        return True

    def wait_for_death(self) -> None:
        """For when a process stopped answering: raises ProcessDiedError once it is known to be gone, if it is soon."""
        deadline = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < deadline:
            self._supervisor.check()
            time.sleep(_POLL_SECONDS)

    def wait_for_rows(self, wanted: Mapping[Role, int], seconds: float) -> dict[Role, int]:
        """Rows of each role in the prediction store, once there are as many as `wanted`, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            self.tend()
            found = self._rows()
            done = all(found.get(role, 0) >= rows for role, rows in wanted.items())
            if done or time.monotonic() > deadline:
                return found
            time.sleep(_POLL_SECONDS)

    def customers_rows(self) -> int:
        """Rows of requests that a customer was answered: those of stable and canary."""
        found = self._rows()
        return found.get("stable", 0) + found.get("canary", 0)

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
        port = self._links.database
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
            migrations.migrate(connection, self._links.passwords)
            partitions.ensure(connection, datetime.now(UTC).date(), PARTITION_DAYS)

    def _scorer(self, place: Place) -> Command:
        role, slot = place.role, place.slot
        settings = {
            "SCORER_ROLE": role,
            "SCORER_HOST": LOOPBACK,
            "SCORER_PORT": str(place.port),
            "SCORER_LOG_DSN": self.dsn(role),
            "SCORER_SPOOL_DIR": str(self._state.spool(role, slot).absolute()),
            # The scorers share the cores of one machine, and score one event at a time.
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.defpath,
        }
        return Command(
            name=f"scorer {role}",
            arguments=(sys.executable, "-m", "bentos.risk_scorer", "serve"),
            folder=place.bento / "src",
            log=self._state.scorer_log(role, slot),
            environment=settings,
            layer=1,
        )

    def _start_gateway(self) -> None:
        self._progress("starting Envoy")
        self._state.routes.parent.mkdir(parents=True, exist_ok=True)
        router = self._file_router(None)
        router.apply(self._plan.split or _safe(router))
        for role in SERVICES:
            self._endpoints.write(role, ())
        watched = envoy.Watched(self._state.routes.absolute(), self._endpoints.files)
        config = envoy.bootstrap(envoy.Ports(self._links.gateway, self._links.admin), watched, self._policy)
        self._state.bootstrap.write_text(json.dumps(config, indent=1), encoding="utf-8")
        command = Command(
            name="Envoy",
            arguments=tuple(envoy.command(self._state.bootstrap.absolute())),
            folder=self._state.folder,
            log=self._state.logs / "envoy.log",
            environment={},
            layer=2,
        )
        child = self._supervisor.start(command)
        self._supervisor.wait_ready(child, lambda: admin_version(self._links.admin) is not None, START_SECONDS)

    def _await_scorers(self) -> None:
        """Every role that gets requests is ready; a canary that can't be gets none."""
        wanted = self._fleet.wishes()
        roles = ", ".join(f"{each.copies} x {role}" for role, each in wanted.items() if each.copies)
        self._progress(f"starting the scorers: {roles or 'none'}")
        if not self.wait_until(self._stable_answers, START_SECONDS):
            raise NotReadyError(
                f"stable was not ready within {START_SECONDS:g} s: {self._stable.problem or 'no copy is wanted'}"
            )
        split = self.router.current()
        if split.canary and not self.wait_until(lambda: self._ready("canary"), CANARY_SECONDS):
            self._progress("the canary is not ready: all requests go to stable")
            self.router.apply(Split(100, 0, split.mirror))

    def _stable_answers(self) -> bool:
        """Raises NotReadyError when it died at its start, or can't be had: waiting would not help."""
        if self._stable.problem:
            log = self._state.scorer_log("stable", 0).with_suffix(DIED)
            raise NotReadyError(f"stable can't start: {self._stable.problem}. The end of {log}:\n{last_lines(log)}")
        return self._ready("stable") and get(self._links.gateway, "/openapi.json") is not None

    @property
    def _stable(self) -> RoleStatus:
        return self._status.get("stable", RoleStatus())

    def _ready(self, role: Role) -> bool:
        return any(each.ready for each in self._status.get(role, RoleStatus()).copies)

    def _file_router(self, version_in_force: Callable[[], str | None] | None) -> EnvoyFileRouter:
        return EnvoyFileRouter(self._template, self._policy, self._state.routes, version_in_force)


def _safe(router: EnvoyFileRouter) -> Split:
    """The split in force when the stack ran last; all to stable when the file is none of ours."""
    try:
        return router.current()
    except RouteError:
        return Split(100, 0)
