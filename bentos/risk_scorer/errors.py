"""What can go wrong before the first answer.

    ScorerError             a start that can't be; `exit_code` is the process's
    ├── DsnError       (2)  SCORER_LOG_DSN is no connection string
    ├── ModelError     (3)  a file of the model is missing, unreadable or contradicts another
    ├── LockError      (4)  the Bento was locked for another environment than this one
    ├── SelfTestError  (5)  the model does not give the scores that it had in training
    ├── PortError      (6)  the port can't be listened on
    └── SpoolError     (7)  another process keeps its rows in the spool's folder

A request never raises one of these: what is wrong with a request is a `problems.Problem`.
"""


class ScorerError(Exception):
    """A start that can't be. The message says what, where and what to do."""

    exit_code = 1


class DsnError(ScorerError):
    exit_code = 2


class ModelError(ScorerError):
    exit_code = 3


class LockError(ScorerError):
    exit_code = 4


class SelfTestError(ScorerError):
    exit_code = 5


class PortError(ScorerError):
    exit_code = 6


class SpoolError(ScorerError):
    exit_code = 7
