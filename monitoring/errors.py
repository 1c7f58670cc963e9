"""What can go wrong in this package, and the exit code of each.

    MonitoringError        1
    +-- InputError         3  a file that was given can't be used
    +-- NothingError       4  there are no rows to report on
    +-- UnreachableError   5  the database does not answer, or refuses the user
    +-- SchemaError        6  the schema is missing, altered, or newer than this code
    +-- RemainsError       7  rows of an erased entity were found afterwards
    +-- ArtifactsError     8  the artifact store does not give, or does not take, what it should

A command that fails ends with the number beside its error.
"""

from typing import ClassVar


class MonitoringError(Exception):
    """The root of this package's errors. The message says what was wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class InputError(MonitoringError):
    """A file that was given can't be used."""

    exit_code = 3


class NothingError(MonitoringError):
    """There are no rows to report on."""

    exit_code = 4


class UnreachableError(MonitoringError):
    """The database does not answer, or refuses the user."""

    exit_code = 5


class SchemaError(MonitoringError):
    """The schema is missing, altered, or newer than this code."""

    exit_code = 6


class RemainsError(MonitoringError):
    """Rows of an erased entity were found afterwards."""

    exit_code = 7


class ArtifactsError(MonitoringError):
    """The artifact store does not give, or does not take, what it should."""

    exit_code = 8
