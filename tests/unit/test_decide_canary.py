"""What the canary's decision answers, block by block."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, NoiseFloor, Waiting
from k8s.rollout.decide import CanaryState, Decision, decide_canary
from k8s.rollout.labelled import Labelled, Look, judged
from k8s.rollout.plan import CanaryPlan, LabelPlan, Plan

PLAN = Plan()
STATE = TypeAdapter(CanaryState)
WEIGHTS = [step.weight / 100 for step in PLAN.canary.steps]


def arm(requests: int, errors: int = 0, over: int = 0, flagged: int = 0) -> Arm:
    affected = (Affected(errors, requests), Affected(flagged, requests))
    return Arm(requests, errors, over, 0, flagged, *affected)


def block(number: int, canary: Arm, stable: Arm | None = None, weight: float = 0.05) -> CanaryBlock:
    good = arm(1425, 1, 14, 28)
    return CanaryBlock(number, 30, weight, good if stable is None else stable, canary, NoiseFloor(0, 0, 0))


def good(number: int, weight: float = 0.05) -> CanaryBlock:
    requests = int(1500 * weight)
    canary = arm(requests, 0, requests // 100, requests // 50)
    return block(number, canary, arm(1500 - requests, 1, (1500 - requests) // 100, (1500 - requests) // 50), weight)


def decide(state: CanaryState, blocks: Sequence[CanaryBlock], **given: Any) -> Decision[CanaryState]:
    newest = blocks[-1].number + 1 if blocks else state.block + 1
    ages = {"step": 0, "age_blocks": newest, "step_age_blocks": newest, **given}
    return decide_canary(state, blocks, given.pop("plan", PLAN), **{k: v for k, v in ages.items() if k != "plan"})


def after(count: int, step: int = 0) -> CanaryState:
    """The state after so many good blocks at a step."""
    return decide(CanaryState(), [good(n, WEIGHTS[step]) for n in range(count)], step=step).state


def test_a_good_canary_goes_up_after_the_steps_shortest_time_and_no_sooner() -> None:
    state = after(5)
    early = decide(state, [], age_blocks=5, step_age_blocks=5)
    assert early.action == "hold"
    assert decide(state, [good(5)]).action == "advance"
    waits = decide(after(4), [good(4)])
    assert (waits.action, waits.gate, waits.next_blocks) == ("hold", "time", 1)
    assert "5 of at least 6 blocks" in waits.reason


def test_it_is_promoted_at_the_last_step_after_the_shortest_time_in_all() -> None:
    state = after(29, step=2)
    held = decide(state, [], step=2)
    assert held.action == "hold"
    assert decide(state, [good(29, 0.5)], step=2).action == "promote"
    early = decide(after(20, step=2), [good(20, 0.5)], step=2, step_age_blocks=10)
    assert (early.action, early.gate) == ("hold", "time")
    assert "at least 30 blocks" in early.reason


@pytest.mark.parametrize(
    ("canary", "gate"),
    [
        (arm(75, 8, 0, 1), "errors"),
        (arm(75, 0, 15, 1), "over_slo"),
        (arm(75, 0, 0, 12), "flagged_up"),
        (arm(750, 0, 7, 0), "flagged_down"),
        (arm(75, 70, 0, 0), "crash"),
    ],
)
def test_harm_is_rolled_back_by_the_gate_that_found_it_and_stays_rolled_back(canary: Arm, gate: str) -> None:
    state = CanaryState()
    for number in range(60):
        decision = decide(state, [block(number, canary)])
        state = decision.state
        if decision.action == "rollback":
            break
    assert (decision.action, decision.gate) == ("rollback", gate)
    assert next(each for each in decision.gates if each.gate == gate).state == "failed"
    later = decide(state, [good(n) for n in range(number + 1, number + 50)])
    assert (later.action, later.gate, later.reason) == ("rollback", gate, decision.reason)
    assert later.state == state


def test_blocks_caught_up_with_end_at_the_one_that_rolls_back() -> None:
    blocks = [block(n, arm(75, 70)) for n in range(5)]
    assert decide(CanaryState(), blocks).state.block == 0


def test_without_traffic_it_holds() -> None:
    decision = decide(after(8), [block(8, Arm())])
    assert (decision.action, decision.gate) == ("hold", "no traffic")
    nothing = CanaryState()
    for number in range(120):
        decision = decide(nothing, [block(number, Arm(), Arm())])
        nothing = decision.state
        assert (decision.action, decision.gate) == ("hold", "no traffic")


@pytest.mark.parametrize("stable", [arm(1425, 20, 14, 28), arm(1425, 1, 100, 28), arm(0)])
def test_a_stable_that_is_sick_or_silent_is_not_compared_with(stable: Arm) -> None:
    state = CanaryState()
    for number in range(20):
        decision = decide(state, [block(number, arm(75, 0, 0, 1), stable)])
        state = decision.state
    assert (decision.action, decision.gate) == ("hold", "stable unhealthy")


def test_stable_is_judged_by_its_last_blocks_only() -> None:
    sick = [block(n, arm(75, 0, 0, 1), arm(1425, 40, 14, 28)) for n in range(6)]
    state = decide(CanaryState(), sick).state
    decision = decide(state, [good(n) for n in range(6, 10)])
    assert decision.gate == "stable unhealthy"
    assert decide(decision.state, [good(n) for n in range(10, 16)]).action == "advance"


def test_one_broken_client_does_not_make_stable_sick() -> None:
    """2 % of stable's answers are errors, all of an entity counted in the first block."""
    errors = [Affected(1, 1425), *[Affected(0, 1395)] * 6]
    blocks = [block(n, arm(75, 0, 0, 1), replace(arm(1425, 30, 14, 28), errors_affected=errors[n])) for n in range(7)]
    assert decide(CanaryState(), blocks).action == "advance"
    many = [replace(one, stable=replace(one.stable, errors=400)) for one in blocks]
    assert decide(CanaryState(), many).gate == "stable unhealthy"


