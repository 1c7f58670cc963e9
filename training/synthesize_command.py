"""The command that invents events: its options, and what they may not be together."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import pandas as pd

from . import datasets, synthesize
from .synthesize import STRENGTHS, Drift, DriftKind

_DAY: Final = click.DateTime(["%Y-%m-%d"])
_STRENGTHS: Final = ", ".join(f"{kind} {size:g}" for kind, size in STRENGTHS.items())


@click.command("synthesize")
@click.option("--recipe", type=click.Choice(list(synthesize.RECIPES)), default=synthesize.DEFAULT, help="What events.")
@click.option("--rows", type=click.IntRange(min=1), default=100_000, help="How many events.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, help="Another seed, other events.")
@click.option("--days", type=click.IntRange(min=1), default=synthesize.DAYS, help="Over how many days they spread.")
@click.option(
    "--until",
    type=_DAY,
    default=None,
    show_default="today",
    help="The day (UTC) at whose midnight the events end. The file is the same only for the same day.",
)
@click.option(
    "--drift",
    type=click.Choice([kind.value for kind in DriftKind]),
    default=None,
    help="What changes (recipe realistic).",
)
@click.option("--drift-from", type=_DAY, default=None, help="The day (UTC) at whose first midnight the drift sets in.")
@click.option("--drift-strength", type=float, default=None, show_default=_STRENGTHS, help="A factor, or a share.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write: .csv or .parquet.")
def synthesize_command(  # noqa: PLR0913, PLR0917  # one argument an option
    recipe: str,
    rows: int,
    seed: int,
    days: int,
    until: datetime | None,
    drift: DriftKind | None,
    drift_from: datetime | None,
    drift_strength: float | None,
    out: Path,
) -> None:
    """Invent labelled events and write them to a file."""
    end = until.replace(tzinfo=UTC) if until else _midnight(datetime.now(UTC))
    frame = _events(recipe, rows, seed, end, days, _drift(recipe, drift, drift_from, drift_strength))
    datasets.write(frame, out)
    click.echo(f"{out}: {rows:,} events until {end:%Y-%m-%d} 00:00 UTC, {frame['label'].mean():.2%} positive", err=True)


def _drift(recipe: str, kind: DriftKind | None, starts: datetime | None, strength: float | None) -> Drift | None:
    """The drift that the options ask for. Raises click.UsageError where they contradict each other."""
    if kind is None:
        if starts is not None or strength is not None:
            raise click.UsageError("--drift-from and --drift-strength say when and how much: add --drift")
        return None
    if recipe != "realistic":
        raise click.UsageError(f"the recipe {recipe} can't drift; take --recipe realistic")
    if starts is None:
        raise click.UsageError("--drift needs --drift-from, the day on which it sets in")
    try:
        return Drift(DriftKind(kind), starts.replace(tzinfo=UTC), strength)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--drift-strength") from error


def _events(recipe: str, rows: int, seed: int, end: datetime, days: int, drift: Drift | None) -> pd.DataFrame:
    if drift is None:
        return synthesize.RECIPES[recipe](rows, seed, end, days)
    try:
        return synthesize.realistic(rows, seed, end, days, drift=drift)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--drift-from") from error


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
