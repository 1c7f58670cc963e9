"""A real PostgreSQL for the whole session, and a fresh migrated prediction store for each test that asks for one."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from k8s.local import postgres as local_postgres
from monitoring import migrations, partitions
from training import datasets, model_folder, synthesize, train

PASSWORDS = {user: f"test's {user}" for user in migrations.USERS}
FIXED_DAY = date(2026, 3, 2)
"""A day with partitions around it in every test database, for rows with known times."""

_TEMPLATE = "vigil_template"
_numbers = itertools.count()


@dataclass(frozen=True)
class Database:
    """A migrated database with partitions for FIXED_DAY and for today, each with the days around it."""

    server: local_postgres.Postgres
    name: str

    @property
    def owner(self) -> str:
        """The owner's connection string."""
        return self.server.dsn(dbname=self.name)

    def dsn(self, user: str) -> str:
        """The connection string of one of `migrations.USERS`."""
        return self.server.dsn(user, PASSWORDS[user], self.name)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_postgres.Postgres]:
    """A PostgreSQL server, and its superuser's connection strings."""
    folder = tmp_path_factory.mktemp("postgres")
    try:
        with local_postgres.running(folder) as server:
            yield server
    finally:
        local_postgres.discard(folder)


@pytest.fixture(scope="session")
def template(postgres: local_postgres.Postgres) -> str:
    """The name of a migrated database to copy: that is faster than migrating for each test."""
    _execute(postgres, sql.SQL("create database {}").format(sql.Identifier(_TEMPLATE)))
    with psycopg.connect(postgres.dsn(dbname=_TEMPLATE)) as connection:
        migrations.migrate(connection, PASSWORDS)
        for middle in (FIXED_DAY, datetime.now(UTC).date()):
            partitions.ensure(connection, middle - timedelta(days=1), 3)
    return _TEMPLATE


@pytest.fixture
def database(postgres: local_postgres.Postgres, template: str) -> Iterator[Database]:
    """A prediction store of one's own, without rows."""
    name = f"vigil_{next(_numbers)}"
    identifier = sql.Identifier(name)
    _execute(postgres, sql.SQL("create database {} template {}").format(identifier, sql.Identifier(template)))
    with psycopg.connect(postgres.dsn(dbname=name)) as connection:
        migrations.migrate(connection, {})  # a copy has the tables' rights, but not the database's own
    yield Database(postgres, name)
    _execute(postgres, sql.SQL("drop database {} with (force)").format(identifier))


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The owner's connection to `database`."""
    with psycopg.connect(database.owner) as connection:
        yield connection


@pytest.fixture
def empty_database(postgres: local_postgres.Postgres) -> Iterator[str]:
    """The owner's connection string of a database in which nothing was done yet."""
    name = f"vigil_{next(_numbers)}"
    _execute(postgres, sql.SQL("create database {}").format(sql.Identifier(name)))
    yield postgres.dsn(dbname=name)
    _execute(postgres, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, trained on generated events."""
    folder = tmp_path_factory.mktemp("models") / "small"
    data = datasets.from_frame(synthesize.plain(4_000, seed=1, end=datetime(2026, 3, 1, tzinfo=UTC)))
    trained = train.train(data, train.TrainOptions(trees=train.TreeOptions(leaves=7, trees=60)))
    model_folder.write(trained, folder)
    return folder


def _execute(server: local_postgres.Postgres, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)
