"""What the shadow's blocks are compared with: a prediction that still holds, or none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8s.rollout.blocks import PairSums, ShadowBlock, Waiting
from k8s.rollout.decide import decide_shadow
from k8s.rollout.evidence import Answer, LabelQuestion
from k8s.rollout.fleets import Copies
from k8s.rollout.gates import Gates
from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome, Spec, Status, Verdict, Watch
from k8s.rollout.plan import LabelPlan, Plan
from k8s.rollout.prediction import Prediction
from k8s.rollout.questions import label_question
from k8s.rollout.readings import read_shadow
from k8s.rollout.routers import Split
from k8s.rollout.turn import Turn
from k8s.rollout.world import World

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STABLE, CANDIDATE = "risk_scorer:0123456789ab", "risk_scorer:ba9876543210"
FRESH = Prediction(
    net_flips=0.0,
    net_flips_se=0.0,
    score_difference=0.0,
    score_difference_se=0.0,
    flagged_ratio=1.0,
    made_at=NOW - timedelta(hours=1),
    verdict="accepted",
    entities=1000,
)


def shadow_turn(prediction: Prediction | None, gates: Gates, problem: str = "") -> Turn:
    attempt = Attempt(
        id="a",
        candidate=CANDIDATE,
        stable=STABLE,
        started_at=NOW - timedelta(minutes=2),
        plan=Plan(),
        shadow_since=NOW - timedelta(minutes=1),
    )
    pairs = PairSums(pairs=100, sum_diff2=0.01)
    block = ShadowBlock(number=0, seconds=30, every=pairs, first=pairs)
    world = World(
        now=NOW,
        rollout=ModelRollout(spec=Spec(candidate=CANDIDATE), status=Status(stable=STABLE, attempt=attempt)),
        split=Split(100, 0, 100),
        copies={role: Copies(wanted=1, ready=1) for role in ("stable", "canary", "shadow")},
        evidence=Answer((block,), Waiting("not closed", "")),
        prediction=prediction,
        prediction_problem=problem,
    )
    return Turn(world, gates)


@pytest.mark.parametrize(
    ("prediction", "problem", "words"),
    [
        (replace(FRESH, made_at=NOW - timedelta(hours=25)), "", "older than 24 hours"),
        (replace(FRESH, live=False), "", "no live part"),
        (None, "", "There is no prediction"),
        (FRESH, "the store is away", "the store is away"),
    ],
)
def test_a_prediction_that_does_not_hold_holds_the_shadow_and_says_why(
    prediction: Prediction | None, problem: str, words: str
) -> None:
    turn = shadow_turn(prediction, Gates(), problem)
    decision = read_shadow(turn).decision
    assert decision is not None
    assert (decision.action, decision.gate) == ("hold", "no prediction")
    assert words in decision.reason
    assert turn.status.outbox[-1].numbers["prediction"] is None, "what was not used is not recorded as used"


def test_a_prediction_that_holds_is_what_the_shadow_is_compared_with() -> None:
    asked: list[Any] = []

    def shadow(*arguments: Any, **named: Any) -> Any:
        asked.append(arguments[3])
        return decide_shadow(*arguments, **named)

    turn = shadow_turn(FRESH, Gates(shadow=shadow))
    read_shadow(turn)
    assert asked == [FRESH]
    assert turn.status.outbox[-1].numbers["prediction"]["entities"] == 1000


def test_looks_are_asked_for_at_the_pairs_of_the_shadow_phase_until_nothing_rests_on_them() -> None:
    plan, passed = Plan(alpha=0.01, beta=0.04, labels=LabelPlan(looks=(300, 600))), NOW + timedelta(minutes=9)
    shadow = shadow_turn(FRESH, Gates()).attempt.model_copy(update={"plan": plan})
    asked = label_question(ModelRollout(status=Status(attempt=shadow)))
    assert asked == LabelQuestion("a", STABLE, CANDIDATE, shadow.shadow_since, None, (300, 600), 0.005, 0.02)  # type: ignore[arg-type]
    canary = shadow.model_copy(update={"shadow_passed_at": passed, "canary_since": passed})
    later = label_question(ModelRollout(status=Status(attempt=canary)))
    assert later == replace(asked, until=passed)
    promoted = canary.model_copy(update={"verdict": verdict(Outcome.PROMOTED)})
    assert label_question(ModelRollout(status=Status(attempt=promoted))) == later
    watch = Watch(attempt="a", since=passed, until=passed, previous=STABLE)
    assert label_question(ModelRollout(status=Status(stable=CANDIDATE, last=promoted, watch=watch))) == later


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": Plan(labels=None)},
        {"shadow_since": None},
        {"verdict": "rolled back"},
    ],
)
def test_where_no_decision_rests_on_looks_none_is_asked_for(changes: dict[str, Any]) -> None:
    if "verdict" in changes:
        changes = {"verdict": verdict(Outcome.ROLLED_BACK)}
    attempt = shadow_turn(FRESH, Gates()).attempt.model_copy(update=changes)
    assert label_question(ModelRollout(status=Status(attempt=attempt))) is None
    assert label_question(ModelRollout(status=Status(last=attempt))) is None


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(outcome=outcome, gate="all", reason="said", at=NOW)
