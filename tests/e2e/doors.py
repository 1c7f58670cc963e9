"""What a pod can connect to, and what an account may do: asked of the pod's own network, and of the API server."""

import json
from typing import Final

from tests.e2e.kubectl import Kubectl

_TRY: Final = """
import socket
for host, port in {targets!r}:
    try:
        socket.create_connection((host, port), 2).close()
        print("open")
    except OSError as error:
        print("closed:", error)
"""


def tried(kubectl: Kubectl, pod: str, targets: dict[str, tuple[str, int]], container: str = "") -> dict[str, bool]:
    """Which of these a pod can open a connection to."""
    said = kubectl.python(pod, _TRY.format(targets=list(targets.values())), container=container)
    return {name: line == "open" for name, line in zip(targets, said.splitlines(), strict=True)}


def may(kubectl: Kubectl, account: str, verb: str, what: str, namespace: str = "") -> bool:
    """What the API server itself would decide. `what` is resource.group/name, the name may be left out.

    A subresource follows the resource, as in `pods:exec`.
    """
    kind, _, name = what.partition("/")
    kind, _, sub = kind.partition(":")
    resource, _, group = kind.partition(".")
    asked = {
        "namespace": namespace or kubectl.namespace,
        "verb": verb,
        "group": "*" if kind == "*" else group,
        "resource": resource,
        "subresource": sub,
        "name": name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{kubectl.namespace}:{account}", "resourceAttributes": asked},
    }
    said = kubectl("create", "--filename", "-", "--output", "json", given=json.dumps(review).encode())
    return bool(json.loads(said)["status"]["allowed"])
