"""The bets of the harm gates: none can be won on average while the candidate is no worse."""

from math import comb, exp

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from k8s.rollout import crash, enough, harm
from k8s.rollout.blocks import Affected, Arm
from k8s.rollout.harm import CANARY_GATES, ERRORS, OVER_SLO, Side
from k8s.rollout.plan import STEPS

exposures = st.floats(1, 1e6)
gates = st.sampled_from(CANARY_GATES)
counts = st.integers(0, 500)


def expected(bets: harm.Bets, events: int, share: float, here: float, other: float, ratio: float) -> float:
    """Of the e-value after one block, given so many events, when each is the suspect's with probability `share`."""
    return sum(
        comb(events, hits)
        * share**hits
        * (1 - share) ** (events - hits)
        * harm.evidence(harm.after(bets.start, bets, Side(hits, here), Side(events - hits, other), ratio))
        for hits in range(events + 1)
    )


@settings(deadline=None)
@given(gates, st.integers(1, 40), exposures, exposures, st.floats(1.25, 3), st.floats(0, 1))
@example(ERRORS, 40, 1000.0, 19_000.0, 1.25, 1.0)
def test_no_bet_is_won_on_average_when_the_candidate_is_no_worse(
    bets: harm.Bets, events: int, here: float, other: float, ratio: float, how_good: float
) -> None:
    most = ratio * here / (ratio * here + other)
    assert expected(bets, events, most * how_good, here, other, ratio) <= 1 + 1e-9


@settings(deadline=None)
@given(gates, counts, counts, exposures, exposures)
def test_one_more_event_of_the_candidate_is_more_evidence_and_one_more_of_stable_is_less(
    bets: harm.Bets, here: int, there: int, exposure: float, other: float
) -> None:
    def evidence(hits: int, others: int) -> float:
        return harm.evidence(harm.after(bets.start, bets, Side(hits, exposure), Side(others, other), 1.25))

    assert evidence(here + 1, there) >= evidence(here, there) * (1 - 1e-9)
    if here + there:
        assert evidence(here, there + 1) <= evidence(here, there) * (1 + 1e-9)


@settings(deadline=None)
@given(gates, st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=50))
def test_wealth_stays_finite_and_not_negative_whatever_the_counts(
    bets: harm.Bets, blocks: list[tuple[int, int]]
) -> None:
    wealth = bets.start
    for here, there in blocks:
        wealth = harm.after(wealth, bets, Side(here, 1 + here), Side(there, 1 + there), 1.25)
        assert all(0 <= part <= harm.MOST for part in wealth)


@pytest.mark.parametrize("sides", [(Side(0, 10), Side(0, 90)), (Side(3, 0), Side(5, 90)), (Side(3, 10), Side(5, 0))])
def test_a_block_that_can_say_nothing_changes_nothing(sides: tuple[Side, Side]) -> None:
    assert harm.after(ERRORS.start, ERRORS, *sides, 1.25) is ERRORS.start


def test_what_hits_both_arms_is_no_evidence() -> None:
    wealth = OVER_SLO.start
    for _ in range(20):
        wealth = harm.after(wealth, OVER_SLO, Side(300, 1000), Side(5700, 19_000), 1.25)
    assert harm.evidence(wealth) < 1


def test_likelihood_ratios_are_capped_and_share_bets_are_not() -> None:
    wealth = harm.after(OVER_SLO.start, OVER_SLO, Side(1000, 1000), Side(0, 19_000), 1.25)
    assert harm.evidence(wealth) == pytest.approx(0.5 + 0.5 * exp(1))
    errors = harm.after(ERRORS.start, ERRORS, Side(1000, 1000), Side(0, 19_000), 1.25)
    assert harm.evidence(errors) > harm.evidence(wealth)


def test_half_of_the_money_is_kept_for_harm_that_begins_late() -> None:
    wealth = ERRORS.start
    for _ in range(60):
        wealth = harm.after(wealth, ERRORS, Side(0, 1000), Side(40, 19_000), 1.25)
    assert wealth[0] == pytest.approx(1 - 0.5 - 59 * 0.5 / 120)
    for _ in range(80):
        wealth = harm.after(wealth, ERRORS, Side(0, 1000), Side(40, 19_000), 1.25)
    assert wealth[0] == pytest.approx(0, abs=1e-12)


