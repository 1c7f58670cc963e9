"""What the shadow's decision answers: does the candidate do live what its evaluation said?"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from k8s.rollout.blocks import Affected, Arm, PairSums, ShadowBlock, Waiting
from k8s.rollout.decide import Decision, ShadowState, decide_shadow, measured_rho
from k8s.rollout.labelled import Labelled, Look, judged
from k8s.rollout.plan import LabelPlan, Plan
from k8s.rollout.prediction import Prediction, admission, usable

PLAN = Plan()
STATE = TypeAdapter(ShadowState)
SAME = Prediction()
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pairs(count: int, up: int = 0, down: int = 0, shift: float = 0.0, sd: float = 0.03) -> PairSums:
    return PairSums(count, up, down, shift * count, (sd**2 + shift**2) * count)


def shadow_block(number: int, first: PairSums, **fields: Any) -> ShadowBlock:
    healthy = Arm(first.pairs, over_slo=first.pairs // 100, errors_affected=Affected(0, first.pairs))
    return ShadowBlock(number, 30, first, first, **{"stable": healthy, "shadow": healthy, **fields})


def run(first: PairSums, blocks: int = 300, prediction: Prediction | None = SAME, **fields: Any) -> Decision[Any]:
    """Until something is decided, or the blocks are over."""
    state = ShadowState()
    for number in range(blocks):
        block = shadow_block(number, first, **fields)
        decision = decide_shadow(state, [block], PLAN, prediction, age_blocks=number + 1)
        state = decision.state
        if decision.action != "hold":
            break
    return decision


def test_a_candidate_that_does_what_was_predicted_passes() -> None:
    decision = run(pairs(1500, 30, 30))
    assert decision.action == "pass"
    assert 15_000 < decision.state.flips.pairs < 35_000
    assert run(pairs(1500)).state.block == PLAN.shadow.min_blocks - 1


@pytest.mark.parametrize(
    ("first", "gate"),
    [(pairs(1500, 35, 5), "flips"), (pairs(1500, 2, 32), "flips"), (pairs(1500, 0, 0, 0.03), "score")],
)
def test_one_that_does_not_is_failed_by_name_and_stays_failed(first: PairSums, gate: str) -> None:
    decision = run(first)
    assert (decision.action, decision.gate) == ("fail", gate)
    later = decide_shadow(decision.state, [shadow_block(900, pairs(10**6))], PLAN, SAME, age_blocks=900)
    assert (later.action, later.gate, later.reason) == ("fail", gate, decision.reason)


def test_a_better_model_differs_and_passes_when_that_was_predicted() -> None:
    expected = Prediction(net_flips=0.02, score_difference=0.03)
    assert run(pairs(1500, 40, 10, 0.03)).action == "fail"
    assert run(pairs(1500, 40, 10, 0.03), prediction=expected).action == "pass"
    assert run(pairs(1500, 0, 0, 0.0), prediction=expected).action == "fail"


def test_an_uncertain_prediction_widens_the_margin_by_two_standard_errors() -> None:
    unsure = Prediction(net_flips_se=0.005)
    assert run(pairs(1500, 30, 12)).action == "fail"
    assert run(pairs(1500, 30, 12), 100, prediction=unsure).action != "fail"


def test_without_a_usable_prediction_it_holds_and_says_why() -> None:
    decision = run(pairs(1500, 300, 0), 20, prediction=None)
    assert (decision.action, decision.gate) == ("hold", "no prediction")
    assert decision.gates[0].state == "not evaluated"
    assert run(pairs(1500), 20, prediction=Prediction(live=False)).gate == "no prediction"


def test_few_entities_hold_whatever_they_show() -> None:
    tiny = decide_shadow(ShadowState(), [shadow_block(0, pairs(400))], PLAN, SAME, age_blocks=99)
    assert (tiny.action, tiny.gate) == ("hold", "flips")
    assert "more entities are needed" in tiny.reason
    assert tiny.gates[0].missing_blocks > 0
    unsure = Prediction(net_flips_se=0.1, score_difference_se=0.1)
    few, enough = (
        decide_shadow(ShadowState(), [shadow_block(0, pairs(count))], PLAN, unsure, age_blocks=99)
        for count in (499, 500)
    )
    assert few.gates[0].shown > few.gates[0].shown_bound
    assert (few.action, enough.action) == ("hold", "pass")


def test_only_the_first_pair_of_an_entity_counts() -> None:
    block = ShadowBlock(0, 30, pairs(10**6, 10**5, 0), pairs(1000))
    assert decide_shadow(ShadowState(), [block], PLAN, SAME, age_blocks=9).state.flips.up == 0


@pytest.mark.parametrize(
    ("shadow", "gate"),
    [
        (Arm(1500, 150, errors_affected=Affected(150, 1500)), "shadow_errors"),
        (Arm(1500, 0, 300, errors_affected=Affected(0, 1500)), "shadow_over_slo"),
    ],
)
def test_a_shadow_that_is_not_well_beside_stable_is_failed(shadow: Arm, gate: str) -> None:
    decision = run(pairs(1500, 30, 30), shadow=shadow)
    assert (decision.action, decision.gate) == ("fail", gate)


def test_a_shadow_that_refuses_its_copies_holds_as_overloaded() -> None:
    decision = run(pairs(1500), 30, shed=600)
    assert (decision.action, decision.gate) == ("hold", "shadow overloaded")
    assert run(pairs(1500), 30, shed=200).action == "pass"


def test_no_pairs_hold_and_the_deadline_ends_it() -> None:
    assert run(pairs(0), 30).gate == "no traffic"
    ended = decide_shadow(ShadowState(), [], PLAN, SAME, age_blocks=PLAN.shadow.deadline_blocks)
    assert ended.action == "inconclusive"
    behind = decide_shadow(ShadowState(), [], PLAN, SAME, age_blocks=9, waiting=Waiting("log behind", "97 %"))
    assert (behind.action, behind.gate) == ("hold", "log behind")


def test_without_a_new_block_nothing_passes() -> None:
    done = run(pairs(1500, 30, 30))
    last = shadow_block(done.state.block, pairs(1500, 30, 30))
    for blocks in ([], [last]):
        again = decide_shadow(done.state, blocks, PLAN, SAME, age_blocks=99)
        assert (again.action, again.state) == ("hold", done.state)


def test_rho_is_what_the_shadow_flagged_for_each_of_stables() -> None:
    assert measured_rho(ShadowState()) == 1
    assert measured_rho(ShadowState(stable_flagged=2000, shadow_flagged=3000)) == pytest.approx(1.5, abs=0.01)
    assert measured_rho(ShadowState(stable_flagged=10**6)) == 0.5
    assert measured_rho(ShadowState(shadow_flagged=10**6)) == 2


counts = st.integers(0, 3000) | st.just(0)
blocks_of_pairs = st.lists(
    st.builds(
        lambda count, up, down, mean, spread: PairSums(
            count, min(up, count), min(down, count - min(up, count)), mean * count, (mean**2 + spread) * count
        ),
        counts,
        st.integers(0, 60),
        st.integers(0, 60),
        st.floats(-0.5, 0.5),
        st.floats(0, 0.2),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(blocks_of_pairs, st.integers(0, 20))
def test_a_restart_between_any_two_blocks_changes_nothing(stream: Sequence[PairSums], cut: int) -> None:
    blocks = [shadow_block(number, first) for number, first in enumerate(stream)]
    whole = decide_shadow(ShadowState(), blocks, PLAN, SAME, age_blocks=20)
    first = decide_shadow(ShadowState(), blocks[:cut], PLAN, SAME, age_blocks=cut)
    kept = STATE.validate_json(STATE.dump_json(first.state))
    assert kept == first.state
    assert decide_shadow(kept, blocks, PLAN, SAME, age_blocks=20).state == whole.state


def test_a_prediction_is_usable_while_it_is_fresh_and_live() -> None:
    fresh = Prediction(made_at=NOON)
    assert usable(fresh, NOON + 23 * HOUR, PLAN) is None
    assert "older than 24 hours" in (usable(fresh, NOON + 25 * HOUR, PLAN) or "")
    assert "no live part" in (usable(replace(fresh, live=False), NOON, PLAN) or "")
    assert "no prediction" in (usable(None, NOON, PLAN) or "")


@pytest.mark.parametrize("verdict", ["not good enough", "not enough data", "needs approval", "a new word"])
def test_a_verdict_against_a_candidate_needs_somebody_to_force_it(verdict: str) -> None:
    against = Prediction(made_at=NOON, verdict=verdict)
    assert admission(against, NOON, PLAN, forced=False)
    assert admission(against, NOON, PLAN, forced=True) is None
    assert admission(replace(against, verdict="accepted"), NOON, PLAN, forced=False) is None


def test_a_plan_with_a_shadow_needs_a_prediction_and_one_without_does_not() -> None:
    assert "no prediction" in (admission(None, NOON, PLAN, forced=False) or "")
    assert admission(None, NOON, Plan(shadow=None), forced=False) is None


LOSS = judged(Labelled((Look(1, 400, -0.08, -0.11, -0.04),)), PLAN)
NO_LABELS = judged(Labelled(), PLAN)
NO_LOSS = judged(Labelled((Look(1, 400, 0.0, -0.02, 0.02),)), PLAN)
STRICT = Plan(labels=LabelPlan(required=True))
GOOD = shadow_block(9, pairs(10**6))


def test_a_loss_that_labels_show_fails_the_shadow_with_its_next_block_and_for_good() -> None:
    early = decide_shadow(ShadowState(), [], PLAN, SAME, age_blocks=9, labels=LOSS)
    assert (early.action, early.gates[-1].state) == ("hold", "failed")
    failed = decide_shadow(early.state, [GOOD], PLAN, SAME, age_blocks=9, labels=LOSS)
    assert (failed.action, failed.gate) == ("fail", "labels")
    assert "PR-AUC -0.0800" in failed.reason
    later = decide_shadow(failed.state, [shadow_block(10, pairs(10))], PLAN, SAME, age_blocks=9, labels=NO_LOSS)
    assert (later.action, later.gate, later.reason) == ("fail", "labels", failed.reason)


def test_without_labels_the_gate_is_shown_and_holds_only_where_the_plan_requires_them() -> None:
    passed = decide_shadow(ShadowState(), [GOOD], PLAN, SAME, age_blocks=9, labels=NO_LABELS)
    assert (passed.action, passed.gates[-1].state) == ("pass", "not evaluated")
    held = decide_shadow(ShadowState(), [GOOD], STRICT, SAME, age_blocks=9, labels=NO_LABELS)
    assert (held.action, held.gate, held.next_blocks) == ("hold", "labels", None)
    assert held.reason == "The plan requires labels: no labels yet."
    assert decide_shadow(ShadowState(), [GOOD], STRICT, SAME, age_blocks=9, labels=NO_LOSS).action == "pass"
    late = decide_shadow(ShadowState(), [GOOD], STRICT, SAME, age_blocks=2880, labels=NO_LABELS)
    assert (late.action, late.gate) == ("inconclusive", "labels")


def test_where_nobody_looks_nothing_changes() -> None:
    assert decide_shadow(ShadowState(), [GOOD], STRICT, SAME, age_blocks=9).action == "pass"
