"""A connection to the prediction store that never makes a tick wait for long, and comes back by itself.

Three limits, as each catches what the others can't: the server ends a statement that takes too long; connecting has
a timeout; and a watchdog shuts the socket of a transaction that is not over in time, because a server that was
suspended, or that a network has swallowed, enforces nothing and says nothing.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg

from monitoring.migrations import Connection

_LIMITS: Final = """
    select set_config('statement_timeout', %(statement)s, true), set_config('lock_timeout', %(statement)s, true),
        set_config('idle_in_transaction_session_timeout', %(transaction)s, true), set_config('timezone', 'UTC', true)"""


class StoreAwayError(Exception):
    """The prediction store can't be reached, takes too long, or refuses. The message says which, never the DSN."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds."""

    connect: int = 3
    """For a connection; the library's smallest is 2."""
    statement: float = 5.0
    """For one statement, which the server then ends."""
    transaction: float = 10.0
    """For all of a transaction; then the connection is given up."""


class StoreSession:
    """Transactions on one connection, which is opened when it is needed and again when it was lost."""

    def __init__(self, dsn: str, patience: Patience | None = None) -> None:
        self._dsn, self._patience = dsn, patience or Patience()
        self._connection: Connection | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any error. Raises StoreAwayError for psycopg's errors."""
        try:
            connection = self._open()
            with self._watchdog(connection), connection.transaction():
                connection.execute(_LIMITS, self._limits())
                yield connection
        except psycopg.Error as error:
            self.close()
            raise StoreAwayError(_words(error)) from error

    def close(self) -> None:
        """Gives the connection up; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):  # it is given up either way
                connection.close()

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=self._patience.connect,
                application_name="vigil rollout",
                # Plans are made for the values of each call: a prepared one would be made for any block of any day.
                prepare_threshold=None,
            )
        return self._connection

    def _limits(self) -> dict[str, str]:
        patience = self._patience
        return {"statement": f"{patience.statement * 1000:.0f}", "transaction": f"{patience.transaction * 1000:.0f}"}

    @contextlib.contextmanager
    def _watchdog(self, connection: Connection) -> Iterator[None]:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            timer = threading.Timer(self._patience.transaction, _shut, [line])
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        line.shutdown(socket.SHUT_RDWR)


def _words(error: psycopg.Error) -> str:
    """What was wrong, in one line."""
    text = (error.diag.message_primary or str(error)).strip().splitlines()
    words = text[0] if text else type(error).__name__
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InsufficientPrivilege):
        return f"{words}: run `python -m monitoring migrate` as the owner"
    return words
