"""Whole rollouts in memory, by the real controller and the real gates, decided again from what they left behind."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pytest
from pydantic import TypeAdapter

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, PairSums, ShadowBlock
from k8s.rollout.controller import Controller
from k8s.rollout.evidence import Question
from k8s.rollout.history import DECISION, Recorded
from k8s.rollout.labelled import Labelled, Look
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.model_rollout import Event, ModelRollout, Outcome, Spec, Status
from k8s.rollout.plan import CanaryPlan, LabelPlan, Limits, Plan, ShadowPlan, Step
from k8s.rollout.replay import Report, plan_of, replay
from monitoring.comparisons import Comparison
from monitoring.label_pairs import LabelledPairs
from tests.doubles.memory_backend import BEGINNING, CANDIDATE, STABLE, World

PLAN = Plan(
    shadow=ShadowPlan(min_blocks=2, min_entities=100),
    canary=CanaryPlan(
        steps=(
            Step(weight=25, errors=0.05, over_slo=0.2, flagged=0.2),
            Step(weight=50, errors=0.02, over_slo=0.05, flagged=0.05),
        ),
        step_blocks=3,
        min_blocks=8,
        deadline_blocks=12,
        extended_blocks=30,
    ),
    limits=Limits(errors=0.02, over_slo=0.1),
    watch_hours=0.1,
)


def arm(rng: np.random.Generator, requests: int, errors: float) -> Arm:
    """Requests of a role, each of an entity of its own."""
    failed, slow, flagged = (int(rng.binomial(requests, share)) for share in (errors, 0.01, 0.02))
    return Arm(requests, failed, slow, 0, flagged, Affected(failed, requests), Affected(flagged, requests))


def canary_blocks(errors: float, requests: int) -> Callable[[Question, int], CanaryBlock]:
    def block(question: Question, number: int) -> CanaryBlock:
        rng = np.random.default_rng((int(question.since.timestamp()), number))
        if not question.weights:
            return CanaryBlock(number, 30, 1, Arm(), arm(rng, requests, errors))
        return CanaryBlock(number, 30, 0, arm(rng, requests, 0.001), arm(rng, requests, errors))

    return block


def shadow_block(question: Question, number: int) -> ShadowBlock:
    rng = np.random.default_rng((7, number))
    pairs = 4000
    difference = rng.normal(0, 0.02, pairs)
    sums = PairSums(pairs, 6, 5, float(difference.sum()), float((difference**2).sum()))
    seen = arm(rng, pairs, 0.001)
    return ShadowBlock(number, 30, sums, sums, seen, seen, stable_flagged=80, shadow_flagged=81)


def labelled(rng: np.random.Generator, positives: int, worse: float) -> LabelledPairs:
    """Pairs of both models, one of ten positive; the candidate's scores are so much noisier."""
    labels = np.repeat([1, 0], [positives, 9 * positives]).astype(np.int8)
    signal = labels * 2 + rng.normal(0, 1, len(labels))
    candidate = signal + rng.normal(0, 0.1, len(labels)) + rng.normal(0, worse, len(labels))
    return LabelledPairs(np.arange(len(labels)), labels, signal, candidate)


def run(
    errors: float,
    requests: int = 3000,
    hours: float = 1.0,
    plan: Plan = PLAN,
    then: Callable[[World], None] = lambda _: None,
) -> tuple[World, Outcome]:
    """A world in which the candidate's rollout has ended, and its verdict; `then` is called before each tick."""
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE, plan=plan), status=Status(stable=STABLE)))
    world.evidence = MemoryEvidence(canary_blocks(errors, requests), shadow_block, world.history)
    world.fleet.assign("stable", STABLE)
    world.fleet.scale("stable", 1)
    numbers = {"entities": 1000, "net_flips": 0.0, "net_flips_se": 0.0001, "flagged_ratio": 1.0}
    live = {"score_difference": 0.0, "score_difference_se": 0.0001}
    world.comparison = Comparison(STABLE, CANDIDATE, world.now, "accepted", {}, **numbers, **live)  # type: ignore[arg-type, assignment]
    controller = Controller(world.backend(), lambda: world.now)
    end = world.now + timedelta(hours=hours)
    while world.now < end:
        then(world)
        report = controller.tick()
        assert not report.problems
        world.now += timedelta(seconds=5)
    last = world.store.read().status.last
    assert last is not None
    assert last.verdict is not None
    return world, last.verdict.outcome


def decided_again(world: World) -> tuple[list[Event], list[Recorded]]:
    last = world.store.read().status.last
    assert last is not None
    return list(world.history.events(last.id)), list(world.history.evidence(last.id))


@pytest.fixture(scope="module")
def promoted() -> World:
    world, outcome = run(errors=0.001)
    assert outcome is Outcome.PROMOTED
    return world


def again(world: World, expected: Plan = PLAN) -> Report:
    events, evidence = decided_again(world)
    plan = plan_of(events)
    assert plan == expected
    return replay(events, evidence, plan)


def test_a_promotion_comes_out_the_same_with_its_shadow_and_its_watch(promoted):
    report = again(promoted)
    assert report.agrees
    assert (report.different, report.undecided) == ((), 0)
    assert {each.phase for each in report.decisions} == {"shadow", "canary", "watch"}
    assert {"pass", "advance", "promote", "hold"} <= {each.recorded for each in report.decisions}


