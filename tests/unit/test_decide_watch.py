"""The day's watch: what undoes by itself, and what is only proposed."""

import pytest
from pydantic import TypeAdapter

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, Waiting
from k8s.rollout.decide import CanaryState, decide_watch, watched
from k8s.rollout.labelled import Labelled, Look, label_gate
from k8s.rollout.plan import Plan

PLAN = Plan()
BEFORE = watched(CanaryState(block=90, served=(2e4, 20, 200, 400)))


def arm(requests: int, errors: int = 0, over: int = 0, flagged: int = 0) -> Arm:
    return Arm(requests, errors, over, 0, flagged, Affected(errors, requests), Affected(flagged, requests))


def watch(canary: Arm, blocks: int = 60, labels: object = None) -> object:
    stream = [CanaryBlock(n, 30, 1.0, Arm(), canary) for n in range(blocks)]
    return decide_watch(BEFORE, stream, PLAN, age_blocks=blocks, labels=labels)


def test_it_begins_with_the_previous_stables_counts_and_nothing_else() -> None:
    assert BEFORE.block == -1
    assert BEFORE.totals == ((0, 0, 20, 2e4), (0, 0, 200, 2e4), (0, 0, 400, 2e4))


def test_what_was_promoted_and_stays_good_is_left_alone() -> None:
    decision = watch(arm(1500, 1, 15, 30), 500)
    assert (decision.action, decision.proposal) == ("hold", "")
    assert {gate.state for gate in decision.gates} == {"ok"}


def test_a_crash_undoes_by_itself() -> None:
    decision = watch(arm(1500, 1400))
    assert (decision.action, decision.gate) == ("rollback", "crash")


@pytest.mark.parametrize(
    ("canary", "gate"),
    [
        (arm(1500, 40, 15, 30), "limits"),
        (arm(1500, 1, 120, 30), "limits"),
        (arm(1500, 14, 15, 30), "errors"),
        (arm(1500, 1, 60, 30), "over_slo"),
        (arm(1500, 1, 15, 120), "flagged"),
        (arm(1500, 1, 15, 3), "flagged"),
    ],
)
def test_the_rest_is_proposed_and_named(canary: Arm, gate: str) -> None:
    decision = watch(canary)
    assert (decision.action, decision.gate) == ("hold", gate)
    assert decision.proposal.startswith(gate)
    assert "Undoing is proposed" in decision.reason


def test_a_previous_stable_that_was_hardly_seen_is_not_compared_with() -> None:
    stream = [CanaryBlock(n, 30, 1.0, Arm(), arm(1500, 1, 15, 300)) for n in range(60)]
    decision = decide_watch(watched(CanaryState()), stream, PLAN, age_blocks=60)
    assert decision.proposal == ""
    assert {gate.state for gate in decision.gates[1:4]} == {"not evaluated"}


def test_a_loss_that_labels_show_is_proposed() -> None:
    worse = label_gate(Labelled((Look(1, 400, -0.08, -0.11, -0.04),)), (300, 1000))
    assert watch(arm(1500, 1, 15, 30), labels=worse).gate == "labels"
    assert watch(arm(1500, 1, 15, 30), labels=label_gate(Labelled(), (300, 1000))).proposal == ""


def test_a_night_without_traffic_proposes_nothing() -> None:
    assert watch(Arm(), 100).proposal == ""
    assert watch(arm(3, 1), 1).proposal == ""


def test_its_state_survives_json_and_counts_nothing_twice() -> None:
    state = watch(arm(1500, 1, 15, 30)).state
    adapter = TypeAdapter(CanaryState)
    kept = adapter.validate_json(adapter.dump_json(state))
    assert kept == state
    again = [CanaryBlock(5, 30, 1.0, Arm(), arm(1500, 1500))]
    assert decide_watch(kept, again, PLAN, age_blocks=30).state == state


def test_no_evidence_is_said() -> None:
    decision = decide_watch(BEFORE, [], PLAN, age_blocks=3, waiting=Waiting("store away", "refused"))
    assert "store away" in decision.reason
