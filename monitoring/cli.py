"""The commands of `python -m monitoring`: thin shells over the modules.

Exit codes: 0 done, 2 wrong usage or environment, 3 a file that was given can't be used, 4 nothing to report,
5 the database does not answer, 6 the schema is missing, altered, or newer than this code, or a right is missing,
7 rows of an erased entity came meanwhile,
8 the artifact store does not give, or does not take, what it should.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from psycopg import IsolationLevel

from . import (
    drift_command,
    erase_command,
    erasure,
    exporter_command,
    labels_command,
    migrations,
    page,
    partitions,
    quality_command,
    report,
    retention,
    store,
)
from .database import session
from .environment import settings, store_session
from .errors import InputError, MonitoringError
from .settings import described

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage or environment; 3 a file that was given can't be used; 4 nothing to report; "
    "5 the database does not answer; 6 the schema is missing, altered, or newer than this code, or a right is missing; "
    "7 rows of an erased entity came meanwhile; 8 the artifact store does not give, or does not take, what it should."
)
_TIME = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])


class _Commands(click.Group):
    """Ends with the exit code of a MonitoringError."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MonitoringError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Commands, help="The prediction store.", epilog=f"{EXIT_CODES}\n\nEnvironment:\n\n{described()}")
def cli() -> None:
    pass


@cli.command()
def migrate() -> None:
    """Bring the schema and the users' rights up to date; set the passwords that the environment gives."""
    found = settings()
    with session(found.dsn.get_secret_value()) as connection:
        applied = migrations.migrate(connection, found.passwords())
    click.echo(f"applied {', '.join(applied)}" if applied else "the schema was up to date")


@cli.command(name="partitions")
@click.option("--ahead", type=click.IntRange(0, 366), default=7, show_default=True, help="Days after today.")
def make_partitions(ahead: int) -> None:
    """Make the partitions of today and of the days ahead."""
    with store_session() as connection:
        made = partitions.ensure(connection, datetime.now(UTC).date(), ahead + 1)
    click.echo(f"made {', '.join(made)}" if made else "every partition was there")


@cli.command(name="retention")
@click.option("--days", type=click.IntRange(2, 3660), required=True, help="Whole days to keep, besides today.")
def drop_old_days(days: int) -> None:
    """Forget the days that are older than rows may be kept, and rows of erased entities that came late."""
    now, secret = datetime.now(UTC), settings().erasure_key
    first_kept = now.date() - timedelta(days=days)
    with store_session() as connection:
        late = erasure.late(connection, erasure.Key.of(secret.get_secret_value()), now) if secret else {}
        forgotten = retention.forget(connection, first_kept, now)
        dropped = retention.drop(connection, first_kept)
    click.echo(f"dropped {', '.join(dropped)}" if dropped else "no day is old enough")
    for table, count in forgotten.items():
        click.echo(f"{table}: {count} rows forgotten")
    for table, count in late.items():
        click.echo(f"{table}: {count} rows erased that came after their entity was")


@cli.command(name="report")
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path), required=True, help="HTML file.")
@click.option("--since", type=_TIME, help="Only rows scored from this time on (UTC without an offset).")
@click.option("--until", type=_TIME, help="Only rows scored before this time (UTC without an offset).")
@click.option("--evaluation", "files", multiple=True, metavar="TAG=FILE", help="A model's evaluation.json; repeatable.")
def write_report(out: Path, since: datetime | None, until: datetime | None, files: tuple[str, ...]) -> None:
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


cli.add_command(drift_command.command)
cli.add_command(quality_command.command)
cli.add_command(labels_command.group)
cli.add_command(erase_command.command)
cli.add_command(exporter_command.command)
