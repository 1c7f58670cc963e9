"""The files that make a model: what training writes into a model folder and the scorer reads from it.

model.txt         LightGBM's own text format
model.json        `ModelFile`: columns, calibration, self-test, what it was trained on
policy.json       `policy.Policy`
reference.json    `reference.Reference`
evaluation.json   what the evaluation measured, for people, gates and the day's watch
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from .calibration import Calibration

BOOSTER: Final = "model.txt"
MODEL: Final = "model.json"
POLICY: Final = "policy.json"
REFERENCE: Final = "reference.json"
EVALUATION: Final = "evaluation.json"
FILES: Final = (BOOSTER, MODEL, POLICY, REFERENCE, EVALUATION)


class SelfTest(BaseModel):
    """Rows of the matrix (null where missing) and the scores that they had in training, to be met to the last bit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: tuple[tuple[float | None, ...], ...] = Field(min_length=1)
    scores: tuple[float, ...] = Field(min_length=1)


class TrainingData(BaseModel):
    """The fingerprint of what a model was trained on. Times are RFC 3339 in UTC, null when the data had none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    rows: int
    positives: int
    first: str | None
    last: str | None


class ModelFile(BaseModel):
    """model.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(default=1, ge=1, le=1)
    booster_sha256: str = Field(description="SHA-256 of model.txt: LightGBM's parser may crash on an altered file.")
    columns: tuple[str, ...]
    calibration: Calibration
    self_test: SelfTest
    trained_on: TrainingData
    lock_sha256: str
