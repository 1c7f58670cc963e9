"""`python -m monitoring erase`: erases an entity, proves it, and records that somebody was erased."""

import sys
from datetime import UTC, datetime

import click

from . import erasure
from .environment import settings, store_session


@click.command(name="erase")
@click.argument("entity")
@click.option("--yes", is_flag=True, help="Don't ask. There is no way back.")
def command(entity: str, yes: bool) -> None:
    """Erase every row about ENTITY, as sent in x-entity-id; '-' reads it from the standard input.

    A name that is read from the standard input is in no shell's history and in no list of processes. Rows that lie in
    a scorer's spool can't be reached: they are erased by `retention` when they have come, if MONITORING_ERASURE_KEY is
    set here and there. Backups, and pages on disk that were not vacuumed yet, are not reached. Exit code 7: rows came
    meanwhile.
    """
    name = sys.stdin.readline().rstrip("\r\n") if entity == "-" else entity
    if not name:
        raise click.UsageError("no entity was given")
    if not yes:
        click.confirm("Erase every row about this entity, for good?", abort=True)
    secret = settings().erasure_key
    key = erasure.Key.of(secret.get_secret_value()) if secret else None
    with store_session() as connection:
        counts = erasure.erase(connection, name, datetime.now(UTC), key)
    for table, count in counts.items():
        click.echo(f"{table}: {count} rows erased")
    click.echo("looked again: none is left")
    if key is None:
        click.echo(
            "MONITORING_ERASURE_KEY is not set: rows that a scorer's spool holds now will come and stay; run this "
            "again when every spool is empty (vigil_scorer_log_spool_bytes)"
        )
