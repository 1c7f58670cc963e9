"""The picture of a rollout: who had which share, what the evidence said until the verdict, and where that lies."""

import json
from datetime import UTC, datetime, timedelta

from k8s.local.rollout_timeline import figure, timeline
from k8s.rollout.blocks import Affected, Arm, CanaryBlock, PairSums, ShadowBlock
from k8s.rollout.history import Recorded
from k8s.rollout.model_rollout import Attempt, Outcome, Verdict
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
STABLE, CANDIDATE = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"


def _after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def _attempt(outcome: Outcome, gate: str, weights: list[tuple[float, float]], verdict_at: float) -> Attempt:
    return Attempt(
        id="one",
        candidate=CANDIDATE,
        stable=STABLE,
        started_at=AT,
        plan=Plan(block_seconds=1),
        shadow_since=_after(2),
        shadow_passed_at=_after(12) if weights else None,
        canary_since=_after(13) if weights else None,
        weights=tuple((_after(at), share) for at, share in weights),
        verdict=Verdict(outcome=outcome, gate=gate, reason="because", at=_after(verdict_at)),
    )


def _canary(number: int, errors: int) -> Recorded:
    stable = Arm(requests=285, errors_affected=Affected(0, 285), flagged_affected=Affected(0, 285))
    canary = Arm(requests=15, errors=errors, errors_affected=Affected(errors, 15), flagged_affected=Affected(0, 15))
    block = CanaryBlock(number, 1.0, 0.05, stable, canary)
    return Recorded("one", "canary", _after(13), block, _after(13 + number + 1.5))


def test_a_promoted_candidate_had_everything_from_its_promotion_on() -> None:
    weights = [(13, 0.05), (20, 0.25), (30, 0.5), (45, 1.0), (50, 0.0)]
    course = timeline(_attempt(Outcome.PROMOTED, "all", weights, 44), (), None, _after(55))
    assert course.share == ((0, 0), (13, 0.05), (20, 0.25), (30, 0.5), (45, 1.0))
    assert course.mirror == ((2, 1.0), (12, 0.0))
    assert (course.verdict, course.verdict_at, course.ended) == ("promoted", 44, 55)


def test_a_candidate_that_was_rolled_back_had_nothing_afterwards_and_the_evidence_ends_there() -> None:
    attempt = _attempt(Outcome.ROLLED_BACK, "errors", [(13, 0.05), (23.5, 0.0)], 23.5)
    evidence = [_canary(number, errors=2 if number > 4 else 0) for number in range(14)]
    course = timeline(attempt, evidence, None, _after(30))
    assert course.share[-1] == (23.5, 0.0)
    times = [moment.at for moment in course.moments]
    assert times == [14 + number for number in range(len(times))]
    assert 5 < len(times) <= 10
    harms = [moment.harm for moment in course.moments]
    assert harms[:5] == sorted(harms[:5], reverse=True)
    assert harms[-1] > 10 * harms[4]


def test_a_shadow_that_fails_served_nobody() -> None:
    sums = PairSums(pairs=300, up=120)
    block = ShadowBlock(0, 1.0, sums, sums, Arm(requests=300), Arm(requests=300))
    evidence = [Recorded("one", "shadow", _after(2), block, _after(3.6))]
    attempt = _attempt(Outcome.ROLLED_BACK, "flips", [], 3.7)
    course = timeline(attempt, evidence, Prediction(), _after(6))
    assert course.share == ((0, 0),)
    assert course.mirror == ((2, 1.0), (3.7, 0.0))
    assert [moment.harm >= 1 for moment in course.moments] == [True]


def test_the_picture_is_plain_data_and_shows_verdict_and_bound() -> None:
    course = timeline(_attempt(Outcome.ROLLED_BACK, "errors", [(13, 0.05)], 20), [_canary(0, 0)], None, _after(30))
    drawn = json.loads(json.dumps(figure(course), allow_nan=False))
    assert [line["name"] for line in drawn["data"]][1:] == [
        "answered by it", "evidence of harm", "evidence that all is well",
    ]  # fmt: skip
    assert drawn["layout"]["annotations"][0]["text"] == "rolled back by errors"
    assert all(1e-4 <= value <= 100 for line in drawn["data"][2:] for value in line["y"])
