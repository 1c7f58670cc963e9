"""evaluation.json: what an evaluation measured, for people, for gates and for the watch after a promotion.

Shares and probabilities are within [0, 1]. Intervals are percentile intervals (95 %) over resamples.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bentos.risk_scorer.policy import Policy


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataPart(_Part):
    """One part of the data: its size and, where events have times, its first and last (RFC 3339, UTC)."""

    rows: int
    positives: int
    first: str | None = None
    last: str | None = None


class Split(_Part):
    """How the data was cut, and its parts."""

    by: Literal["time", "random"]
    train: DataPart
    calibration: DataPart
    test: DataPart


class Interval(_Part):
    """A figure, its 95 % interval and its standard deviation over the resamples."""

    value: float
    low: float
    high: float
    sd: float


class CalibrationBin(_Part):
    """Rows with neighbouring scores: how many, their mean score and the share of positives among them."""

    rows: int
    mean_score: float
    positive_share: float


class CurvePoint(_Part):
    """The best precision that the scores reach at this recall or a higher one."""

    recall: float
    precision: float


class Metrics(_Part):
    """What one model's scores are worth on the test rows."""

    pr_auc: Interval = Field(description="Average precision: the area under precision over recall.")
    roc_auc: float
    recall_at_precision: dict[str, float] = Field(
        description="By precision: the largest recall that keeps it; 0 when no threshold reaches it."
    )
    brier: float = Field(description="Mean squared difference between score and label.")
    calibration_error: float = Field(
        description="Mean distance between score and share of positives over 10 bins of equal mass, weighted by rows."
    )
    cost_per_1000: float = Field(description="Cost of the policy's decisions per 1000 events, in currency.")
    decisions: dict[str, float] = Field(description="Share of the events that each decision gets.")
    curve: tuple[CurvePoint, ...]
    calibration: tuple[CalibrationBin, ...]


class Comparison(_Part):
    """The model against the baseline on the same resamples."""

    pr_auc_difference: Interval = Field(description="Model minus baseline.")
    better_share: float = Field(description="Share of the resamples in which the model was better.")


class Evaluation(_Part):
    """evaluation.json. `split`, `baseline` and `comparison` are null when a finished model met a file of its own."""

    format: int = Field(default=1, ge=1, le=1)
    tested_on: DataPart
    split: Split | None
    entities: int | None = Field(description="Different entities among the tested rows; null without entity ids.")
    base_rate: float = Field(description="Share of positives: the PR-AUC of a model that knows nothing.")
    resampled: Literal["entity", "event"] = Field(description="The unit that the intervals' resamples draw.")
    resamples: int
    policy: Policy
    approve_all_cost_per_1000: float
    model: Metrics
    baseline: Metrics | None
    comparison: Comparison | None
    notes: tuple[str, ...] = Field(description="What a person should know of how the data was read.")