def test_signs_of_harm_hold_before_they_are_enough_to_roll_back() -> None:
    state = CanaryState()
    seen = set()
    for number in range(40):
        decision = decide(state, [block(number, arm(75, int(number % 4 == 0), 0, 1))])
        state = decision.state
        if decision.harm >= 3 and decision.action == "hold":
            seen.add(decision.gate)
    assert "errors" in seen


def test_a_block_of_a_smaller_weight_does_not_let_the_next_step_pass() -> None:
    decision = decide(after(10), [good(10)], step=1)
    assert (decision.action, decision.gate) == ("hold", "evidence")
    assert "not yet wholly" in decision.reason


def test_what_is_missing_is_said_with_how_much_and_how_long() -> None:
    state = decide(CanaryState(), [block(n, arm(10), arm(190)) for n in range(3)]).state
    decision = decide(state, [block(3, arm(10), arm(190))])
    errors = decision.gates[0]
    assert (errors.state, decision.action) == ("gathering", "hold")
    assert errors.missing_units == pytest.approx(errors.missing_blocks * 10)
    assert decision.next_blocks >= errors.missing_blocks
    assert "more" in errors.detail
    assert "blocks at this traffic" in errors.detail


def test_entities_that_run_dry_only_hold_and_it_says_so() -> None:
    dry = replace(arm(75), errors_affected=Affected(), flagged_affected=Affected())
    state = CanaryState()
    for number in range(60):
        decision = decide(state, [block(number, dry)])
        state = decision.state
        assert decision.action == "hold"
    assert "there were none" in decision.gates[0].detail
    assert decision.next_blocks is None


def test_what_keeps_the_log_behind_is_the_reason_to_hold() -> None:
    decision = decide(after(10), [], waiting=Waiting("log behind", "96 % of the rows are there"))
    assert (decision.action, decision.gate) == ("hold", "log behind")
    assert "96 % of the rows" in decision.reason
    assert decide(after(10), [], waiting=Waiting("not closed", "")).gate == "evidence"


def test_without_a_new_block_nothing_rises() -> None:
    assert decide(after(20), []).action == "hold"
    late = {"age_blocks": 30, "step_age_blocks": 30}
    assert decide(after(20), [], **late).action == "hold"
    assert decide(after(20), [good(3), good(19)], **late).action == "hold"
    assert decide(after(20), [good(20)], **late).action == "advance"


