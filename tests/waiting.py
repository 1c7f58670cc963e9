"""Waiting for a condition, with a deadline: what the tests of real processes share."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when the server answers; fail with its log when it has ended, or does not answer within a minute."""

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        return is_ready(client)

    wait_for(answers, seconds=60)
