"""Score to decision: approve, review or block, each where it is the cheapest in expectation.

With p the probability of fraud, approving costs p times the loss of a missed case, reviewing costs its price whatever
p is, and blocking costs (1 - p) times the price of turning a good customer away. So review is cheapest between
p = review / missed and p = 1 - review / false_block (Elkan, 2001, cost-sensitive decisions on calibrated scores).

The loss may grow with the amount, and reviews may be scarce. The thresholds stay thresholds on the score: training
finds the ones with the smallest expected cost over events that it kept for that (`training/thresholds.py`).
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Decision(StrEnum):
    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"


class Costs(BaseModel):
    """What each outcome costs, in the account's currency.

    A missed fraud costs `missed + missed_per_amount * amount`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    missed: float = Field(ge=0, description="Loss of a fraud that was approved, whatever its amount.")
    missed_per_amount: float = Field(default=0, ge=0, description="Loss of an approved fraud for each unit of amount.")
    review: float = Field(gt=0, description="Price of one review by a person.")
    false_block: float = Field(gt=0, description="Price of blocking a good customer.")

    @model_validator(mode="after")
    def _missing_costs_something(self) -> Self:
        if self.missed == self.missed_per_amount == 0:
            raise ValueError("a missed fraud costs nothing: give missed or missed_per_amount")
        return self

    def missed_at(self, amount: float) -> float:
        """The loss of an approved fraud of that amount."""
        return self.missed + self.missed_per_amount * amount


class Policy(BaseModel):
    """The thresholds on the score, and the costs that they follow from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(default=1, ge=1, le=1)
    costs: Costs
    review_from: float = Field(ge=0, le=1, description="Smallest score that is reviewed.")
    block_from: float = Field(ge=0, le=1, description="Smallest score that is blocked.")
    review_capacity: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Largest share of the events that people can review, which the thresholds respect; null: no limit.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.review_from > self.block_from:
            raise ValueError(f"review_from {self.review_from} is above block_from {self.block_from}")
        return self

    @classmethod
    def from_costs(cls, costs: Costs, amount: float = 0.0) -> Self:
        """The thresholds at which two neighbouring decisions cost the same for an event of that amount.

        Where a review never pays, they meet. Raises ValueError where a missed fraud of that amount costs nothing.
        """
        missed = costs.missed_at(amount)
        if missed <= 0:
            raise ValueError(f"a missed fraud of amount {amount:g} costs nothing: give an amount")
        review_from = costs.review / missed
        block_from = 1 - costs.review / costs.false_block
        if review_from >= block_from:
            review_from = block_from = costs.false_block / (costs.false_block + missed)
        return cls(costs=costs, review_from=review_from, block_from=block_from)

    def decide(self, score: float) -> Decision:
        """The decision for a calibrated probability."""
        if score >= self.block_from:
            return Decision.BLOCK
        return Decision.REVIEW if score >= self.review_from else Decision.APPROVE
