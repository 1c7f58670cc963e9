"""Sessions with the prediction store, whose failures are this package's errors."""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import errors

from .errors import SchemaError, UnreachableError
from .migrations import Connection

CONNECT_SECONDS: Final = 10
"""How long to wait for a database that does not answer: longer than a restart of a small one."""


@contextlib.contextmanager
def session(dsn: str, source: str = "MONITORING_DSN") -> Iterator[Connection]:
    """A connection, committed and closed at the end. Raises UnreachableError, SchemaError, which name the `source`."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, application_name="vigil monitoring") as connection:
            yield connection
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedObject) as error:
        raise SchemaError(f"{_text(error)}: run `python -m monitoring migrate` as the owner first") from error
    except errors.InsufficientPrivilege as error:
        raise SchemaError(f"{_text(error)}: the user in {source} has no right to do that") from error
    except psycopg.OperationalError as error:
        raise UnreachableError(f"no session with the database in {source}: {_text(error)}") from error


def _text(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip()
