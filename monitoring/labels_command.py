"""`python -m monitoring labels`: what events turned out to be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from . import label_files, labels
from .environment import store_session

CLOCKS: Final = timedelta(minutes=5)
"""By so much may the clock of who wrote the file be ahead."""


@click.group(name="labels")
def group() -> None:
    """What events turned out to be."""


@group.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--look-up/--no-look-up",
    default=True,
    help="Count the labels of events that were never scored. It reads the names of all kept events.",
)
def import_labels(file: Path, look_up: bool) -> None:
    """Add the labels of a CSV or Parquet FILE (event_id, label, and known_at if you have it): all, or none.

    Exit code 3: a cell can't be used (each is told with its line), or two labels of one event contradict each other.
    """
    now = datetime.now(UTC)
    with store_session() as connection:
        done = labels.add(connection, label_files.read(file, now + CLOCKS), now, look_up=look_up)
    corrected = f", {done.corrections:,} of them corrections" if done.corrections else ""
    click.echo(f"{done.imported:,} imported{corrected}; {done.duplicates:,} known before")
    if done.unknown:
        click.echo(f"{done.unknown:,} events are unknown: never scored, forgotten, or still in a scorer's spool")
