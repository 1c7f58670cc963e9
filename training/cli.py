"""Commands: from events to a published Bento.

Exit codes: 0 done, 1 an error nobody expected, 2 a wrong call, 3 data that can't be read or used, 4 not enough data
(too few rows, or too few of one class), 5 a problem with a model folder, a Bento or an artifact store, 6 a model that
failed a gate which every model must pass; compare has two more, 7 and 8, and 9 for the prediction store.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from bentos import artifacts
from monitoring.evaluation import Evaluation, Gate

from . import (
    column_map,
    datasets,
    evaluation_page,
    evaluation_report,
    finished_model,
    model_card,
    model_folder,
    package,
)
from .booster import TreeOptions
from .compare_command import compare_command
from .costs import CostOptions
from .errors import ArtifactError, DataError, GatesError, TrainingError
from .first_model import first_command
from .monotone import parse as directions
from .synthesize_command import synthesize_command
from .train import TrainOptions, train

_FILE: Final = click.Path(path_type=Path)
_PRICE: Final = click.FloatRange(min=0, min_open=True)
_SHARE: Final = click.FloatRange(min=0, max=1, min_open=True)
_SEED: Final = click.IntRange(min=0, max=2**31 - 1)
_COLUMNS: Final = click.option("--columns", type=_FILE, default=None, help="A TOML file: which column is which.")

_FORMS: Final[dict[str, Callable[[Evaluation], str]]] = {
    ".html": evaluation_page.render,
    ".md": evaluation_report.render,
    ".json": lambda evaluation: evaluation.model_dump_json(indent=1) + "\n",
}


class _Report(click.Path):
    """A file whose suffix is one of `_FORMS`; known before anything is computed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() not in _FORMS:
            self.fail(f"{path}: an evaluation can be written as {', '.join(_FORMS)}", param, ctx)
        return path


_REPORT: Final = _Report(path_type=Path)


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
    "data (too few rows, or too few of one class), 5 a problem with a model folder, a Bento or an artifact store, 6 a "
    "model that failed a gate which every model must pass.",
)
def main() -> None:
    """Make risk models: synthesize, train, evaluate, compare, package, publish."""


main.add_command(synthesize_command)
main.add_command(compare_command)
main.add_command(first_command)


@main.command("train")
@click.option("--data", type=_FILE, required=True, help="Labelled events: .csv or .parquet.")
@_COLUMNS
@click.option("--out", type=_FILE, required=True, help="The model folder to write; an older model there is replaced.")
@click.option("--evaluation-report", type=_REPORT, default=None, help="A file for the evaluation: .html, .md or .json.")
@click.option("--seed", type=_SEED, default=TreeOptions.seed, help="Seed of the trees, the resamples, a random split.")
@click.option("--leaves", type=click.IntRange(min=2, max=4096), default=TreeOptions.leaves, help="Leaves of a tree.")
@click.option("--trees", type=click.IntRange(min=1), default=TreeOptions.trees, help="Most trees; fewer if better.")
@click.option("--rate", type=_PRICE, default=TreeOptions.learning_rate, help="Learning rate of the trees.")
@click.option("--search", type=click.IntRange(min=0, max=200), default=0, help="Candidates that a search may try.")
@click.option("--monotone", default="", metavar="FIELD=+1,...", help="Fields along which the score only rises (+1).")
@click.option("--cost-missed", type=_PRICE, show_default="one review", help="Fixed loss of a missed positive.")
@click.option("--cost-missed-per-amount", type=_PRICE, show_default="1", help="Its loss for each unit of amount.")
@click.option("--cost-review", type=_PRICE, show_default="5 % of positives' mean amount", help="Price of a review.")
@click.option("--cost-false-block", type=_PRICE, show_default="50 % of it", help="Price of a false block.")
@click.option("--review-capacity", type=_SHARE, default=None, help="Largest share of events that can be reviewed.")
@click.option("--force", is_flag=True, help="Succeed although a gate failed; evaluation.json says so.")
def train_command(  # noqa: PLR0913, PLR0917  # one argument an option
    data: Path,
    columns: Path | None,
    out: Path,
    evaluation_report: Path | None,
    seed: int,
    leaves: int,
    trees: int,
    rate: float,
    search: int,
    monotone: str,
    cost_missed: float | None,
    cost_missed_per_amount: float | None,
    cost_review: float | None,
    cost_false_block: float | None,
    review_capacity: float | None,
    force: bool,
) -> None:
    """Train, calibrate and evaluate a model, and write its folder.

    The folder is written whatever the gates say, so that the evaluation can be read; a gate that failed is exit code 6.
    """
    options = TrainOptions(
        TreeOptions(seed=seed, leaves=leaves, trees=trees, learning_rate=rate, monotone=directions(monotone)),
        CostOptions(cost_missed, cost_missed_per_amount, cost_review, cost_false_block),
        review_capacity,
        search,
    )
    model = train(_read(data, columns), options, _progress)
    failed = model.evaluation.failed
    if force and failed:
        model = replace(model, evaluation=model.evaluation.model_copy(update={"forced": True}))
    model_folder.write(model, out)
    _progress(f"wrote {out}")
    if evaluation_report is not None:
        _write_report(model.evaluation, evaluation_report)
    for gate in model.evaluation.gates:
        _progress(f"gate {gate.verdict}: {gate.name} ({gate.detail})")
    _refuse(failed, forced=force)


