"""What a command finds in its environment: the settings, and a session with the store that they name."""

from contextlib import AbstractContextManager

import click
from pydantic import ValidationError

from .database import session
from .migrations import Connection
from .settings import Settings


def settings() -> Settings:
    """The settings. Raises click's UsageError, which names every variable that is missing or wrong."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"MONITORING_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        raise click.UsageError(f"the environment lacks something: {problems} (see --help)") from error


def store_session() -> AbstractContextManager[Connection]:
    """A session with the store."""
    return session(settings().dsn.get_secret_value())
