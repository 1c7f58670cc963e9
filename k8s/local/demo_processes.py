"""What the demo runs beside the stack: the traffic, the controller, and the commands that a person would type."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k8s.local.errors import NotReadyError, last_lines
from k8s.local.processes import Child, Command, Supervisor
from k8s.local.stack import LocalStack
from k8s.local.state import State

CHECKOUT: Final = Path(__file__).parents[2]

COMMAND_SECONDS: Final = 120.0
"""Of a command that ends by itself: a comparison takes some seconds, on a busy machine longer."""


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code, and what it said."""

    code: int
    said: str


class DemoProcesses:
    """Starts them as children of the demo, so that they end with it. `stack` is tended while one waits."""

    def __init__(self, state: State, supervisor: Supervisor, stack: LocalStack) -> None:
        self._state = state
        self._supervisor = supervisor
        self._stack = stack

    def traffic(self, data: Path, *, per_second: float, seconds: float, pseudonyms: int, seed: int) -> Child:
        """A load on the gateway until `end_traffic`, at the most for `seconds`. Each answer goes into the ledger."""
        self._goes_on.touch()
        arguments = (
            "local", "traffic", "--url", self._stack.url, "--data", str(data.absolute()), "--rps", str(per_second),
            "--seconds", str(seconds), "--pseudonyms", str(pseudonyms), "--seed", str(seed),
            "--ledger", str(self._state.ledger.absolute()), "--while", str(self._goes_on.absolute()),
        )  # fmt: skip
        return self._start("traffic", arguments)

    def controller(self) -> Child:
        """The rollout's controller, as it runs everywhere; without it nothing would go on, so it is vital."""
        return self._start("controller", ("rollout", "--state", str(self._state.folder.absolute()), "run"), vital=True)

    def rollout(self, *arguments: str) -> Ended:
        """`vigil rollout ...` on this stack."""
        return self.run("vigil rollout", ("rollout", "--state", str(self._state.folder.absolute()), *arguments))

    def compare(self, champion: str, challenger: str, data: Path) -> Ended:
        """`training compare` on labelled events and on what was sent live; its row goes into the prediction store."""
        arguments = (
            "training", "compare", "--champion", champion, "--challenger", challenger, "--data", str(data.absolute()),
            "--home", str(self._state.builds.absolute()),
        )  # fmt: skip
        dsn = self._stack.dsn("trainer")
        return self.run("training compare", arguments, {"TRAINING_DSN": dsn, "TRAINING_WRITE_DSN": dsn})

    def run(self, name: str, arguments: tuple[str, ...], more: Mapping[str, str] | None = None) -> Ended:
        """A command that ends by itself. Raises NotReadyError when it does not."""
        child = self._start(name, arguments, more)
        ended = self._stack.wait_until(lambda: not child.alive, COMMAND_SECONDS)
        log, code = child.command.log, child.exit_code
        self._supervisor.forget(child)
        if not ended or code is None:
            raise NotReadyError(
                f"{name} did not end within {COMMAND_SECONDS:g} s. The end of {log}:\n{last_lines(log)}"
            )
        return Ended(code, log.read_text(encoding="utf-8", errors="replace"))

    def end_traffic(self, load: Child) -> None:
        """Ends the load in order: what was sent is answered and in the ledger. Raises NotReadyError."""
        self._goes_on.unlink(missing_ok=True)
        if not self._stack.wait_until(lambda: not load.alive, COMMAND_SECONDS):
            raise NotReadyError(f"the traffic did not end within {COMMAND_SECONDS:g} s; see {load.command.log}")
        self._supervisor.forget(load)

    @property
    def _goes_on(self) -> Path:
        return self._state.folder / "traffic.on"

    def _start(
        self, name: str, arguments: tuple[str, ...], more: Mapping[str, str] | None = None, *, vital: bool = False
    ) -> Child:
        command = Command(
            name=name,
            arguments=(sys.executable, "-m", "k8s.cli", *arguments),
            folder=CHECKOUT,
            log=self._state.logs / f"{name.replace(' ', '-')}.log",
            environment={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **(more or {})},
            layer=3,
        )
        return self._supervisor.start(command, vital=vital)
