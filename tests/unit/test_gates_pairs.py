"""The gates on pairs: bets that can't be won on average, and an interval that misses as rarely as it says."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s.rollout.blocks import PairSums
from k8s.rollout.paired import Flips, Scores, flips_above, flips_below, more_flips, more_scores, score_interval

shares = st.floats(0, 0.5)
bounds = st.floats(-0.3, 0.3)


def sums(differences: np.ndarray) -> PairSums:
    return PairSums(len(differences), 0, 0, float(differences.sum()), float((differences**2).sum()))


@settings(deadline=None)
@given(shares, shares, st.floats(0, 0.3))
def test_one_pair_wins_no_bet_on_average_when_the_share_is_within_its_bound(
    up: float, down: float, less: float
) -> None:
    bound = up - down + less
    factors = {
        1: exp(flips_above(Flips(1, 1, 0), bound)),
        -1: exp(flips_above(Flips(1, 0, 1), bound)),
        0: exp(flips_above(Flips(1, 0, 0), bound)),
    }
    assert up * factors[1] + down * factors[-1] + (1 - up - down) * factors[0] <= 1 + 1e-9


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6), bounds)
def test_both_directions_are_mirror_images_and_finite(same: int, up: int, down: int, bound: float) -> None:
    flips, mirrored = Flips(same + up + down, up, down), Flips(same + up + down, down, up)
    assert flips_above(flips, bound) == pytest.approx(flips_below(mirrored, -bound))
    assert flips_above(flips, bound) == flips_above(flips, bound)


@settings(deadline=None)
@given(st.integers(1, 10**5), st.integers(0, 100), st.integers(0, 100), bounds)
def test_a_flip_more_is_evidence_for_its_own_direction(pairs: int, up: int, down: int, bound: float) -> None:
    flips = Flips(pairs + up + down + 1, up, down)
    more = Flips(flips.pairs, up + 1, down)
    assert flips_above(more, bound) >= flips_above(flips, bound) - 1e-9
    assert flips_below(more, bound) <= flips_below(flips, bound) + 1e-9


def test_blocks_without_pairs_change_nothing() -> None:
    assert more_scores(Scores(), PairSums(), 0.01) == Scores()
    assert more_flips(Flips(), PairSums()) == Flips()
    assert score_interval(Scores(), 0.01) == (-float("inf"), float("inf"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(-1, 1)), min_size=1, max_size=30))
def test_the_interval_holds_the_weighted_mean_and_shrinks_with_a_larger_error(blocks: list[tuple[int, float]]) -> None:
    scores = Scores()
    for count, value in blocks:
        scores = more_scores(scores, sums(np.full(count, value)), 0.01)
    low, high = score_interval(scores, 0.001)
    inner_low, inner_high = score_interval(scores, 0.1)
    assert low < inner_low < inner_high < high
    assert scores.spread >= 0


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.integers(1, 200))
def test_the_score_bet_is_not_won_on_average(one: float, other: float, share: float, before: float, seen: int) -> None:
    """Of any distribution on two points of [-1, 1], at its own mean, whatever came before."""
    start = more_scores(Scores(), sums(np.full(seen, before)), 0.01)
    mean, total = share * one + (1 - share) * other, 0.0
    for value, probability in ((one, share), (other, 1 - share)):
        after = more_scores(start, sums(np.array([value])), 0.01)
        bet = after.weight - start.weight
        total += probability * exp(after.weighted - start.weighted - bet * mean - (after.spread - start.spread))
    assert total <= 1 + 1e-9


@pytest.mark.parametrize("draw", ["normal", "rare", "wide"])
def test_the_interval_misses_the_truth_at_any_time_as_rarely_as_it_says(draw: str) -> None:
    random = np.random.default_rng(7)
    missed = 0
    for _ in range(300):
        scores, outside = Scores(), False
        for _ in range(60):
            count = int(random.integers(1, 60))
            if draw == "normal":
                values = random.normal(0.01, 0.05, count)
            elif draw == "rare":
                values = np.where(random.random(count) < 0.01, 1.0, 0.0)
            else:
                values = random.choice([-1.0, 1.0], count) * 0.99 + 0.01
            scores = more_scores(scores, sums(values), 0.1)
            low, high = score_interval(scores, 0.05)
            outside |= not low <= 0.01 <= high
        missed += outside
    assert missed <= 45


def test_the_interval_is_about_as_short_as_the_central_limit_allows() -> None:
    random, scores = np.random.default_rng(8), Scores()
    for _ in range(40):
        scores = more_scores(scores, sums(random.normal(0, 0.05, 500)), 0.01)
    low, high = score_interval(scores, 0.0025)
    fixed = 2 * 2.807 * 0.05 / 20_000**0.5
    assert fixed < high - low < 3 * fixed


def test_evidence_grows_with_the_margin_that_is_to_be_shown() -> None:
    flips = Flips(20_000, 400, 400)
    assert flips_below(flips, 0.01) > flips_below(flips, 0.005) > log(1)