@main.command("evaluate")
@click.option("--model", type=_FILE, required=True, help="A model folder.")
@click.option("--data", type=_FILE, required=True, help="Labelled events: .csv or .parquet.")
@_COLUMNS
@click.option(
    "--out", type=_REPORT, default=None, show_default="standard output", help="The file to write: .html, .md or .json."
)
@click.option("--seed", type=_SEED, default=0, help="Seed of the resamples.")
def evaluate_command(model: Path, data: Path, columns: Path | None, out: Path | None, seed: int) -> None:
    """Evaluate a finished model on all events of a file, which the model should not have seen."""
    evaluation = finished_model.assess(model, _read(data, columns), np.random.default_rng(seed))
    if out is None:
        click.echo(evaluation_report.render(evaluation), nl=False)
    else:
        _write_report(evaluation, out)


@main.command("card")
@click.option("--model", type=_FILE, required=True, help="A model folder.")
@click.option("--out", type=_FILE, default=None, show_default="standard output", help="The markdown file to write.")
def card_command(model: Path, out: Path | None) -> None:
    """Write the tables of a model card: metrics, gates, slices and fairness, as the model's own evaluation has them."""
    text = model_card.tables(model_folder.read_evaluation(model))
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(text, out)


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


def _read(path: Path, columns: Path | None) -> datasets.Dataset:
    dataset = datasets.read(path, None if columns is None else column_map.read(columns))
    _progress(f"read {path}: {len(dataset):,} events, {dataset.positives:,} positive")
    for note in dataset.notes:
        _progress(f"  {note}")
    return dataset


def _refuse(failed: Sequence[Gate], *, forced: bool) -> None:
    """Raises GatesError when gates failed, unless a person forces the model: then it only says so loudly."""
    names = ", ".join(gate.name for gate in failed)
    if failed and not forced:
        raise GatesError(f"the model failed: {names}; bring more or better data, or ship it anyway with --force")
    if failed:
        _progress(f"FORCED: the model failed {names}, and a person ships it anyway; evaluation.json says so")


def _write_report(evaluation: Evaluation, path: Path) -> None:
    _write(_FORMS[path.suffix.lower()](evaluation), path)


def _write(text: str, path: Path) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror or error}") from error
    _progress(f"wrote {path}")


def _progress(message: str) -> None:
    """Progress goes to stderr: stdout is for what another command may read."""
    click.echo(message, err=True)
