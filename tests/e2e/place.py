"""Vigil in a namespace of a real cluster, as these tests see and change it."""

import base64
import csv
import io
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from k8s.rollout.fleets import Copies, Fleet
from k8s.rollout.kubernetes_api import connect
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.kubernetes_lease import KubernetesLease
from k8s.rollout.routers import Role, Split, split_of
from tests.e2e.elsewhere import ROOT
from tests.e2e.kubectl import Kubectl, Object, RefusedError, until
from tests.e2e.load import Measured, event, exchange

READY_SECONDS: Final = 120.0
"""A copy pulls, checks and loads its Bento in about 10 s when the machine has nothing else to do."""

GATEWAY: Final = "envoy-gateway-system"

CONTROLLER: Final = "rollout-controller"


@dataclass(frozen=True)
class Row:
    """What the prediction store has of a request."""

    request_id: str
    role: str
    tag: str
    status: int


@dataclass
class Place:
    """One namespace with the kind overlay in it. Commands go through kubectl and `vigil`, as a person's do."""

    kubectl: Kubectl
    folder: Path
    """Where commands run: an empty folder, so that no stack of this machine is meant."""
    first: str = ""
    """The tag that bootstrap made stable."""
    _probes: int = field(default=0, init=False)

    @property
    def namespace(self) -> str:
        return self.kubectl.namespace

    @property
    def fleet(self) -> Fleet:
        return KubernetesFleet(connect(self.namespace))

    def gateway_port(self, name: str) -> tuple[str, int]:
        """Where the proxies of the gateway are reached from outside: the address of their node, and its port."""
        owned = (
            "gateway.envoyproxy.io/owning-gateway-name=vigil,"
            f"gateway.envoyproxy.io/owning-gateway-namespace={self.namespace}"
        )
        proxies = Kubectl(GATEWAY)

        def found() -> tuple[str, int] | None:
            pods = [pod for pod in proxies.pods(owned) if _is_ready(pod)]
            services = proxies.get("service", "--selector", owned)["items"]
            ports = [port for each in services for port in each["spec"]["ports"] if port["name"].startswith(name)]
            return (pods[0]["status"]["hostIP"], ports[0]["nodePort"]) if pods and ports else None

        answer: tuple[str, int] = until(found, f"a ready proxy with a port {name}", 120)
        return answer

    @property
    def url(self) -> str:
        """The gateway's plain HTTP listener."""
        host, port = self.gateway_port("http-80")
        return f"http://{host}:{port}"

    # -- roles -----------------------------------------------------------------------------------------------------

    def look(self, role: Role) -> Copies:
        return self.fleet.look()[role]

    def run(self, role: Role, tag: str, copies: int = 1) -> None:
        """Returns once so many copies of a role are ready with the tag, and no others are left."""
        self.fleet.assign(role, tag)
        self.fleet.scale(role, copies)
        self.settled(role, tag)

    def settled(self, role: Role, tag: str) -> Copies:
        """The copies, once all that are wanted are ready with the tag and no others are left."""

        found: list[Copies] = []

        def there() -> bool:
            found[:] = [self.look(role)]
            return found[0].tag == tag and found[0].settled and found[0].ready == found[0].wanted

        try:
            until(there, f"{role} runs {tag}", READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; {found[0]}") from error
        return found[0]

    def rest(self, role: Role) -> None:
        """Returns once a role has no copies."""
        self.fleet.scale(role, 0)
        until(lambda: not self.kubectl.get("pods", "--selector", f"vigil.dev/role={role}")["items"], f"{role} rests")

    def pod(self, role: Role) -> str:
        """The name of the youngest pod of a role."""
        name: str = self.kubectl.pods(f"vigil.dev/role={role}")[-1]["metadata"]["name"]
        return name

    def kill(self, role: Role) -> float:
        """Ends the youngest pod of a role at once; the moment (monotonic seconds)."""
        self.kubectl("delete", "pod", self.pod(role), "--force", "--grace-period=0", "--wait=false")
        return time.monotonic()

    def control(self, copies: int) -> None:
        """So many rollout controllers; with 0, returns once none is left and a person may split by hand."""
        self.kubectl("scale", "deployment", CONTROLLER, f"--replicas={copies}")
        if not copies:
            until(lambda: not self.controllers(), "no controller is left", READY_SECONDS)
            until(self._lease_is_free, "the lease of the last controller is free", READY_SECONDS)

    def controllers(self) -> list[Object]:
        """The controllers' pods, also those that are about to end."""
        found: list[Object] = self.kubectl.get("pods", "--selector", f"app.kubernetes.io/name={CONTROLLER}")["items"]
        return found

    def _lease_is_free(self) -> bool:
        return KubernetesLease(connect(self.namespace)).holder() is None

    # -- weights ---------------------------------------------------------------------------------------------------

    def vigil(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A `vigil rollout` command, ended."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROLLOUT_NAMESPACE": self.namespace}
        command = [sys.executable, "-P", "-m", "k8s.cli", "rollout", *words]
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )

    @property
    def current(self) -> Split:
        """The weights of the live route."""
        return split_of(self.kubectl.get("httproute", "scorer"))

    def split(self, stable: int, canary: int, mirror: int = 0) -> None:
        """Weights by the command that a person uses; returns once the gateway says that it has them."""
        ended = self.vigil("split", "--weights", f"{stable},{canary}", "--mirror", str(mirror))
        assert ended.returncode == 0, ended.stderr

    def probe(self, count: int = 1) -> Measured:
        """Requests of so many new entities, answered."""
        self._probes += 1
        prefix = f"probe-{self._probes}-{os.getpid()}"
        return Measured(
            tuple(exchange(self.url, [event(f"{prefix}-{n}", f"{prefix}-{n}", n) for n in range(count)])), 1
        )

    def tags_of(self, count: int) -> set[str | None]:
        """The models that answer so many new entities."""
        return {each.model_version for each in self.probe(count).entries}

    def until_answered_by(self, *tags: str) -> None:
        """Returns once these models and no others answer: the proxy follows the route within a few seconds."""
        until(lambda: self.tags_of(60) == set(tags), f"answers of {' and '.join(tags)} alone", 60)

    def until_mirrored(self, *, is_mirrored: bool) -> None:
        """Returns once the shadow gets, or no longer gets, copies of requests."""

        def so() -> bool:
            sent = self.probe(40).request_ids
            until(lambda: len(self.rows_of(sent, "stable")) == len(sent), "the rows of the probes")
            return bool(self.rows_of(sent, "shadow")) == is_mirrored

        until(so, "the mirror is on" if is_mirrored else "the mirror is off", 60)

    # -- the prediction store --------------------------------------------------------------------------------------

    def sql(self, query: str) -> list[list[str]]:
        """The rows of a query, asked by the owner on the database's own machine."""
        said = self.kubectl(
            "exec", "prediction-store-0", "--", "psql", "--username", "vigil", "--dbname", "vigil", "--csv",
            "--tuples-only", "--command", query,
        )  # fmt: skip
        return list(csv.reader(io.StringIO(said)))

    def rows(self, prefix: str) -> list[Row]:
        """The rows of the events whose names begin with `<prefix>-`."""
        return [
            Row(request, role, tag, int(status))
            for request, role, tag, status in self.sql(
                f"select request_id, role, tag, status from predictions where event_id like '{prefix}-%'"  # noqa: S608
            )
        ]

    def rows_of(self, request_ids: set[str], role: Role) -> set[str]:
        """Which of these requests have a row of the role."""
        listed = ",".join(f"'{each}'" for each in request_ids)
        found = self.sql(
            f"select request_id from predictions where role = '{role}' and request_id in ({listed})"  # noqa: S608
        )
        return {request for (request,) in found}

    def rows_once_whole(self, prefix: str, count: int, *roles: Role, seconds: float = 90) -> list[Row]:
        """The rows of these roles, once there are so many; at the deadline, those that there are."""
        found: list[Row] = []

        def enough() -> bool:
            found[:] = [row for row in self.rows(prefix) if row.role in roles]
            return len(found) >= count

        try:
            until(enough, "rows", seconds)
        except AssertionError:
            return found
        return found

    # -- Secrets ---------------------------------------------------------------------------------------------------

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's values."""
        data = self.kubectl.get("secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    # -- artifacts -------------------------------------------------------------------------------------------------

    def put(self, archive: bytes, version: str) -> None:
        """Puts an archive into the artifact store, under the key of a version."""
        encoded = base64.b64encode(archive).decode()
        code = (
            "import base64, pathlib\n"
            f"target = pathlib.Path('/artifacts/risk_scorer/{version}.bento')\n"
            "target.parent.mkdir(exist_ok=True)\n"
            f"part = target.with_suffix('.part'); part.write_bytes(base64.b64decode({encoded!r}))\n"
            "part.rename(target)\n"
        )
        self.kubectl.python("publisher", code)

    def take(self, version: str) -> None:
        """Takes the archive of a version out of the artifact store."""
        self.kubectl.python("publisher", f"import os; os.remove('/artifacts/risk_scorer/{version}.bento')")


def publisher(image: str) -> Object:
    """A pod with the artifact store, in which tests put what they want there. It waits for its end."""
    return bystander(
        "publisher",
        image,
        volumes=[{"name": "artifacts", "persistentVolumeClaim": {"claimName": "artifact-store"}}],
        mounts=[{"name": "artifacts", "mountPath": "/artifacts"}],
    )


def bystander(
    name: str,
    image: str,
    labels: dict[str, str] | None = None,
    volumes: list[Any] | None = None,
    mounts: list[Any] | None = None,
) -> Object:
    """A pod with Python that does nothing by itself."""
    wait = "import signal; signal.sigwait({signal.SIGTERM})"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "python",
                    "image": image,
                    "command": ["python", "-c", wait],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "256Mi"},
                    },
                    "volumeMounts": mounts or [],
                }
            ],
            "volumes": volumes or [],
        },
    }


def answers(url: str) -> bool:
    """Whether an event gets a score there."""
    body = {"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}
    try:
        return httpx.post(f"{url}/score", json=body, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def is_gone(kubectl: Kubectl, *words: str) -> bool:
    """Whether there is no such object."""
    try:
        kubectl("get", *words)
    except RefusedError as error:
        return "NotFound" in str(error)
    return False


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
