"""Every split that the cluster's route had, as the API server tells it: nothing is missed between two looks."""

import subprocess
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tests.e2e.kubectl import Kubectl

_FIELDS: Final = "{.spec.rules[0].backendRefs[*].weight}{' '}{.spec.rules[0].filters[*].requestMirror.percent}{'\\n'}"


@dataclass(frozen=True)
class Seen:
    """A split in per cent, and when it was seen first (monotonic seconds)."""

    stable: int
    canary: int
    mirror: int
    at: float


class Weights:
    """Follows the HTTPRoute from `with` to its end."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._seen: list[Seen] = []
        self._ends = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name="weights")

    @property
    def seen(self) -> tuple[Seen, ...]:
        return tuple(self._seen)

    @property
    def canary(self) -> list[int]:
        """The canary's weights in their order; of those that are equal and follow each other, one."""
        found = [each.canary for each in self._seen]
        return [each for number, each in enumerate(found) if number == 0 or found[number - 1] != each]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        while self._thread.is_alive():  # it may have begun another watch just now
            if self._process is not None:
                self._process.kill()
            self._thread.join(0.5)

    def _follow(self) -> None:
        """The watch ends now and then, and whenever the API server does: it begins again."""
        while not self._ends.is_set():
            words = ["get", "httproute", "scorer", "--watch", "--output", f"jsonpath={_FIELDS}"]
            self._process = subprocess.Popen(
                ["kubectl", "--namespace", self._kubectl.namespace, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            with self._process as process:
                for line in process.stdout or ():
                    self._note(line)
            self._ends.wait(0.2)

    def _note(self, line: str) -> None:
        stable, canary, *mirror = (int(word) for word in line.split())
        whole = stable + canary  # more than 100 while the proxies are led away from somebody: that is nobody's share
        found = (round(100 * stable / whole), round(100 * canary / whole), mirror[0] if mirror else 0)
        last = self._seen[-1] if self._seen else None
        if last is None or (last.stable, last.canary, last.mirror) != found:
            self._seen.append(Seen(*found, time.monotonic()))