def test_the_deadline_is_extended_once_without_signs_of_harm_and_then_names_what_is_missing() -> None:
    few = [block(n, arm(2), arm(38)) for n in range(20)]
    state = decide(CanaryState(), few).state
    first = decide(state, [], age_blocks=120)
    assert (first.action, first.state.extended) == ("hold", True)
    assert decide(first.state, [], age_blocks=239).action == "hold"
    last = decide(first.state, [], age_blocks=240)
    assert (last.action, last.gate) == ("inconclusive", "errors")
    assert "Not decided within 240 blocks" in last.reason


def test_the_deadline_is_not_extended_with_signs_of_harm() -> None:
    state, number = CanaryState(), 0
    while not 3 <= (decision := decide(state, [block(number, arm(75, int(number % 4 == 0), 0, 1))])).harm < 100:
        state, number = decision.state, number + 1
    ended = decide(decision.state, [], age_blocks=120)
    assert (ended.action, ended.gate) == ("inconclusive", "errors")
    # Once extended it goes on, whatever grows: the extension is not taken back.
    assert decide(replace(decision.state, extended=True), [], age_blocks=130).action == "hold"


def test_the_deadline_holds_while_no_block_closes_and_names_that() -> None:
    away = Waiting("store away", "no connection for 2 hours")
    ended = decide(replace(after(3), extended=True), [], age_blocks=400, waiting=away)
    assert (ended.action, ended.gate) == ("inconclusive", "store away")


def test_flags_that_fall_are_only_asked_about_before_promotion() -> None:
    low = [block(n, arm(75, 0, 0, 1), arm(1425, 1, 14, 40)) for n in range(6)]
    assert decide(CanaryState(), low).action == "advance"
    half = [block(n, arm(750, 0, 7, 9), arm(750, 0, 7, 15), 0.5) for n in range(8)]
    decision = decide(CanaryState(), half, step=2)
    assert decision.gates[3].shown_bound is not None
    assert (decision.gates[3].state, decision.action) == ("gathering", "hold")


def test_rho_says_how_many_flags_are_expected() -> None:
    def answers(rho: float) -> list[str]:
        state, actions = CanaryState(), []
        for number in range(30):
            decision = decide(state, [block(number, arm(375, 0, 3, 14), arm(1125, 1, 11, 22), 0.25)], rho=rho, step=1)
            state = decision.state
            actions.append(decision.action)
        return actions

    assert "rollback" in answers(1.0)
    assert "rollback" not in answers(2.0)
    assert "advance" in answers(2.0)


def test_a_plans_alpha_is_the_bound() -> None:
    strict = PLAN.model_copy(update={"alpha": 1e-6})
    blocks = [block(n, arm(75, 4, 0, 1)) for n in range(4)]
    assert decide(CanaryState(), blocks).action == "rollback"
    held = decide(CanaryState(), blocks, plan=strict)
    assert (held.action, held.harm_bound) == ("hold", pytest.approx(1e6))


def test_a_plan_of_one_step_is_promoted_from_it() -> None:
    one = Plan(canary=CanaryPlan(steps=(PLAN.canary.steps[0],)))
    state = decide(CanaryState(), [good(n) for n in range(29)], plan=one).state
    assert decide(state, [good(29)], plan=one).action in ("promote", "hold")
    assert decide(state, [good(29)], plan=one).action != "advance"


def test_no_step_in_force_holds() -> None:
    decision = decide(CanaryState(), [good(0)], step=None)
    assert (decision.action, decision.gate) == ("hold", "step")


small = st.integers(0, 60)
arms = st.builds(
    lambda requests, errors, over, flagged, at_risk: replace(
        arm(requests, min(errors, requests), min(over, requests), min(flagged, requests)),
        errors_affected=Affected(min(errors, at_risk), min(at_risk, requests)),
    ),
    st.just(0) | st.integers(0, 2000) | st.just(10**12),
    small,
    small,
    small,
    small,
)
streams = st.lists(
    st.tuples(arms, arms, st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]), st.floats(0, 2)), min_size=1, max_size=25
)


