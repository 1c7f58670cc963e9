"""What can go wrong in the cluster's demo, and the exit code of each kind.

DemoError              exit code
+-- BrokenPromiseError 1   a rollout did not end as it must, or a request failed that must not
+-- CommandError       5   the cluster refuses, does not answer, or lacks a part of Vigil
"""

from typing import ClassVar


class DemoError(Exception):
    """The root of this package's errors."""

    exit_code: ClassVar[int] = 1


class BrokenPromiseError(DemoError):
    """A rollout did not end as it must, or a request failed that must not."""


class CommandError(DemoError):
    """The cluster refuses, does not answer, or lacks a part of Vigil."""

    exit_code = 5
