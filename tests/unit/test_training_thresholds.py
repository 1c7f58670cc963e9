"""Thresholds: the cheapest ones, within what people can review, for losses that grow with the amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.risk_scorer.policy import Costs, Policy
from training import thresholds
from training.thresholds import Kept

FLAT = Costs(missed=100, review=5, false_block=50)
BY_AMOUNT = Costs(missed=5, missed_per_amount=1, review=5, false_block=50)


def kept(rows=5_000, seed=0, amounts=None):
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.3, 6, rows)
    amounts = np.full(rows, 95.0) if amounts is None else amounts(scores, rng)
    return Kept(scores, amounts, (rng.random(rows) < scores).astype(np.int8))


def expected_cost(rows, policy):
    """By the definition, a row at a time."""
    total = 0.0
    for score, amount in zip(rows.scores.tolist(), rows.amounts.tolist(), strict=True):
        total += {
            "approve": score * policy.costs.missed_at(amount),
            "review": policy.costs.review,
            "block": (1 - score) * policy.costs.false_block,
        }[policy.decide(score).value]
    return 1000 * total / len(rows.scores)


@pytest.mark.parametrize("costs", [FLAT, BY_AMOUNT, Costs(missed=100, review=40, false_block=50)])
def test_one_loss_for_all_gives_the_textbooks_thresholds(costs):
    policy, choice = thresholds.choose(kept(), costs)
    textbook = Policy.from_costs(costs, amount=95)
    assert policy.review_from == pytest.approx(textbook.review_from, abs=1e-9)
    assert policy.block_from == pytest.approx(textbook.block_from, abs=1e-9)
    assert choice.bound_by == "costs"
    assert choice.expected_cost_per_1000 == pytest.approx(expected_cost(kept(), policy), abs=1e-6)


def test_where_high_scores_carry_high_amounts_review_begins_earlier():
    rich = kept(amounts=lambda scores, _: 20 + 2_000 * scores)
    poor = kept(amounts=lambda scores, _: 20 + 0 * scores)
    (rich_policy, _), (poor_policy, _) = (thresholds.choose(rows, BY_AMOUNT) for rows in (rich, poor))
    assert rich_policy.review_from < poor_policy.review_from


@given(st.integers(0, 50), st.floats(0.5, 40), st.sampled_from([None, 0.3, 0.1, 0.0]), st.booleans())
def test_no_other_pair_of_thresholds_is_cheaper_within_the_capacity(seed, review, capacity, tied):
    rows = kept(40, seed, lambda scores, rng: rng.lognormal(3, 1.5, len(scores)))
    if tied:
        rows = Kept(np.round(rows.scores, 1), rows.amounts, rows.labels)
    costs = Costs(missed=0, missed_per_amount=2, review=review, false_block=45)
    line = thresholds._Line(rows, costs)
    room = 40 if capacity is None else int(capacity * 40)
    chosen = line.cost_per_1000(line.cheapest(room))
    grid = [0.0, *np.unique(rows.scores).tolist(), 1.0]
    for low in grid:
        for high in (each for each in grid if each >= low):
            policy = Policy(costs=costs, review_from=low, block_from=high)
            if ((rows.scores >= low) & (rows.scores < high)).sum() <= room:
                assert chosen <= expected_cost(rows, policy) + 1e-6


@pytest.mark.parametrize("capacity", [0.2, 0.02, 0.0001])
def test_the_capacity_is_kept_and_it_is_said_that_it_bound(capacity):
    rows = kept()
    free, unlimited = thresholds.choose(rows, BY_AMOUNT)
    policy, choice = thresholds.choose(rows, BY_AMOUNT, capacity)
    reviewed = ((rows.scores >= policy.review_from) & (rows.scores < policy.block_from)).mean()
    assert reviewed <= capacity < unlimited.review_share
    assert (choice.bound_by, choice.review_share) == ("review capacity", pytest.approx(reviewed))
    assert choice.review_share_unlimited == unlimited.review_share
    assert choice.expected_cost_per_1000 > choice.expected_cost_per_1000_unlimited == unlimited.expected_cost_per_1000
    assert (policy.review_capacity, free.review_capacity) == (capacity, None)


def test_a_capacity_that_is_large_enough_binds_nothing():
    policy, choice = thresholds.choose(kept(), BY_AMOUNT, 0.9)
    assert choice.bound_by == "costs"
    assert policy.review_from == thresholds.choose(kept(), BY_AMOUNT)[0].review_from


def test_what_was_expected_is_near_what_the_labels_say_when_scores_are_probabilities():
    _, choice = thresholds.choose(kept(200_000, amounts=lambda s, rng: rng.lognormal(3, 1, len(s))), BY_AMOUNT)
    assert choice.observed_cost_per_1000 == pytest.approx(choice.expected_cost_per_1000, rel=0.03)


def test_where_the_scores_leave_a_gap_a_review_zone_remains_for_what_will_fall_into_it():
    rows = Kept(np.array([0.001] * 90 + [0.99] * 10), np.full(100, 95.0), np.array([0] * 90 + [1] * 10, dtype=np.int8))
    policy, _ = thresholds.choose(rows, FLAT)
    assert (policy.review_from, policy.block_from) == (pytest.approx(0.05), pytest.approx(0.9))
