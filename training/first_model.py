"""The first model of a place that has none: trained, gated, packaged and published, once.

What was made is remembered in the artifact store itself, under `first.json`: whoever asks again gets the same model.
"""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from pydantic import BaseModel, ConfigDict, ValidationError

from bentos import artifacts
from bentos.artifact_stores import ArtifactStore, open_store
from monitoring.evaluation import Gate

from . import column_map, datasets, model_folder, package, synthesize
from .booster import TreeOptions
from .errors import ArtifactError, GatesError
from .train import TrainOptions, train

KEY: Final = "first.json"


class FirstModel(BaseModel):
    """What whoever assigns the first model must know: its tag, what its gates said, and whether a person forced it."""

    model_config = ConfigDict(frozen=True)

    tag: str
    forced: bool
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Wanted:
    """What to learn from: labelled events of a file, or invented ones; and whether a failed gate stops it."""

    data: Path | None = None
    columns: Path | None = None
    rows: int = 200_000
    seed: int = 0
    force: bool = False


def first_model(url: str, home: Path, wanted: Wanted) -> FirstModel:
    """The model that was first in the artifact store at `url`; made now if there is none.

    `home` is a BentoML home to build in. Raises TrainingError (GatesError when the model failed a gate), and
    artifacts.ArtifactError.
    """
    store = open_store(url)
    if store.has(KEY):
        return _remembered(store)
    model = train(_events(wanted), TrainOptions(TreeOptions(seed=wanted.seed)))
    failed = ", ".join(gate.name for gate in model.evaluation.failed)
    if failed and not wanted.force:
        raise GatesError(f"the first model failed: {failed}; bring more or better data, or start with --force")
    with tempfile.TemporaryDirectory(prefix="vigil-first-") as folder:
        evaluation = model.evaluation.model_copy(update={"forced": bool(failed)})
        model_folder.write(replace(model, evaluation=evaluation), Path(folder, "model"))
        tag = package.build(Path(folder, "model"), home)
    artifacts.publish(tag, url, home)
    made = FirstModel(tag=tag, forced=evaluation.forced, gates=tuple(evaluation.gates))
    _remember(store, made)
    return made


def _events(wanted: Wanted) -> datasets.Dataset:
    if wanted.data is not None:
        return datasets.read(wanted.data, None if wanted.columns is None else column_map.read(wanted.columns))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return datasets.from_frame(synthesize.realistic(wanted.rows, seed=wanted.seed, end=midnight))


def _remembered(store: ArtifactStore) -> FirstModel:
    with tempfile.TemporaryDirectory(prefix="vigil-first-") as folder:
        store.get(KEY, Path(folder, KEY))
        try:
            return FirstModel.model_validate_json(Path(folder, KEY).read_bytes())
        except ValidationError as error:
            raise ArtifactError(f"{store.url(KEY)} does not name a first model ({error}): remove it") from error


def _remember(store: ArtifactStore, made: FirstModel) -> None:
    with tempfile.TemporaryDirectory(prefix="vigil-first-") as folder:
        Path(folder, KEY).write_text(made.model_dump_json(indent=1), encoding="utf-8")
        store.put(KEY, Path(folder, KEY))


@click.command("first")
@click.option("--to", "url", required=True, help="The artifact store, such as file:///srv/vigil/artifacts.")
@click.option("--home", type=click.Path(path_type=Path), required=True, help="The BentoML home to build in.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The JSON file that names the model.")
@click.option(
    "--unless",
    type=click.Path(path_type=Path),
    default=None,
    help="Do nothing when this file holds something: the tag that is stable already.",
)
@click.option("--data", type=click.Path(path_type=Path), default=None, show_default="invented", help="Labelled events.")
@click.option("--columns", type=click.Path(path_type=Path), default=None, help="A TOML file: which column is which.")
@click.option("--rows", type=click.IntRange(min=1_000), default=Wanted.rows, help="How many events to invent.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, help="Seed of the events and the trees.")
@click.option("--force", is_flag=True, help="Succeed although a gate failed; evaluation.json says so.")
def first_command(  # noqa: PLR0913, PLR0917  # one argument an option
    url: str,
    home: Path,
    out: Path,
    unless: Path | None,
    data: Path | None,
    columns: Path | None,
    rows: int,
    seed: int,
    force: bool,
) -> None:
    """Make, package and publish the first model of an artifact store; once it is made, only name it."""
    if unless is not None and unless.is_file() and unless.read_text(encoding="utf-8").strip():
        click.echo(f"{unless.read_text(encoding='utf-8').strip()} is stable already: nothing to make", err=True)
        return
    made = first_model(url, home, Wanted(data, columns, rows, seed, force))
    out.write_text(made.model_dump_json(indent=1), encoding="utf-8")
    click.echo(made.tag)
