"""Commands: from events to a published Bento.

Exit codes: 0 done, 1 an error nobody expected, 2 a wrong call, 3 data that can't be read or used, 4 not enough data
(too few rows, or too few of one class), 5 a problem with a model folder, a Bento or an artifact store.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from bentos import artifacts

from . import datasets, evaluation_report, finished_model, model_folder, package, synthesize
from .booster import TreeOptions
from .errors import ArtifactError, DataError, TrainingError
from .evaluation import Evaluation
from .train import CostOptions, TrainOptions, train

_FILE: Final = click.Path(path_type=Path)
_PRICE: Final = click.FloatRange(min=0, min_open=True)
_SEED: Final = click.IntRange(min=0, max=2**31 - 1)


class _Commands(click.Group):
    """Commands whose expected errors are one message on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TrainingError as error:
            problem = error
        except artifacts.ArtifactError as error:
            problem = ArtifactError(str(error))
        click.echo(f"Error: {problem}", err=True)
        return ctx.exit(problem.exit_code)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Exit codes: 0 done, 1 an unexpected error, 2 a wrong call, 3 data that can't be read or used, 4 not enough "
    "data (too few rows, or too few of one class), 5 a problem with a model folder, a Bento or an artifact store.",
)
def main() -> None:
    """Make risk models: synthesize, train, evaluate, package, publish."""


@main.command("synthesize")
@click.option("--recipe", type=click.Choice(list(synthesize.RECIPES)), default="plain", help="The kind of events.")
@click.option("--rows", type=click.IntRange(min=1), default=100_000, help="How many events.")
@click.option("--seed", type=_SEED, default=0, help="Another seed, other events.")
@click.option("--days", type=click.IntRange(min=1), default=synthesize.DAYS, help="Over how many days they spread.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    default=None,
    show_default="today",
    help="The day (UTC) at whose midnight the events end. The file is the same only for the same day.",
)
@click.option("--out", type=_FILE, required=True, help="The file to write: .csv or .parquet.")
def synthesize_command(recipe: str, rows: int, seed: int, days: int, until: datetime | None, out: Path) -> None:
    """Invent labelled events and write them to a file."""
    end = until.replace(tzinfo=UTC) if until else _midnight(datetime.now(UTC))
    frame = synthesize.RECIPES[recipe](rows, seed, end, days)
    datasets.write(frame, out)
    click.echo(f"{out}: {rows:,} events until {end:%Y-%m-%d} 00:00 UTC, {frame['label'].mean():.2%} positive", err=True)


@main.command("train")
@click.option("--data", type=_FILE, required=True, help="Labelled events: .csv or .parquet.")
@click.option("--out", type=_FILE, required=True, help="The model folder to write; an older model there is replaced.")
@click.option("--evaluation-report", type=_FILE, default=None, help="A markdown file for the evaluation.")
@click.option("--seed", type=_SEED, default=TreeOptions.seed, help="Seed of the trees, the resamples, a random split.")
@click.option("--leaves", type=click.IntRange(min=2, max=4096), default=TreeOptions.leaves, help="Leaves of a tree.")
@click.option("--trees", type=click.IntRange(min=1), default=TreeOptions.trees, help="Most trees; fewer if better.")
@click.option("--cost-missed", type=_PRICE, show_default="mean amount of positives", help="Loss of a missed positive.")
@click.option("--cost-review", type=_PRICE, show_default="5 % of a missed one", help="Price of a review by a person.")
@click.option("--cost-false-block", type=_PRICE, show_default="50 % of a missed one", help="Price of a false block.")
def train_command(  # noqa: PLR0913, PLR0917  # one argument an option
    data: Path,
    out: Path,
    evaluation_report: Path | None,
    seed: int,
    leaves: int,
    trees: int,
    cost_missed: float | None,
    cost_review: float | None,
    cost_false_block: float | None,
) -> None:
    """Train, calibrate and evaluate a model, and write its folder."""
    dataset = _read(data)
    options = TrainOptions(
        TreeOptions(seed=seed, leaves=leaves, trees=trees), CostOptions(cost_missed, cost_review, cost_false_block)
    )
    model = train(dataset, options, _progress)
    model_folder.write(model, out)
    _progress(f"wrote {out}")
    if evaluation_report is not None:
        _write_report(model.evaluation, evaluation_report)


@main.command("evaluate")
@click.option("--model", type=_FILE, required=True, help="A model folder.")
@click.option("--data", type=_FILE, required=True, help="Labelled events: .csv or .parquet.")
@click.option("--out", type=_FILE, default=None, show_default="standard output", help="The markdown file to write.")
@click.option("--seed", type=_SEED, default=0, help="Seed of the resamples.")
def evaluate_command(model: Path, data: Path, out: Path | None, seed: int) -> None:
    """Evaluate a finished model on all events of a file, which the model should not have seen."""
    evaluation = finished_model.assess(model, _read(data), np.random.default_rng(seed))
    if out is None:
        click.echo(evaluation_report.render(evaluation), nl=False)
    else:
        _write_report(evaluation, out)


@main.command("package")
@click.option("--model", type=_FILE, required=True, help="A model folder.")
@click.option("--home", type=_FILE, default=None, show_default="BENTOML_HOME", help="The BentoML home to build into.")
def package_command(model: Path, home: Path | None) -> None:
    """Build a Bento of a model folder in the local store and print its tag. The same input gives the same tag."""
    click.echo(package.build(model, home))


@main.command("publish")
@click.argument("tag")
@click.option("--to", "url", required=True, help="The artifact store, such as file:///srv/vigil/artifacts.")
@click.option(
    "--home", type=_FILE, default=None, show_default="BENTOML_HOME", help="The BentoML home that has the tag."
)
def publish_command(tag: str, url: str, home: Path | None) -> None:
    """Put a packaged Bento into an artifact store and print where it is. What is there already is left alone."""
    click.echo(artifacts.publish(tag, url, home))


def _read(path: Path) -> datasets.Dataset:
    dataset = datasets.read(path)
    _progress(f"read {path}: {len(dataset):,} events, {dataset.positives:,} positive")
    for note in dataset.notes:
        _progress(f"  {note}")
    return dataset


def _write_report(evaluation: Evaluation, path: Path) -> None:
    try:
        path.write_text(evaluation_report.render(evaluation), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror or error}") from error
    _progress(f"wrote {path}")


def _progress(message: str) -> None:
    """Progress goes to stderr: stdout is for what another command may read."""
    click.echo(message, err=True)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
