"""One namespace of a real cluster for all of these tests: made from nothing, and deleted at the end.

They run by `make e2e` alone, which sets VIGIL_E2E: whoever has a KUBECONFIG and runs the other tests means no cluster.
VIGIL_E2E_NAMESPACE: their namespace. VIGIL_E2E_IMAGES: tag of the images. VIGIL_E2E_KEEP=1: leave the namespace, and
use the one that was left. VIGIL_E2E_RESTART_API: a command that kills the cluster's API server and starts it again.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bentos import artifacts
from bentos.risk_scorer import identity
from k8s.local import flawed_bentos
from k8s.rollout.routers import Split
from tests.e2e import candidates
from tests.e2e.elsewhere import counters, overlay, with_own_proxies
from tests.e2e.kubectl import Kubectl, Object, until
from tests.e2e.place import READY_SECONDS, Place, answers, is_gone, publisher
from tests.e2e.rollout_stage import Stage
from training import package

NAMESPACE: Final = os.environ.get("VIGIL_E2E_NAMESPACE", "vigil-e2e")
KEEP: Final = os.environ.get("VIGIL_E2E_KEEP", "") not in ("", "0")
_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(600))
            if "VIGIL_E2E" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="needs a cluster: set KUBECONFIG and run `make e2e`"))


@dataclass(frozen=True)
class Arrival:
    """How long it took from an empty namespace to the first scored event, in seconds; None: it was there."""

    seconds: float | None
    secrets: dict[str, str]
    """The passwords, by Secret, right afterwards."""


@pytest.fixture(scope="session")
def objects() -> list[Object]:
    """What the README applies, moved to our namespace."""
    return with_own_proxies(overlay("kind", NAMESPACE), NAMESPACE)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The namespace, empty unless it was kept; deleted at the end."""
    kubectl = Kubectl(NAMESPACE)
    if not KEEP:
        _delete(kubectl)
    yield Place(kubectl, tmp_path_factory.mktemp("nothing"))
    if not KEEP:
        _delete(kubectl)


def _delete(kubectl: Kubectl) -> None:
    """Everything that is ours: the namespace, and the priorities, which are in none."""
    shared = [each for each in overlay("kind/kept", kubectl.namespace) if each["kind"] == "PriorityClass"]
    for each in shared:
        kubectl("delete", "priorityclass", each["metadata"]["name"], "--ignore-not-found")
    counted = counters(kubectl.namespace)["metadata"]
    Kubectl(counted["namespace"])("delete", "service", counted["name"], "--ignore-not-found")
    kubectl("delete", "namespace", kubectl.namespace, "--ignore-not-found", "--timeout", "180s", seconds=200)


@pytest.fixture(scope="session")
def arrival(bare: Place, objects: list[Object]) -> Arrival:
    """Everything applied, and the first event scored."""
    was_there = not is_gone(bare.kubectl, "deployment", "scorer-stable")
    began = time.monotonic()
    bare.kubectl.apply(overlay("kind/kept", NAMESPACE))
    bare.kubectl.apply(objects)
    until(lambda: _is_complete(bare), "the Job first-model ends well", 480)
    until(lambda: answers(bare.url), "an event gets a score through the gateway", READY_SECONDS)
    seconds = time.monotonic() - began
    bare.first = bare.look("stable").tag or ""
    names = [each["metadata"]["name"] for each in bare.kubectl.get("secrets")["items"]]
    secrets = {name: bare.secret(name)["password"] for name in names if name.startswith("prediction-store-")}
    return Arrival(None if was_there else seconds, secrets)


def _is_complete(place: Place) -> bool:
    status = place.kubectl.get("job", "first-model")["status"]
    assert not status.get("failed"), place.kubectl("logs", "job/first-model", "--all-containers")
    return bool(status.get("succeeded"))


@pytest.fixture(scope="session")
def archives(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bytes]]:
    """Bentos made here, by name: their tags, and what an artifact store keeps of them."""
    home, store = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("store")
    made = {
        "other": package.build(model_dir, home),
        "slow": flawed_bentos.build(flawed_bentos.slow_tail(1, 2.0), model_dir, home),
    }
    for tag in made.values():
        artifacts.publish(tag, store.as_uri(), home)
    shutil.rmtree(home)
    return {name: (tag, (store / identity.NAME / f"{version(tag)}.bento").read_bytes()) for name, tag in made.items()}


def version(tag: str) -> str:
    """The part of a tag after the colon."""
    return tag.split(":")[1]


@pytest.fixture(scope="session")
def models(
    bare: Place, arrival: Arrival, archives: dict[str, tuple[str, bytes]], objects: list[Object]
) -> dict[str, str]:
    """Tags that are in the cluster's artifact store, by name: first, other, slow."""
    images = [
        container["image"]
        for each in objects
        if each["kind"] == "Job"
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    image = next(each for each in images if "rollout" in each)
    bare.kubectl.apply([publisher(image)])
    bare.kubectl("wait", "--for=condition=Ready", "pod/publisher", "--timeout=60s")
    for tag, archive in archives.values():
        bare.put(archive, version(tag))
    return {"first": bare.first, **{name: tag for name, (tag, _) in archives.items()}}


@pytest.fixture(scope="session")
def actors(
    bare: Place, models: dict[str, str], model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Tags of rollouts' candidates that are in the cluster's artifact store, by name."""
    home, store = tmp_path_factory.mktemp("actors"), tmp_path_factory.mktemp("actors-store")
    made = candidates.build(model_dir, home)
    for tag in made.values():
        artifacts.publish(tag, store.as_uri(), home)
        bare.put((store / identity.NAME / f"{version(tag)}.bento").read_bytes(), version(tag))
    shutil.rmtree(home)
    return {**made, candidates.ABSENT: "risk_scorer:000000000000"}


@pytest.fixture(scope="session")
def stage(bare: Place, actors: dict[str, str]) -> Stage:
    """Where candidates are rolled out; each test says what it needs to stand there."""
    return Stage(bare, actors)


@pytest.fixture
def vigil(bare: Place, models: dict[str, str]) -> Place:
    """All of the traffic is stable's, which has one copy with the first model; no mirror, and no controller.

    What canary and shadow run stays: to begin and end copies takes longer than most tests.
    """
    bare.control(0)
    bare.kubectl("delete", "modelrollouts", "--all")  # which may remember another stable, and put that back
    bare.run("stable", models["first"])
    if bare.current != Split(100, 0, 0):
        bare.split(100, 0, 0)
        bare.until_answered_by(models["first"])
    return bare


@pytest.fixture
def measured(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Lines of what a test measured, shown when it ends, whatever it ends with."""
    lines: list[str] = []
    yield lines
    with capsys.disabled():
        for line in lines:
            print(f"\n    {request.node.name}: {line}", end="", flush=True)  # noqa: T201
