"""A stack in the foreground: its folder locked, its processes ended with the block, watched until Ctrl-C."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click

from k8s.local.interrupts import Interrupted, Interrupts
from k8s.local.processes import Supervisor
from k8s.local.score_request import curl_line
from k8s.local.stack import LocalStack
from k8s.local.state import State, StateLock

_POLL_SECONDS: Final = 0.1


@contextmanager
def owned(state: State, interrupts: Interrupts) -> Iterator[tuple[StateLock, Supervisor]]:
    """The state folder, locked, and a supervisor that ends its processes, whatever ends this block."""
    with StateLock(state, datetime.now(UTC)) as lock, Supervisor(interrupts) as supervisor:
        yield lock, supervisor


def stay(stack: LocalStack) -> None:
    """Tends the stack until Ctrl-C, the way in which this is meant to end. Raises ProcessDiedError before that."""
    click.echo(f"\nThe stack runs at {stack.url} until Ctrl-C. Try:\n{curl_line(stack.url)}\n")
    try:
        while True:
            stack.tend()
            time.sleep(_POLL_SECONDS)
    except Interrupted:
        click.echo("stopping", err=True)
