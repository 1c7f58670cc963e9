"""`demo`: the whole story, and how it ended as an exit code."""

from pathlib import Path

import click
from rich.console import Console

from k8s.local import options
from k8s.local.demo import Demo, DemoOptions
from k8s.local.errors import CheckFailedError
from k8s.local.foreground import owned, stay
from k8s.local.interrupts import Interrupts
from k8s.local.state import DEMO, State
from k8s.local.story import Story


@click.command("demo")
@options.data
@click.option("--keep", is_flag=True, help="Leave the stack running at the end, until Ctrl-C.")
@options.seed
@options.port
@options.artifacts
@options.state
@click.pass_obj
def command(  # noqa: PLR0913 - one argument an option
    interrupts: Interrupts,
    *,
    data: Path | None,
    keep: bool,
    seed: int,
    port: int | None,
    artifacts: Path,
    state: Path | None,
) -> None:
    """Train two models, serve them behind a split with a mirror, send traffic, check what happened, write a report."""
    place = State(state or DEMO)
    story = Story(Console(stderr=True))
    with owned(place, interrupts) as (lock, supervisor):
        result = Demo(place, DemoOptions(artifacts, data, seed, port), lock, supervisor, story).run()
        if keep:
            stay(result.stack)
    if result.broken:
        raise CheckFailedError(f"did not hold: {'; '.join(result.broken)}")
