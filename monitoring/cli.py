"""The commands of `python -m monitoring`: thin shells over the modules.

Exit codes: 0 done, 2 wrong usage or environment, 3 a file that was given can't be used, 4 nothing to report,
5 the database does not answer, 6 the schema is missing, altered, or newer than this code, or a right is missing,
7 rows of an erased entity came meanwhile,
8 the artifact store does not give, or does not take, what it should.
"""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final

import click

from . import erasure, migrations, partitions, retention
from .database import session
from .environment import settings, store_session
from .errors import MonitoringError
from .settings import described

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage or environment; 3 a file that was given can't be used; 4 nothing to report; "
    "5 the database does not answer; 6 the schema is missing, altered, or newer than this code, or a right is missing; "
    "7 rows of an erased entity came meanwhile; 8 the artifact store does not give, or does not take, what it should."
)


_APART: Final = {
    "drift": "drift_command.command",
    "erase": "erase_command.command",
    "exporter": "exporter_command.command",
    "labels": "labels_command.group",
    "quality": "quality_command.command",
    "report": "report_command.command",
}
"""Commands that are imported when they are called: an exporter that lives for weeks needs no plots and no Parquet."""


class _Commands(click.Group):
    """Ends with the exit code of a MonitoringError."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_APART})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _APART:
            return super().get_command(ctx, cmd_name)
        module, name = _APART[cmd_name].split(".")
        found: click.Command = getattr(import_module(f"monitoring.{module}"), name)
        return found

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
