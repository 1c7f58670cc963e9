"""evaluation.json: what an evaluation measured, for people, for gates and for the watch after a promotion.

Shares and probabilities are within [0, 1], costs in the account's currency. Intervals are percentile intervals (95 %)
over paired resamples of whole entities.
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
    low: float
    high: float


class CurvePoint(_Part):
    """The best precision that the scores reach at this recall or a higher one, with its interval."""

    recall: float
    precision: float
    low: float
    high: float


class LiftBin(_Part):
    """A tenth of the rows, by score: how much richer in positives it is than the whole, and what is caught so far."""

    upto: float = Field(description="Share of the rows with the highest scores, up to and with this bin.")
    lift: Interval = Field(description="Share of positives in this bin over the base rate.")
    caught: float = Field(description="Share of all positives up to and with this bin.")


class CostPoint(_Part):
    """What the decisions would cost if review began at another score and block stayed where it is."""

    review_from: float
    cost_per_1000: float
    low: float
    high: float
    review_share: float


class AtCapacity(_Part):
    """What so many reviews would find if they went to the highest scores."""

    share: float = Field(description="Share of the events that are reviewed.")
    precision: Interval = Field(description="Share of positives among them.")
    recall: Interval = Field(description="Share of all positives that are among them.")


class Metrics(_Part):
    """What one model's scores are worth on the test rows. Flagged: reviewed or blocked."""

    pr_auc: Interval = Field(description="Average precision: the area under precision over recall.")
    roc_auc: float
    recall_at_precision: dict[str, Interval] = Field(
        description="By precision: the largest recall that keeps it; 0 when no threshold reaches it."
    )
    at_capacity: AtCapacity
    brier: Interval = Field(description="Mean squared difference between score and label.")
    calibration_error: Interval = Field(
        description="Mean distance between score and share of positives over 10 bins of equal mass, weighted by rows. "
        "Resampling adds noise to every distance, so the interval lies high."
    )
    recall: Interval = Field(description="Share of the positives that the policy flags.")
    precision: Interval = Field(description="Share of positives among what the policy flags; 0 when it flags nothing.")
    false_positive_share: Interval = Field(description="Share of the negatives that the policy flags.")
    cost_per_1000: Interval = Field(description="Cost of the policy's decisions per 1000 events.")
    decisions: dict[str, float] = Field(description="Share of the events that each decision gets.")
    curve: tuple[CurvePoint, ...]
    calibration: tuple[CalibrationBin, ...]
    lift: tuple[LiftBin, ...]
    cost_curve: tuple[CostPoint, ...]


class Slice(_Part):
    """The model on a part of the tested rows. Figures are null where a class is too rare to have them."""

    field: str
    band: str
    rows: int
    positives: int
    flagged: float = Field(description="Share of the rows that the policy flags.")
    pr_auc: Interval | None
    recall: Interval | None
    false_positive_share: Interval | None
    calibration_gap: float = Field(description="Mean score minus share of positives.")
    cost_per_1000: float


class Floor(_Part):
    """A limit on how far one slice may fall behind the whole."""

    field: str
    band: str
    figure: Literal["recall", "false_positive_share"]
    value: Interval | None
    limit: float = Field(description="Smallest recall, or largest false-positive share, that holds the floor.")
    held: bool | None = Field(description="Null: the slice has too few rows of the class to tell.")
    clear: bool = Field(description="A floor that did not hold even at the friendlier end of its interval.")


class Gate(_Part):
    """One condition on a model: its verdict, the numbers that it follows from, and those in a sentence."""

    name: str
    verdict: Literal["passed", "failed", "not evaluated"]
    detail: str
    numbers: dict[str, float] = Field(default_factory=dict)


class Comparison(_Part):
    """The model against another on the same resamples."""

    pr_auc_difference: Interval = Field(description="Model minus the other.")
    better_share: float = Field(description="Share of the resamples in which the model was better.")
    inferior_share: float = Field(description="Share of the resamples in which it was worse by more than .01.")
    cost_difference: Interval = Field(description="Cost per 1000 events: model minus the other.")


class ThresholdChoice(_Part):
    """How the thresholds were found on the calibration part. 'Unlimited' is what costs alone would have chosen."""

    bound_by: Literal["costs", "review capacity"]
    review_share: float
    review_share_unlimited: float
    expected_cost_per_1000: float = Field(description="By the calibrated probabilities.")
    expected_cost_per_1000_unlimited: float
    observed_cost_per_1000: float = Field(description="By the labels: near the expected one if calibration is right.")


class Tried(_Part):
    """A candidate of the search for hyper-parameters, and its log loss on the newest rows of the training part."""

    leaves: int
    learning_rate: float
    rows_per_leaf: int
    l2: float
    trees: int
    log_loss: float


class Training(_Part):
    """What training chose, and why."""

    thresholds: ThresholdChoice
    trees: int
    leaves: int
    learning_rate: float
    rows_per_leaf: int
    l2: float
    monotone: dict[str, int] = Field(description="Fields along which the score may only rise (1) or fall (-1).")
    search: tuple[Tried, ...] = Field(description="Candidates in the order of their trial; empty without a search.")


class Evaluation(_Part):
    """evaluation.json.

    `split`, `baseline`, `comparison` and `training` are null when a finished model met a file of its own.
    """

    format: int = Field(default=2, ge=2, le=2)
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
    slices: tuple[Slice, ...] = ()
    floors: tuple[Floor, ...] = ()
    training: Training | None = None
    gates: tuple[Gate, ...] = ()
    forced: bool = Field(default=False, description="A person shipped the model although a gate had failed.")
    notes: tuple[str, ...] = Field(description="What a person should know of how the data was read.")

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if gate.verdict == "failed")