@pytest.mark.parametrize(("errors", "requests"), [(0.2, 3000), (0.9, 300), (0.02, 1000)])
def test_a_rollback_comes_out_the_same(errors, requests):
    world, outcome = run(errors, requests, hours=0.5)
    assert outcome is Outcome.ROLLED_BACK
    report = again(world)
    assert report.agrees
    assert report.decisions[-1].again == "rollback"
    assert report.decisions[-1].again_gate == report.decisions[-1].recorded_gate is not None


def test_a_deadline_that_was_extended_between_two_blocks_comes_out_the_same():
    world, outcome = run(errors=0.001, requests=3)
    assert outcome is Outcome.INCONCLUSIVE
    report = again(world)
    assert report.agrees
    assert max(each.block for each in report.decisions) > PLAN.canary.deadline_blocks


def test_altered_evidence_is_found(promoted):
    events, evidence = decided_again(promoted)
    number = next(n for n, each in enumerate(evidence) if each.phase == "canary" and each.block.number == 4)
    block = evidence[number].block
    assert isinstance(block, CanaryBlock)
    worse = replace(block, canary=replace(block.canary, errors_affected=Affected(60, 3000)))
    evidence[number] = replace(evidence[number], block=worse)
    report = replay(events, evidence, PLAN)
    assert not report.agrees
    assert (report.different[0].phase, report.different[0].block) == ("canary", 4)


def test_evidence_that_is_missing_or_that_nothing_was_decided_on_is_told(promoted):
    events, evidence = decided_again(promoted)
    report = replay(events, [each for each in evidence if each.phase != "shadow"], PLAN)
    missing = report.different[0]
    assert (missing.phase, missing.again, missing.agrees) == ("shadow", None, False)
    kept = [event for event in events if event.numbers.get("phase") != "shadow"]
    report = replay(kept, evidence, PLAN)
    assert report.agrees
    assert report.undecided == sum(each.phase == "shadow" for each in evidence) > 0


def test_another_plan_decides_otherwise(promoted):
    events, evidence = decided_again(promoted)
    slower = PLAN.model_copy(update={"canary": PLAN.canary.model_copy(update={"step_blocks": 10})})
    report = replay(events, evidence, slower)
    assert {(each.recorded, each.again) for each in report.different} >= {("advance", "hold")}


def test_without_its_start_an_attempt_has_no_plan(promoted):
    events, _ = decided_again(promoted)
    assert plan_of([event for event in events if event.kind != "rollout.started"]) is None


STRICT = PLAN.model_copy(update={"labels": LabelPlan(required=True)})


def arrive(positives: int, worse: float, minutes: float) -> Callable[[World], None]:
    """So many positives are labelled when the rollout is so old."""
    found = labelled(np.random.default_rng(5), positives, worse)

    def then(world: World) -> None:
        if world.now >= BEGINNING + timedelta(minutes=minutes):
            world.evidence.labelled = found

    return then


def labels_of(event: Event) -> Labelled:
    return TypeAdapter(Labelled).validate_python(event.numbers["labels"])


def test_required_labels_hold_the_shadow_until_they_come_and_it_is_decided_the_same_again():
    world, outcome = run(errors=0.001, plan=STRICT, then=arrive(400, 0.0, 12))
    assert outcome is Outcome.PROMOTED
    report = again(world, STRICT)
    assert report.agrees
    held = [each for each in report.decisions if each.recorded_gate == "labels"]
    assert {each.phase for each in held} == {"shadow"}
    assert len(held) > 10
    events, _ = decided_again(world)
    last = labels_of([event for event in events if event.kind == DECISION][-1])
    assert [(look.number, look.positives) for look in last.looks] == [(1, 400)]


@pytest.mark.parametrize(("minutes", "phase"), [(0.5, "shadow"), (4.0, "canary")])
def test_a_model_that_ranks_worse_is_rolled_back_by_its_labels_and_comes_out_the_same(minutes, phase):
    world, outcome = run(errors=0.001, then=arrive(400, 3.0, minutes))
    assert outcome is Outcome.ROLLED_BACK
    last = world.store.read().status.last
    assert last is not None
    assert last.verdict is not None
    assert last.verdict.gate == "labels"
    report = again(world)
    assert report.agrees
    assert (report.decisions[-1].phase, report.decisions[-1].again_gate) == (phase, "labels")


def test_a_loss_that_is_known_after_the_promotion_proposes_to_undo_and_comes_out_the_same():
    world, outcome = run(errors=0.001, hours=0.27, then=arrive(400, 3.0, 14), plan=LONG)
    assert outcome is Outcome.PROMOTED
    status = world.store.read().status
    assert status.watch is not None
    assert status.watch.proposed_undo.startswith("labels: ")
    assert again(world, LONG).agrees


LONG = PLAN.model_copy(update={"watch_hours": 2.0})


def test_altered_looks_are_found_and_a_plan_without_labels_decides_otherwise():
    world, _ = run(errors=0.001, then=arrive(400, 3.0, 4.0))
    events, evidence = decided_again(world)
    unlabelled = replay(events, evidence, PLAN.model_copy(update={"labels": None}))
    assert [each.recorded_gate for each in unlabelled.different] == ["labels"]
    for event in events:
        if event.numbers.get("labels", {}).get("looks"):
            event.numbers["labels"]["looks"] = [asdict(Look(1, 400, 0.0, -0.01, 0.01))]
    assert not replay(events, evidence, PLAN).agrees


def test_what_was_recorded_before_labels_were_looked_at_comes_out_the_same(promoted):
    events, evidence = decided_again(promoted)
    for event in events:
        event.numbers.pop("labels", None)
    assert replay(events, evidence, PLAN).agrees
