"""What is said of a plan before anybody starts it."""

from dataclasses import replace

import pytest

from k8s.rollout.forecast import forecast
from k8s.rollout.plan import CanaryPlan, LabelPlan, Plan, ShadowPlan
from k8s.rollout.simulation import Pairs, Traffic, run_plan, run_shadow

PLAN = Plan()


def test_at_50_a_second_a_good_candidate_takes_the_shortest_time_and_regressions_are_seen() -> None:
    found = forecast(PLAN, 50, streams=40)
    assert found.promoted >= 0.97
    assert found.canary is not None
    assert found.canary.median == PLAN.canary.min_blocks
    assert found.shadow is not None
    assert 15_000 < (found.shadow.entities or 0) < 35_000
    seen = {each.name: each for each in found.regressions}
    assert seen["errors 0.10% -> 5.10%"].rolled_back == 1
    assert (seen["errors 0.10% -> 5.10%"].blocks or 99) < (seen["errors 0.10% -> 1.10%"].blocks or 0)
    assert found.notes == ()


def test_slow_traffic_and_few_entities_are_warned_of() -> None:
    notes = " ".join(forecast(PLAN, 5, entities=2000, streams=20).notes)
    assert "begin at 25 %" in notes
    assert "entities may be too few" in notes


def test_the_same_seed_says_the_same() -> None:
    assert forecast(PLAN, 20, streams=10, seed=3) == forecast(PLAN, 20, streams=10, seed=3)
    assert forecast(PLAN, 20, streams=10, seed=3) != forecast(PLAN, 20, streams=10, seed=4)


def test_a_plan_without_shadow_and_with_a_compressed_block_has_a_forecast_too() -> None:
    fast = Plan(shadow=None, block_seconds=1, canary=CanaryPlan(steps=PLAN.canary.steps[1:]))
    found = forecast(fast, 1500, streams=10)
    assert found.shadow is None
    assert found.promoted == 1


@pytest.mark.parametrize("rps", [0, -1, float("nan")])
def test_no_traffic_is_no_forecast(rps: float) -> None:
    with pytest.raises(ValueError, match="requests a second"):
        forecast(PLAN, rps)


def test_entities_that_run_dry_are_never_promoted() -> None:
    ended = run_plan(PLAN, Traffic(50, entities=100), 60, 10, seed=1)
    assert {each.action for each in ended} <= {"hold", "promote"}
    few = run_shadow(Plan(shadow=ShadowPlan()), Pairs(1500, entities=800), 60, 10, seed=1)
    assert {action for action, _, _ in few} == {"hold"}


def test_a_plan_that_requires_labels_is_forecast_as_one_without_and_says_so() -> None:
    plan, strict = Plan(), Plan(labels=LabelPlan(required=True))
    usual, labelled = (forecast(each, 200, streams=10) for each in (plan, strict))
    assert [note for note in labelled.notes if "labels" in note] == [
        "The plan requires labels, and holds until they come: when that is, no forecast knows."
    ]
    assert replace(labelled, notes=()) == replace(usual, notes=())