def test_the_noise_floor_raises_what_is_called_harm_least_at_large_shares() -> None:
    assert harm.theta(0, 0.05) == pytest.approx(1.25)
    assert harm.theta(0.3, 0.05) == pytest.approx(exp(0.75))
    assert harm.theta(0.3, 0.01) == harm.theta(0.3, 0.05) > harm.theta(0.3, 0.25) > harm.theta(0.3, 0.5)


def test_the_gates_weights_add_up_to_one_e_value() -> None:
    assert sum(bets.weight for bets in CANARY_GATES) == pytest.approx(1)
    assert sum(harm.together(CANARY_GATES, [bets.start for bets in CANARY_GATES])) == pytest.approx(1)


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0.0005, 0.2), st.floats(0.001, 0.2))
def test_a_harm_of_the_steps_size_is_excluded_wrongly_with_probability_beta_at_most(
    exposure: int, rate: float, rise: float
) -> None:
    """The likelihood ratio is 1 on average when the candidate's rate is worse by just so much (Poisson)."""
    step = STEPS[2].model_copy(update={"flagged": rise})
    margin = enough.margin("flagged", step, rate)
    mean = exposure * (rate + margin)
    probability, total = exp(-mean), 0.0
    for events in range(int(mean + 30 * (mean + 1) ** 0.5) + 60):
        stable = (1e9 * rate, 1e9)
        block = ((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (events, exposure, *stable))
        shown = enough.after(enough.Shown(), 0, step, block, (0.001, 0.01, rate))
        total += probability * exp(shown.logs[2])
        probability *= mean / (events + 1)
    assert total == pytest.approx(1, rel=1e-3)


def test_the_margin_of_errors_does_not_grow_with_a_sick_stable() -> None:
    assert enough.margin("errors", STEPS[2], 0.3) == pytest.approx(0.01)
    assert enough.margin("errors", STEPS[2], 0.001) == pytest.approx(0.002)
    assert enough.margin("flagged", STEPS[2], 0.3) == pytest.approx(0.15)


def test_each_step_shows_anew() -> None:
    block = ((0.0, 500.0, 1.0, 500.0),) * 3
    first = enough.after(enough.Shown(), 0, STEPS[0], block, (0.001, 0.01, 0.02))
    assert enough.after(first, 1, STEPS[1], block, (0.001, 0.01, 0.02)).blocks == 1
    again = enough.after(first, 0, STEPS[0], block, (0.001, 0.01, 0.02))
    assert again.blocks == 2
    assert again.units == (1000, 1000, 1000)


@settings(deadline=None)
@given(st.sampled_from(enough.SHOWN), st.sampled_from(STEPS), st.floats(1e-6, 1))
def test_the_time_to_go_is_always_positive(name: str, step: object, rate: float) -> None:
    assert enough.pace(name, step, rate) > 0


def arm(requests: int, errors: int, new: int) -> Arm:
    return Arm(requests, errors, errors_affected=Affected(new, requests))


def test_one_large_block_of_failures_is_a_crash_and_small_ones_need_two() -> None:
    watch, why = crash.after(crash.CrashWatch(), arm(25, 20, 18), 0.001)
    assert "20 of 25" in why
    watch, why = crash.after(crash.CrashWatch(), arm(8, 5, 4), 0.001)
    assert why == ""
    assert crash.after(watch, arm(8, 5, 4), 0.001)[1]


@pytest.mark.parametrize(
    ("block", "stable_errors"),
    [
        (arm(4, 4, 4), 0.0),
        (arm(100, 49, 40), 0.0),
        (arm(100, 100, 1), 0.0),
        (arm(100, 100, 90), 0.11),
        (arm(100, 100, 90), None),
        (arm(0, 0, 0), 0.0),
    ],
)
def test_few_requests_one_client_a_sick_or_unknown_stable_are_no_crash(block: Arm, stable_errors: float | None) -> None:
    watch = crash.CrashWatch()
    for _ in range(3):
        watch, why = crash.after(watch, block, stable_errors)
        if block.errors_affected.new == 1:
            block = arm(block.requests, block.errors, 0)
        assert why == ""