def made(stream: list[tuple[Arm, Arm, float, float]]) -> list[CanaryBlock]:
    return [
        CanaryBlock(number, 30, weight, stable, canary, NoiseFloor(tau, tau, tau))
        for number, (stable, canary, weight, tau) in enumerate(stream)
    ]


@settings(max_examples=150, deadline=None)
@given(streams, st.integers(0, 25))
def test_a_restart_between_any_two_blocks_changes_nothing(
    stream: list[tuple[Arm, Arm, float, float]], cut: int
) -> None:
    """The state as JSON, and blocks that come again: the same as one that was never interrupted."""
    blocks = made(stream)
    whole = decide(CanaryState(), blocks)
    first = decide(CanaryState(), blocks[:cut]) if blocks[:cut] else None
    kept = STATE.validate_json(STATE.dump_json(first.state)) if first else CanaryState()
    again = decide(kept, blocks)
    assert again.state == whole.state
    assert again.harm == whole.harm
    assert STATE.validate_json(STATE.dump_json(whole.state)) == whole.state


@settings(max_examples=150, deadline=None)
@given(streams)
def test_whatever_comes_the_answer_is_one_that_evidence_allows(stream: list[tuple[Arm, Arm, float, float]]) -> None:
    state, failed = CanaryState(), False
    for block in made(stream):
        decision = decide(state, [block], step=2)
        assert decision.action in ("hold", "promote", "rollback")
        assert decision.reason
        assert decision.harm >= 0
        assert not (failed and decision.action != "rollback")
        failed = decision.action == "rollback"
        if decision.action == "promote":
            assert block.canary.requests > 0
            assert decision.harm < 3
            assert block.weight >= 0.5
        if not failed and block.canary.requests == 0:
            assert decision.action == "hold"
        state = decision.state
    twice = decide(state, made(stream))
    assert twice.state == state


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50))
def test_more_errors_of_the_candidate_are_never_less_evidence(errors: int, more: int) -> None:
    few, many = (decide(CanaryState(), [block(0, arm(200, count))]) for count in (errors, errors + more))
    assert many.harm >= few.harm * (1 - 1e-9)
    assert many.gates[0].shown <= few.gates[0].shown + 1e-9


LOSS = judged(Labelled((Look(1, 400, -0.08, -0.11, -0.04),)), PLAN)
NO_LOSS = judged(Labelled((Look(1, 400, 0.0, -0.02, 0.02),)), PLAN)
UNSURE = judged(Labelled((Look(1, 400, 0.0, -0.04, 0.04),)), PLAN)
STRICT = Plan(labels=LabelPlan(required=True))


def test_a_loss_that_labels_show_is_rolled_back_with_the_next_block_and_for_good() -> None:
    state = after(8)
    early = decide(state, [], labels=LOSS)
    assert (early.action, early.gates[-1].gate, early.gates[-1].state) == ("hold", "labels", "failed")
    back = decide(early.state, [good(8)], labels=LOSS)
    assert (back.action, back.gate) == ("rollback", "labels")
    assert "PR-AUC -0.0800" in back.reason
    later = decide(back.state, [good(9)], labels=NO_LOSS)
    assert (later.action, later.gate, later.reason) == ("rollback", "labels", back.reason)


def test_labels_hold_what_rises_only_where_the_plan_requires_them() -> None:
    for labels in (judged(Labelled(), PLAN), UNSURE):
        assert decide(after(8), [good(8)], labels=labels).action == "advance"
        held = decide(after(8), [good(8)], labels=labels, plan=STRICT)
        assert (held.action, held.gate, held.next_blocks) == ("hold", "labels", None)
    assert decide(after(8), [good(8)], labels=NO_LOSS, plan=STRICT).action == "advance"
    assert decide(after(8), [good(8)], plan=STRICT).action == "advance"


def test_a_canary_that_waits_for_required_labels_until_its_deadline_is_inconclusive_by_them() -> None:
    late = decide(after(8), [good(8)], labels=UNSURE, plan=STRICT, age_blocks=240, step_age_blocks=240)
    assert (late.action, late.gate) == ("inconclusive", "labels")
