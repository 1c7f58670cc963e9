"""`python -m training compare`: a thin shell over `compare`."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

import click
import numpy as np
from psycopg import IsolationLevel

from monitoring import comparisons, database, logged_inputs
from monitoring.errors import MonitoringError
from monitoring.logged_inputs import Logged
from monitoring.store import Window

from . import comparison_report, contenders, datasets, event_rows
from .compare import Live, Request, compare
from .comparison import EXIT_CODES, ModelComparison
from .errors import DataError, StoreError
from .gates import Mode
from .live_prediction import Inputs

MOST_INPUTS: Final = 200_000
"""Logged inputs that are scored at most: whole entities are sampled where there are more."""

_FILE: Final = click.Path(path_type=Path)
_DAY: Final = timedelta(hours=24)


@click.command(
    "compare",
    epilog="Exit codes: 0 the challenger may go on; 4 not enough data to tell; 7 it is not good enough; 8 it may go on "
    "once a person approves of the change; and 2, 3, 5 as for every command, 9 the prediction store does not answer.",
)
@click.option(
    "--champion", required=True, help="The model that serves: risk_scorer:<version>, a Bento or a model folder."
)
@click.option("--challenger", required=True, help="The model that is to replace it, named in the same ways.")
@click.option("--data", type=_FILE, required=True, help="Labelled events: .csv or .parquet. The newest are used.")
@click.option(
    "--mode", type=click.Choice(get_args(Mode)), default="non-inferior", help="'better' for a retrained model."
)
@click.option(
    "--inputs", type=_FILE, default=None, help="Logged inputs: .jsonl ({entity_id, fields}), .csv or .parquet."
)
@click.option(
    "--dsn", envvar="TRAINING_DSN", show_envvar=True, default=None, help="Store with the last 24 hours' inputs."
)
@click.option(
    "--write-dsn", envvar="TRAINING_WRITE_DSN", show_envvar=True, default=None, help="Store to add the row to."
)
@click.option(
    "--home", type=_FILE, default=None, show_default="BENTOML_HOME", help="The BentoML home that has the tags."
)
@click.option("--out", type=_FILE, default=None, help="A file for the comparison as JSON.")
@click.option("--unseen", is_flag=True, help="Vouch that neither model learned from the data, where no time can tell.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, help="Seed of the resamples.")
@click.pass_context
def compare_command(  # noqa: PLR0913, PLR0917  # one argument an option
    context: click.Context,
    champion: str,
    challenger: str,
    data: Path,
    mode: Mode,
    inputs: Path | None,
    dsn: str | None,
    write_dsn: str | None,
    home: Path | None,
    out: Path | None,
    unseen: bool,
    seed: int,
) -> None:
    """Compare a challenger with the champion, on labels and on logged inputs, and say whether it may go on."""
    if inputs is not None and dsn is not None:
        raise click.UsageError("give --inputs or --dsn, not both")
    request = Request(contenders.load(champion, home), contenders.load(challenger, home), mode, vouched=unseen)
    now = datetime.now(UTC)
    live = _from_file(inputs) if inputs else _from_store(dsn, now) if dsn else None
    found = compare(request, datasets.read(data), live, now=now, rng=np.random.default_rng(seed))
    if out is not None:
        out.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if write_dsn:
        _write(found, write_dsn)
    click.echo(comparison_report.render(found), nl=False)
    context.exit(EXIT_CODES[found.verdict])


def row(found: ModelComparison) -> comparisons.Comparison:
    """A comparison as a row of the table `comparisons`."""
    predicted: dict[str, Any] = {}
    if found.prediction is not None:
        change = found.prediction.by_entity
        predicted = {
            "inputs_from": found.prediction.first,
            "inputs_until": found.prediction.last,
            "entities": change.n,
            "net_flips": change.net_flips.value,
            "net_flips_se": change.net_flips.se,
            "score_difference": change.score_difference.value,
            "score_difference_se": change.score_difference.se,
            "flagged_ratio": change.flagged_ratio,
        }
    return comparisons.Comparison(
        stable=found.champion.tag,
        candidate=found.challenger.tag,
        made_at=found.made_at,
        verdict=found.verdict,
        numbers=found.model_dump(mode="json"),
        **predicted,
    )


def _write(found: ModelComparison, dsn: str) -> None:
    try:
        with database.session(dsn, "--write-dsn") as connection:
            comparisons.add(connection, row(found))
    except MonitoringError as error:
        raise StoreError(f"the comparison could not be added: {error}") from error


def _from_store(dsn: str, now: datetime) -> Live:
    try:
        with database.session(dsn, "--dsn") as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ  # the count and the rows at one moment
            return _live(logged_inputs.read(connection, Window(now - _DAY, now), MOST_INPUTS))
    except MonitoringError as error:
        raise StoreError(f"the logged inputs could not be read: {error}") from error


def _live(logged: Iterable[Logged]) -> Live:
    events, entities, times = [], [], []
    for each in logged:
        events.append(each.fields)
        entities.append(each.entity)
        times.append(each.scored_at)
    first, last = (times[0], times[-1]) if times else (None, None)
    return Live(events, Inputs(_numbered(entities), first, last))


def _from_file(path: Path) -> Live:
    if path.suffix.lower() != ".jsonl":
        dataset = datasets.read(path)
        order = np.argsort(dataset.times, kind="stable") if dataset.has_times else np.arange(len(dataset))
        rows = dataset.take(order[-MOST_INPUTS:])
        return Live(list(event_rows.known_features(rows)), Inputs(rows.entity_codes))
    events, entities = [], []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                content = json.loads(line)
                events.append(dict(content["fields"]))
                entities.append(str(content.get("entity_id") or f"line {number}"))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        place = f"{path}, line {len(events) + 1}"
        raise DataError(f'{place}: is no {{"entity_id": ..., "fields": {{...}}}} ({error!r})') from error
    return Live(events, Inputs(_numbered(entities)))


def _numbered(names: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
