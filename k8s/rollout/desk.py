"""What every command of the rollout is given: where its world is, the time, who asks, and how to answer."""

import getpass
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from k8s.rollout.backend import Backend
from k8s.rollout.errors import NotRunningError, UsageError
from k8s.rollout.wishes import Asker

Opener = Callable[[Path | None], Backend]
"""Opens the world of a rollout: of the local stack in a folder, or what is found without one."""

POD: Final = "KUBERNETES_SERVICE_HOST"
CLUSTER_NAMES: Final = frozenset({"KUBECONFIG", POD})
"""Variables by which a cluster is named: by a person, and by Kubernetes itself in each pod."""


def _now() -> datetime:
    return datetime.now(UTC)


def cluster(state: Path | None) -> Backend:
    """The world of the cluster that KUBECONFIG, or the pod that this runs in, names. Raises RolloutError."""
    if state is not None or not CLUSTER_NAMES & os.environ.keys():
        raise NotRunningError(
            f"there is no local stack {f'in {state}' if state else 'here'}, and KUBECONFIG names no cluster; "
            "start one with `vigil local up`, or name its folder with --state"
        )
    from k8s.rollout.kubernetes_backend import backend  # noqa: PLC0415 - its library takes a second
    from k8s.rollout.settings import Settings  # noqa: PLC0415 - as above

    return backend(Settings())


@dataclass(frozen=True)
class Desk:
    """Opener, folder and clock. `clock` answers in UTC; `rest` passes seconds of it."""

    opener: Opener = cluster
    state: Path | None = None
    clock: Callable[[], datetime] = _now
    rest: Callable[[float], None] = time.sleep

    def at(self, state: Path | None) -> "Desk":
        return self if state is None else replace(self, state=state)

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """The world, closed at the end. Raises RolloutError."""
        with self.opener(self.state) as backend:
            yield backend

    def asker(self, by: str | None, reason: str | None, default: str) -> Asker:
        """Who asks, why, and when. Raises UsageError for words that the record can't hold."""
        words = {"--by": by or _user(), "--reason": reason or default}
        for option, text in words.items():
            if not text.strip() or len(text) > 500 or not text.isprintable():
                raise UsageError(f"{option} is {text[:40]!r}; expected one line of 1 to 500 characters")
        return Asker(words["--by"], words["--reason"], self.clock())


def console() -> Console:
    """Standard output: colours and a live display only where it is a terminal."""
    return Console(highlight=False, soft_wrap=False)


def answer(data: Any, words: str, *, as_json: bool) -> None:
    """Prints one answer, as JSON or as a sentence."""
    click.echo(json.dumps(data, ensure_ascii=False) if as_json else words)


def _user() -> str:
    """Who runs this: $USER, or the user that the system knows."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
by_option: Final = click.option("--by", default=None, show_default="$USER", help="Who asks; it is recorded.")
reason_option: Final = click.option("--reason", default=None, help="Why; it is recorded.")
