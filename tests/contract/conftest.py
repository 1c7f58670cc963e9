"""The two servers of a Bento, both of which must keep the contract of the HTTP interface."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bentos.risk_scorer import identity
from k8s.local.ports import free_ports
from k8s.rollout.kubernetes_api import Cluster, connect
from tests.e2e.kubectl import Kubectl
from tests.waiting import wait_until_ready

ROOT = Path(__file__).parents[2]
LEAN = (sys.executable, "-m", "bentos.risk_scorer", "serve")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is asked of a real API server is only asked by `make e2e`."""
    if "VIGIL_E2E" not in os.environ:
        for item in items:
            if item.get_closest_marker("cluster"):
                item.add_marker(pytest.mark.skip(reason="needs a cluster: set KUBECONFIG and run `make e2e`"))


@pytest.fixture(scope="session")
def namespace() -> Iterator[Kubectl]:
    """An empty namespace of the cluster of KUBECONFIG, which has our kinds; deleted at the end."""
    assert shutil.which("kubectl"), "kubectl is not there"
    kubectl = Kubectl(f"{os.environ.get('VIGIL_E2E_NAMESPACE', 'vigil-e2e')}-contract")
    kubectl("apply", "--server-side", "-k", str(ROOT / "k8s/platform/crds"))
    _delete(kubectl)
    kubectl("create", "namespace", kubectl.namespace)
    yield kubectl
    _delete(kubectl)


def _delete(kubectl: Kubectl) -> None:
    kubectl("delete", "namespace", kubectl.namespace, "--ignore-not-found", "--timeout", "120s", seconds=150)


@pytest.fixture(scope="session")
def real_cluster(namespace: Kubectl) -> Cluster:
    """That namespace, by our own client."""
    return connect(namespace.namespace)


@dataclass(frozen=True)
class Server:
    """A server that answers, and what it must answer with."""

    url: str
    tag: str
    client: httpx.Client


def command(kind: str, port: int) -> tuple[str, ...]:
    if kind != "bentoml":
        return LEAN
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    return (bentoml, "serve", "bentos.risk_scorer.service:RiskScorer", "--host", "127.0.0.1", "--port", str(port))


@pytest.fixture(scope="session", params=["lean", "plain", "bentoml"])
def server(
    request: pytest.FixtureRequest, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    port, folder = free_ports(1)[0], tmp_path_factory.mktemp("server")
    environment = {
        **os.environ,
        "SCORER_MODEL_DIR": str(model_dir),
        "SCORER_PORT": str(port),
        "SCORER_ROLE": "canary",
        "SCORER_LEAN": str(request.param == "lean"),
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(request.param, port), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until_ready(client, process, log)
            yield Server(str(client.base_url), identity.tag(identity.content_version(model=model_dir)), client)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
