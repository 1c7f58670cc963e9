"""The scorer: a model with its calibration, policy and reference, checked against its own past before it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from . import model_files
from .boosters import Booster, LibraryBooster, NativeBooster
from .calibration import Calibration
from .errors import ModelError, SelfTestError
from .features import COLUMNS, NAN
from .identity import file_sha256
from .model_files import ModelFile, SelfTest
from .policy import Policy
from .reference import Reference

Content = TypeVar("Content", bound=BaseModel)


@dataclass(frozen=True)
class Scorer:
    """A loaded model. `tag` is its name everywhere; `native` is False when the fallback answers."""

    tag: str
    booster: Booster
    calibration: Calibration
    policy: Policy
    reference: Reference
    native: bool

    probability: Callable[[float], float]
    """`calibration.one`, made for being called often."""

    def score_row(self, row: list[float]) -> float:
        """The calibrated probability for one row of the matrix."""
        return self.probability(self.booster.raw_row(row))

    def score_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, shape (n,), for a matrix of shape (n, len(COLUMNS)): each what `score_row` says of its row."""
        return self.calibration.many(self.booster.raw_matrix(matrix))

    def contributions(self, row: list[float]) -> dict[str, float]:
        """How much each column moved the raw output from its average, in log-odds (TreeSHAP)."""
        return dict(zip(COLUMNS, self.booster.contributions(row), strict=False))


def load(model_dir: Path, tag: str) -> Scorer:
    """The scorer of a model folder.

    Raises ModelError when a file is missing, unreadable, or made for other columns than this code's, and
    SelfTestError when neither way of predicting gives the scores of the self-test to the last bit.
    """
    if not model_dir.is_dir():
        raise ModelError(
            f"no model at {model_dir}: run a Bento made by `python -m training package`, or set SCORER_MODEL_DIR to a "
            "folder made by `python -m training train`"
        )
    model = read(model_dir / model_files.MODEL, ModelFile)
    if model.columns != COLUMNS:
        raise ModelError(
            f"{model_dir / model_files.MODEL}: the model was trained on the columns {', '.join(model.columns)}; "
            f"this code makes {', '.join(COLUMNS)}. Train again, or run the Bento with its own code"
        )
    booster, native = _booster(model_dir / model_files.BOOSTER, model)
    return Scorer(
        tag=tag,
        booster=booster,
        calibration=model.calibration,
        policy=read(model_dir / model_files.POLICY, Policy),
        reference=read(model_dir / model_files.REFERENCE, Reference),
        native=native,
        probability=model.calibration.function(),
    )


def read(path: Path, content: type[Content]) -> Content:
    """A JSON file as its model. Raises ModelError that names the file and what is wrong in it."""
    try:
        return content.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'file'}: {each['msg']}" for each in error.errors()[:5]
        )
        raise ModelError(f"{path}: {problems}") from error


def _booster(path: Path, model: ModelFile) -> tuple[Booster, bool]:
    """The native booster when it passes the self-test, else the library's, and which of them it is."""
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    if file_sha256(path) != model.booster_sha256:
        raise ModelError(f"{path}: not the file that model.json was written with; package the model again")
    ways: tuple[tuple[Callable[[Path], Booster], bool], ...] = ((NativeBooster, True), (LibraryBooster, False))
    problems = []
    for make, native in ways:
        try:
            booster = make(path)
        except (ModelError, OSError, ImportError, AttributeError) as error:
            problems.append(f"{make}: {error}")
            continue
        problem = _self_test_problem(booster, model.calibration, model.self_test)
        if problem is None:
            return booster, native
        problems.append(problem)
    raise SelfTestError(f"{path}: {'; '.join(problems)}. The file was altered, or this LightGBM is not the locked one")


def _self_test_problem(booster: Booster, calibration: Calibration, test: SelfTest) -> str | None:
    """What differs from the scores of training, or None. Single rows and the whole matrix must both agree exactly."""
    rows = [[NAN if value is None else value for value in row] for row in test.rows]
    if any(len(row) != booster.width for row in rows) or booster.width != len(COLUMNS):
        return f"the model has {booster.width} columns, model.json {len(rows[0])}, this code {len(COLUMNS)}"
    together = calibration.many(booster.raw_matrix(np.array(rows))).tolist()
    for number, (row, score, batch) in enumerate(zip(rows, test.scores, together, strict=True), start=1):
        single = calibration.one(booster.raw_row(row))
        if single != score or batch != score:
            return f"self-test row {number} scored {single!r} (alone) and {batch!r} (in a batch), not {score!r}"
    return None
