"""What comparing a champion with a challenger found, as data: for people, for the rollout and for the exit code."""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitoring.evaluation import Comparison, Gate, Metrics

Verdict = Literal["accepted", "needs approval", "not good enough", "not enough data"]

EXIT_CODES: Final[dict[Verdict, int]] = {
    "accepted": 0,
    "not enough data": 4,
    "not good enough": 7,
    "needs approval": 8,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Contender(_Part):
    """One of the two models, as its own files describe it."""

    tag: str
    learned_until: datetime | None = Field(description="Time of the newest row that it learned from; null: not known.")
    trained_rows: int
    columns: tuple[str, ...]
    booster_bytes: int
    review_from: float
    block_from: float


class Rows(_Part):
    """The labelled rows: what was given, and what became of it."""

    given: int
    seen: int = Field(description="Dropped: not newer than all that both models learned from.")
    older: int = Field(description="Dropped: newer rows were enough.")
    refused: int = Field(description="Dropped: one of the models refuses such an event.")
    compared: int
    positives: int
    first: str | None
    last: str | None
    vouched: bool = Field(description="A person vouched that neither model learned from them; nobody could check.")


class Estimate(_Part):
    """A mean and its standard error."""

    value: float
    se: float


class Change(_Part):
    """How the challenger's answers differ from the champion's. Flips and differences are challenger minus champion."""

    n: int
    net_flips: Estimate = Field(description="Mean of (challenger flags) - (champion flags).")
    flips: float = Field(description="Share where exactly one of the two flags.")
    score_difference: Estimate
    champion_flagged: float
    challenger_flagged: float
    flagged_ratio: float | None = Field(description="Challenger's over champion's; null when the champion flags none.")


class Prediction(_Part):
    """The expected live difference, from inputs that were logged.

    `by_entity` counts one event an entity, its first, as the shadow counts: it is what the shadow gate is centred on.
    `by_event` counts every event, with standard errors by entity: it is what customers and reviewers would notice.
    """

    inputs: int
    first: datetime | None
    last: datetime | None
    champion_refused: int
    challenger_refused: int = Field(description="Of those that the champion answered.")
    by_entity: Change
    by_event: Change


class ModelComparison(_Part):
    """The whole comparison. `verdict` follows from the gates and from `approvals`, by `compare.judged`."""

    format: int = Field(default=1, ge=1, le=1)
    made_at: datetime
    mode: Literal["non-inferior", "better"]
    champion: Contender
    challenger: Contender
    rows: Rows
    resamples: int
    champion_metrics: Metrics
    challenger_metrics: Metrics
    comparison: Comparison
    gates: tuple[Gate, ...]
    prediction: Prediction | None = Field(description="Null when no logged inputs were given.")
    approvals: tuple[str, ...] = Field(description="What a person has to approve, each in a sentence.")
    verdict: Verdict
    why: str
