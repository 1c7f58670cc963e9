"""What can go wrong in training, and the exit code that each kind has.

    TrainingError           anything below
    ├── DataError           (3)  a data file that can't be read, or that holds values which can't be used
    ├── NotEnoughDataError  (4)  too few rows, or too few of one class, to train or to measure
    ├── ArtifactError       (5)  a model folder or a Bento that is missing, foreign, damaged or could not be made
    ├── GatesError          (6)  a model that failed a gate which every model must pass
    └── StoreError          (9)  a prediction store that does not answer, or refuses

Every message says what was wrong, where, and what to do.
"""

from typing import ClassVar


class TrainingError(Exception):
    """An expected failure; its text is the whole message for the person at the terminal."""

    exit_code: ClassVar[int] = 1


class DataError(TrainingError):
    """A data file can't be read or holds values that can't be used."""

    exit_code = 3


class NotEnoughDataError(TrainingError):
    """The data can't carry what was asked of it: too few rows, or too few of one class."""

    exit_code = 4


class ArtifactError(TrainingError):
    """A model folder or a Bento is missing, foreign or damaged, or could not be made."""

    exit_code = 5


class GatesError(TrainingError):
    """A model failed a gate that every model must pass."""

    exit_code = 6


class StoreError(TrainingError):
    """The prediction store does not answer, or refuses what was asked of it."""

    exit_code = 9
