import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.risk_scorer.policy import Costs, Decision, Policy

cost = st.floats(0.01, 1e6)


@given(cost, cost, cost, st.floats(0, 1))
def test_each_decision_is_the_cheapest_in_expectation(
    missed: float, review: float, false_block: float, score: float
) -> None:
    policy = Policy.from_costs(Costs(missed=missed, review=review, false_block=false_block))
    price = {
        Decision.APPROVE: score * missed,
        Decision.REVIEW: review,
        Decision.BLOCK: (1 - score) * false_block,
    }
    assert price[policy.decide(score)] <= min(price.values()) * (1 + 1e-9) + 1e-9


def test_a_threshold_belongs_to_the_stricter_decision() -> None:
    policy = Policy(costs=Costs(missed=100, review=4, false_block=20), review_from=0.04, block_from=0.8)
    assert [policy.decide(score) for score in (0.0, 0.04, 0.8)] == list(Decision)


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"review_from 0\.9 is above block_from 0\.8"):
        Policy(costs=Costs(missed=1, review=1, false_block=1), review_from=0.9, block_from=0.8)


def test_a_loss_may_grow_with_the_amount() -> None:
    costs = Costs(missed=10, missed_per_amount=0.5, review=5, false_block=50)
    assert costs.missed_at(80) == 50
    assert Policy.from_costs(costs, amount=80).review_from == 0.1
    assert Policy.from_costs(costs, amount=80).review_capacity is None


def test_a_missed_fraud_that_costs_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="a missed fraud costs nothing"):
        Costs(missed=0, review=1, false_block=1)
    with pytest.raises(ValueError, match="amount 0 costs nothing"):
        Policy.from_costs(Costs(missed=0, missed_per_amount=1, review=1, false_block=1))


def test_a_policy_of_before_amounts_still_reads() -> None:
    old = '{"format":1,"costs":{"missed":9,"review":1,"false_block":5},"review_from":0.1,"block_from":0.8}'
    assert Policy.model_validate_json(old).costs.missed_at(1_000) == 9
