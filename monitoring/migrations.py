"""Brings the prediction store's schema up to date: the numbered files of `schema/`, then `schema/rights.sql`.

A numbered file is applied once, in a transaction of its own, and never changes afterwards: its SHA-256 is kept in
`schema_migrations`, and a file that differs from what was applied is refused. `rights.sql` is run every time.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from .errors import SchemaError

FOLDER: Final = Path(__file__).parent / "schema"
USERS: Final = ("stable", "canary", "shadow", "reader", "labeller", "trainer", "rollout", "drift", "eraser")
"""The database users, who get their rights in `rights.sql`."""

LOCK: Final = 0x766967696C
"""Advisory lock of whoever changes the schema ('vigil' in ASCII), so that two at once are one after the other."""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def migrate(connection: Connection, passwords: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """The names of the files applied now, in order; empty when the schema was up to date.

    `connection` is the owner's, not inside a transaction. `passwords` by user: those given are set, also when there
    is nothing to apply; a user without one keeps what it has. Raises SchemaError.
    """
    if strangers := set(passwords) - set(USERS):
        raise SchemaError(f"passwords for unknown users {sorted(strangers)}; the users are {', '.join(USERS)}")
    files = migrations(folder)
    applied = [file.name for file in files if _apply(connection, file, files)]
    with connection.transaction():
        lock(connection)
        connection.execute((folder / "rights.sql").read_bytes())
        for user, password in passwords.items():
            _set_password(connection, user, password)
    return applied


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The numbered files of a folder, in order."""
    return [Migration(path.stem, path.read_bytes()) for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))]


def lock(connection: Connection) -> None:
    """Waits for the lock on schema changes, which the present transaction then holds."""
    connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])


def _apply(connection: Connection, migration: Migration, files: list[Migration]) -> bool:
    """Whether the file was applied now, rather than before or by somebody else meanwhile."""
    with connection.transaction():
        lock(connection)
        done = _applied(connection)
        _refuse_other_history(done, files)
        if migration.name in done:
            return False
        connection.execute(migration.content)
        connection.execute(
            "insert into schema_migrations (name, sha256) values (%s, %s)", [migration.name, migration.sha256]
        )
        return True


def _applied(connection: Connection) -> dict[str, str]:
    """SHA-256 by name of what was applied, in order. Makes the table that knows."""
    connection.execute(
        "create table if not exists schema_migrations "
        "(name text primary key, sha256 text not null, applied_at timestamptz not null default now())"
    )
    return dict(connection.execute("select name, sha256 from schema_migrations order by name").fetchall())


def _refuse_other_history(done: Mapping[str, str], files: list[Migration]) -> None:
    """Raises SchemaError unless what was applied is how the files begin."""
    by_name = {file.name: file for file in files}
    for name, sha256 in done.items():
        if name not in by_name:
            raise SchemaError(f"the database has {name}, which this version lacks: it is newer; run a newer version")
        if by_name[name].sha256 != sha256:
            raise SchemaError(f"{name}.sql was changed after it was applied: restore it and add a new file instead")
    if list(done) != [file.name for file in files[: len(done)]]:
        missing = next(file.name for file in files if file.name not in done)
        raise SchemaError(f"{missing}.sql is older than what was applied last ({list(done)[-1]}): give it a new number")


def _set_password(connection: Connection, user: str, password: str) -> None:
    """Sets it as a SCRAM verifier made here, so that the server's log can never hold the password itself."""
    verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("alter role {} password {}").format(sql.Identifier(user), sql.Literal(verifier))
    connection.execute(statement)
