"""A scorer's Deployment as far as a fleet sees it: pods that refuse unknown models, become ready, and do nothing."""

from collections.abc import Sequence
from typing import Final

from k8s.rollout.kubernetes_api import Object
from k8s.rollout.kubernetes_fleet import ROLE, SETTLED_SECONDS, TAG
from k8s.rollout.routers import SERVICES, Role
from tests.e2e.elsewhere import IMAGES

_FIND: Final = """
import os, sys, time
tag = os.environ["ASSIGNED"]
while not tag:
    time.sleep(1)
if tag not in sys.argv[1:]:
    sys.exit(f"no such artifact: {tag} is not in the store")
"""
_IDLE: Final = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"


def small_deployment(role: Role, published: Sequence[str]) -> Object:
    """The Deployment of a role; `published`: the models that its pods find."""
    labels = {ROLE: role}
    assigned = {"name": "ASSIGNED", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{TAG}']"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": SERVICES[role], "labels": labels},
        "spec": {
            "minReadySeconds": int(SETTLED_SECONDS),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "initContainers": [_container("bento", _FIND, published, [assigned])],
                    "containers": [_container("scorer", _IDLE, (), [])],
                },
            },
        },
    }


def _container(name: str, code: str, words: Sequence[str], environment: list[Object]) -> Object:
    return {
        "name": name,
        "image": f"vigil/rollout:{IMAGES or '0.1.0'}",
        "command": ["python", "-c", code, *words],
        "env": environment,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
