"""`python -m monitoring report`: what the store says, as one page."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from psycopg import IsolationLevel

from . import page, report, store
from .environment import store_session
from .errors import InputError

_TIME = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])


@click.command(name="report")
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path), required=True, help="HTML file.")
@click.option("--since", type=_TIME, help="Only rows scored from this time on (UTC without an offset).")
@click.option("--until", type=_TIME, help="Only rows scored before this time (UTC without an offset).")
@click.option("--evaluation", "files", multiple=True, metavar="TAG=FILE", help="A model's evaluation.json; repeatable.")
def command(out: Path, since: datetime | None, until: datetime | None, files: tuple[str, ...]) -> None:
    """Write what the store says as one self-contained HTML page."""
    evaluations = dict(_evaluation(each) for each in files)
    window = store.Window(_in_utc(since), _in_utc(until))
    with store_session() as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # all of the page's numbers at one moment
        numbers = report.collect(connection, datetime.now(UTC), window, evaluations=evaluations)
    page.write(numbers, out)
    click.echo(f"wrote {out}")


def _evaluation(option: str) -> tuple[str, Any]:
    """The tag and the content of TAG=FILE."""
    tag, separator, name = option.partition("=")
    if not separator:
        raise click.BadParameter(f"{option!r} is not TAG=FILE", param_hint="--evaluation")
    try:
        return tag, json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{name} can't be read as JSON: {error}") from error


def _in_utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
