"""kubectl against the cluster of KUBECONFIG: what a person would type, with an answer that a test can read."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Object = dict[str, Any]


class RefusedError(Exception):
    """The command ended with an error: its words."""


@dataclass(frozen=True)
class Kubectl:
    """Commands in one namespace."""

    namespace: str

    def __call__(self, *words: str, given: bytes | None = None, seconds: float = 120) -> str:
        """The command's standard output. Raises RefusedError."""
        command = ["kubectl", "--namespace", self.namespace, *words]
        ended = subprocess.run(command, input=given, capture_output=True, timeout=seconds, check=False)
        if ended.returncode:
            raise RefusedError(f"{' '.join(command)[:300]}: {ended.stderr.decode(errors='replace').strip()}")
        return ended.stdout.decode()

    def get(self, *words: str) -> Object:
        """One object, or a list of them as an object with `items`."""
        parsed: Object = json.loads(self("get", *words, "--output", "json"))
        return parsed

    def apply(self, objects: Sequence[Object], *flags: str) -> str:
        """As `kubectl apply --filename` of a rendered overlay does, which may have objects of other namespaces."""
        said, spaces = "", dict.fromkeys(each["metadata"].get("namespace", self.namespace) for each in objects)
        for space in spaces:
            inside = [each for each in objects if each["metadata"].get("namespace", self.namespace) == space]
            said += Kubectl(space)("apply", *flags, "--filename", "-", given=yaml.safe_dump_all(inside).encode())
        return said

    def pods(self, selector: str) -> list[Object]:
        """The pods with these labels that are not about to end, youngest last."""
        found = self.get("pods", "--selector", selector, "--sort-by", "metadata.creationTimestamp")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def python(self, pod: str, code: str, *, container: str = "", seconds: float = 60) -> str:
        """What this code writes inside a pod. Raises RefusedError with its traceback."""
        chosen = ["--container", container] if container else []
        return self("exec", "--stdin", pod, *chosen, "--", "python", "-", given=code.encode(), seconds=seconds)


def rendered(folder: str) -> list[Object]:
    """The objects of a kustomization."""
    made = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=True, timeout=60).stdout
    return [each for each in yaml.safe_load_all(made) if each]


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What the condition answers once that is true; fails with `what` and its last answer at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not so within {seconds:g} s (last answer: {answer!r})"
        time.sleep(0.2)
    return answer
