"""An overlay, moved to a namespace of the tests' own with a gateway of its own, beside what else the cluster runs."""

import copy
import os
from pathlib import Path
from typing import Final

from tests.e2e.kubectl import Object, rendered

ROOT: Final = Path(__file__).parents[2]
HOME: Final = "vigil"
"""The namespace of the overlays."""

IMAGES: Final = os.environ.get("VIGIL_E2E_IMAGES", "")
"""Tag of the three images, where it is not the overlay's own."""

_PROXIES: Final = f"{HOME}-proxies"
"""The platform's headless Service of the proxies' counters."""

_OWNER: Final = "gateway.envoyproxy.io/owning-gateway-namespace"
_CLUSTER_WIDE: Final = frozenset({"PriorityClass", "Namespace", "GatewayClass", "ClusterRole", "ClusterRoleBinding"})


def overlay(folder: str, namespace: str) -> list[Object]:
    """The objects of `k8s/overlays/<folder>`, moved."""
    return [moved(each, namespace) for each in rendered(str(ROOT / "k8s/overlays" / folder))]


def moved(given: Object, namespace: str) -> Object:
    """An object in another namespace, and what names the namespace in it."""
    each = copy.deepcopy(given)
    metadata, kind = each["metadata"], each["kind"]
    if kind == "Namespace":
        metadata["name"] = namespace
    elif kind == "PriorityClass":
        metadata["name"] = _priority(metadata["name"], namespace)
    elif kind not in _CLUSTER_WIDE and metadata.get("namespace") == HOME:
        metadata["namespace"] = namespace
    return _renamed(each, namespace)


def own_proxies(namespace: str) -> Object:
    """The platform's proxies as these tests want them: one, small, on any port of its node."""
    found = next(each for each in rendered(str(ROOT / "k8s/platform/gateway")) if each["kind"] == "EnvoyProxy")
    found["metadata"] = {"name": "e2e", "namespace": namespace}
    kubernetes = found["spec"]["provider"]["kubernetes"]
    kubernetes["envoyDeployment"]["replicas"] = 1
    kubernetes["envoyDeployment"].pop("name", None)
    kubernetes["envoyDeployment"]["container"]["resources"]["requests"]["cpu"] = "50m"
    kubernetes["envoyService"] = {"type": "NodePort"}
    return found


def counters(namespace: str) -> Object:
    """The platform's Service of the proxies' counters, for proxies of our own. It is in the proxies' namespace."""
    platform = rendered(str(ROOT / "k8s/platform/gateway"))
    found = next(each for each in platform if each["kind"] == "Service" and each["metadata"]["name"] == _PROXIES)
    found["metadata"]["name"] = f"{namespace}-proxies"
    return _renamed(found, namespace)


def with_own_proxies(objects: list[Object], namespace: str) -> list[Object]:
    """The objects, with their Gateway asking for `own_proxies`, and a Service for the counters of these."""
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "e2e"}
    for each in objects:
        if each["kind"] == "Gateway":
            each["spec"].setdefault("infrastructure", {})["parametersRef"] = reference
    return [own_proxies(namespace), counters(namespace), *objects]


def _renamed(value: Object, namespace: str) -> Object:
    """The tree with the images' tag, our priorities, and the namespace wherever a selector or a subject names it."""
    for key, inner in value.items():
        if key == _OWNER and inner == HOME:
            value[key] = namespace
        elif isinstance(inner, str):
            value[key] = _word(key, inner, namespace)
        elif key == "subjects":
            for subject in inner:
                if subject.get("namespace") == HOME:
                    subject["namespace"] = namespace
        else:
            for each in inner if isinstance(inner, list) else [inner]:
                if isinstance(each, dict):
                    _renamed(each, namespace)
    return value


def _word(key: str, word: str, namespace: str) -> str:
    if key == "priorityClassName":
        return _priority(word, namespace)
    if key == "image" and IMAGES and word.startswith("vigil/"):
        return f"{word.split(':', maxsplit=1)[0]}:{IMAGES}"
    if key == "value" and word.startswith(f"{_PROXIES}."):
        return word.replace(_PROXIES, f"{namespace}-proxies", 1)
    return word


def _priority(name: str, namespace: str) -> str:
    """A PriorityClass of our own: that of the same name may go when somebody else's Vigil does."""
    return name.replace(f"{HOME}-", f"{namespace}-", 1)
