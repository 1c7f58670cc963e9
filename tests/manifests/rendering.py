"""The manifests as kubectl's kustomize renders them, and the parts of them that policies are about."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("overlays/kind", "overlays/production")
OTHERS = ("overlays/kind/kept", "platform/crds", "platform/gateway", "platform/kind")
COMPONENTS = tuple(sorted(each.name for each in (K8S / "components").iterdir()))
COMBINATIONS = tuple(chain.from_iterable(combinations(COMPONENTS, size) for size in range(len(COMPONENTS) + 1)))
PLURALS = {
    "deployments": "Deployment",
    "httproutes": "HTTPRoute",
    "leases": "Lease",
    "configmaps": "ConfigMap",
    "modelrollouts": "ModelRollout",
}

Object = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """One container of one object, and the pod that it is in."""

    owner: str
    pod: Object
    content: Object
    init: bool

    def __str__(self) -> str:
        return f"{self.owner}/{self.content['name']}"


def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None and os.environ.get("CI"):
        pytest.fail("no kubectl: CI must render the manifests")
    if found is None:
        pytest.skip("no kubectl: manifests are not rendered, and no policy was checked")
    return found


@cache
def rendered(folder: str) -> tuple[Object, ...]:
    """The objects of a folder below k8s."""
    return _built(K8S / folder)


@cache
def with_components(chosen: tuple[str, ...]) -> tuple[Object, ...]:
    """The base with some of the components."""
    with tempfile.TemporaryDirectory(dir=K8S / "overlays", prefix=".tested-") as folder:
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "vigil",
            "resources": [f"../../base/{each.name}" for each in sorted((K8S / "base").iterdir())],
            "components": [f"../../components/{each}" for each in chosen],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(content))
        return _built(Path(folder))


def application(overlay: str) -> tuple[Object, ...]:
    """All that an overlay needs to be in a namespace."""
    kept = rendered("overlays/kind/kept") if overlay == "overlays/kind" else ()
    return (*kept, *rendered(overlay))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


def title(each: Object) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, with its pod template."""
    for each in objects:
        spec = each.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if each["kind"] == "CronJob" else spec
        if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}:
            yield each, spec["template"]


def containers(objects: tuple[Object, ...]) -> list[Container]:
    return [
        Container(title(owner), template, content, init=part == "initContainers")
        for owner, template in pods(objects)
        for part in ("initContainers", "containers")
        for content in template["spec"].get(part, [])
    ]


def _built(folder: Path) -> tuple[Object, ...]:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))
