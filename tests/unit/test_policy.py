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
