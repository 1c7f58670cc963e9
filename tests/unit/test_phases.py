"""The life of a model up to its promotion: each rule by its name. The monitor of the model check watches every step."""

from datetime import timedelta

import pytest

from k8s.rollout.memory_fleet import MemoryFleet
from k8s.rollout.model_rollout import ModelRollout, Outcome, Pause, Phase, Spec
from k8s.rollout.plan import ChangeWindow, LabelPlan
from k8s.rollout.routers import Split
from tests.doubles.guided_world import ALL_TO_STABLE, GuidedWorld, on_its_way
from tests.doubles.model_world import GOOD, HARM, HOLD, OTHER, PLAN, STABLE, WELL, Fuse, api_error


def paused(world: GuidedWorld) -> Pause:
    return Pause(by="ann", reason="lunch", at=world.now)


def test_a_good_candidate_goes_all_the_way_by_itself() -> None:
    world = on_its_way().until_over()
    assert world.outcome() == (Outcome.PROMOTED, "all")
    assert (world.status.stable, world.status.previous) == (GOOD, STABLE)
    assert world.copies("stable").tag == GOOD
    steps = [event.numbers["weight"] for event in world.taken if event.kind == "rollout.step"]
    assert steps == [5, 25, 50, 100]
    expected = ["rollout.adopted", "rollout.started", "rollout.shadow", "rollout.shadow_passed"]
    expected += ["rollout.step"] * 3 + ["rollout.verdict", "rollout.promoting", "rollout.step"]
    assert world.kinds() == [*expected, "rollout.promoted", "rollout.ended"]


def test_the_mirror_goes_on_when_the_shadow_is_ready_and_off_before_it_goes() -> None:
    world = on_its_way(slow=True)
    world.follow(4)
    assert (world.copies("shadow").tag, world.copies("shadow").wanted, world.split.mirror) == (GOOD, 2, 0)
    world.fleet.settle("shadow")
    world.follow()
    assert world.split == Split(100, 0, 100)
    world.until(lambda it: it.copies("shadow").wanted == 0)
    assert world.split == ALL_TO_STABLE


def test_a_shadow_that_fails_served_nobody_and_is_banned() -> None:
    world = on_its_way().until_phase(Phase.SHADOW)
    world.mood = HARM
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "flips")
    assert GOOD in world.status.banned
    assert "rollout.step" not in world.kinds()


def test_a_plan_without_a_shadow_phase_begins_with_the_canary() -> None:
    world = on_its_way(PLAN.model_copy(update={"shadow": None})).until_weight(5)
    assert "rollout.shadow" not in world.kinds()
    assert world.copies("shadow").wanted == 0


def test_a_plan_that_requires_labels_and_makes_no_pairs_is_not_begun() -> None:
    plan = PLAN.model_copy(update={"shadow": None, "labels": LabelPlan(required=True)})
    world = on_its_way(plan)
    world.follow(3)
    assert world.status.attempt is None
    assert "only a shadow phase makes them" in world.status.message
    world.start(GOOD, forced=True)
    assert world.until_over().outcome() == (Outcome.PROMOTED, "all")


def test_a_copy_is_ready_before_it_gets_a_weight() -> None:
    world = on_its_way().until(lambda it: it.copies("canary").wanted > 0)
    world.slow = True
    world.fleet.crash("canary")
    world.follow(3)
    assert world.split == ALL_TO_STABLE
    world.slow = False
    world.until_weight(5)


def test_no_pod_ready_means_weight_0_at_once_and_back_to_the_same_step() -> None:
    world = on_its_way().until_weight(25)
    world.slow, world.mood = True, HOLD
    world.fleet.crash("canary")
    world.follow()
    assert world.split == ALL_TO_STABLE
    assert world.status.attempt is not None
    assert world.status.attempt.suspended is not None
    world.slow = False
    world.follow()
    assert world.split.canary == 25
    assert world.kinds()[-2:] == ["rollout.suspended", "rollout.resumed"]


def test_no_pod_ready_for_long_is_a_rollback() -> None:
    world = on_its_way().until_weight(25)
    world.fleet.trouble("canary", "CrashLoopBackOff")
    world.fleet.crash("canary")
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "unavailable")
    assert "CrashLoopBackOff" in world.status.banned[GOOD].reason


def test_a_candidate_whose_copies_never_start_is_inconclusive_and_not_banned() -> None:
    world = on_its_way()
    world.fleet.trouble("shadow", "no such artifact")
    world.follow(3)
    assert "no such artifact" in world.status.message
    world.until_over()
    assert world.outcome() == (Outcome.INCONCLUSIVE, "start")
    assert world.status.banned == {}


def test_a_rollback_sets_weight_0_first_then_records_then_scales_down() -> None:
    world = on_its_way().until_weight(25)
    world.mood = HARM
    reports = []
    while world.status.attempt is None or world.status.attempt.verdict is None:
        reports.append(world.follow())
    last = reports[-1]
    assert last is not None
    assert last.commands == ("split stable 100, canary 0, mirror 0", "status RollingBack")
    assert world.copies("canary").wanted > 0, "its last requests end first"
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "errors")
    assert world.copies("canary").wanted == 0


@pytest.mark.parametrize("evidence", ["readable", "away"])
def test_a_rollback_is_latched_when_the_controller_dies_after_the_weight(evidence: str) -> None:
    world = on_its_way().until_weight(25)
    world.mood = HARM
    while world.split.canary:
        world.dies_after(1)
    if evidence == "away":
        world._no_evidence()
    world.follow(3)
    assert world.split == ALL_TO_STABLE
    world.evidence.obstacle = None
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "errors")


def test_a_weight_of_0_that_nobody_recorded_stays_and_ends_as_interrupted() -> None:
    world = on_its_way().until_weight(25)
    world._by_hand()
    world.split = ALL_TO_STABLE
    world.until_over()
    assert world.outcome() == (Outcome.INCONCLUSIVE, "interrupted")
    assert world.status.banned == {}


def test_a_weight_set_by_hand_is_put_right() -> None:
    world = on_its_way().until_weight(25)
    world._by_hand()
    world.mood, world.split = HOLD, Split(60, 40)
    world.follow()
    assert world.split.canary == 25
    assert "rollout.corrected" in world.kinds()


def test_a_rise_that_was_not_recorded_is_decided_again_and_kept() -> None:
    world = on_its_way().until_weight(5)
    while world.split.canary == 5:
        world.dies_after(1)
    assert (world.split.canary, world.weight()) == (25, 5)
    world.follow()
    assert (world.split.canary, world.weight()) == (25, 25)


def test_harm_in_an_older_block_wins_and_nothing_rose_in_between() -> None:
    world = on_its_way().until_weight(5)
    world._no_evidence()
    world.follow(6)
    assert world.split.canary == 5
    world.evidence.obstacle = None
    moods = iter((HARM, *[WELL] * 100))
    world._mood = lambda: next(moods)
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "errors")


@pytest.mark.parametrize("obstacle", ["no traffic", "store away"])
def test_without_evidence_the_last_safe_weights_hold(obstacle: str) -> None:
    world = on_its_way().until_weight(25)
    if obstacle == "store away":
        world._no_evidence()
    world.mood = HOLD
    world._mood = lambda: HOLD
    world.follow(20)
    assert world.split.canary == 25
    assert world.status.phase is Phase.CANARY


def test_a_deadline_that_passes_while_evidence_is_away_ends_inconclusive() -> None:
    world = on_its_way().until_weight(25)
    world._no_evidence()
    world.until_over()
    assert world.outcome() == (Outcome.INCONCLUSIVE, "deadline")
    assert world.status.banned == {}


def test_a_controller_that_was_away_for_long_catches_up_before_it_decides() -> None:
    world = on_its_way().until_weight(5)
    world.pass_time(3_600)
    world.follow()
    assert world.split.canary == 5, "60 blocks are not all of an hour"
    world.until_over()
    assert world.outcome()[0] in (Outcome.PROMOTED, Outcome.INCONCLUSIVE)


def test_a_clock_that_was_set_back_holds_and_then_goes_on() -> None:
    world = on_its_way().until_weight(25)
    world.pass_time(-300)
    report = world.follow()
    assert world.split.canary == 25
    assert report is not None
    assert "clock" in report.problems[0]
    world.until_over()
    assert world.outcome()[0] is Outcome.PROMOTED


def test_another_candidate_supersedes() -> None:
    world = on_its_way().until_weight(25)
    world.start(OTHER)
    world.follow()
    assert world.split == ALL_TO_STABLE
    world.until_over()
    assert world.outcome()[0] is Outcome.SUPERSEDED
    world.until(lambda it: it.status.stable == OTHER)
    assert world.status.banned == {}


def test_the_candidate_set_back_to_stable_ends_the_attempt() -> None:
    world = on_its_way().until_weight(5)
    world.change_spec(candidate=STABLE)
    world.until_over()
    assert world.outcome()[0] is Outcome.SUPERSEDED
    world.follow(5)
    assert world.status.phase is Phase.IDLE


def test_an_abort_ends_without_a_ban_and_is_not_begun_again_until_asked() -> None:
    world = on_its_way().until_weight(25)
    world.change_spec(abort=world.request(GOOD))
    world.until_over()
    assert world.outcome() == (Outcome.ABORTED, "abort")
    world.follow(10)
    assert world.status.attempt is None
    assert world.status.banned == {}
    world.start(GOOD)
    world.until(lambda it: it.status.stable == GOOD)


def test_an_abort_of_an_earlier_attempt_does_not_end_the_next() -> None:
    world = on_its_way().until_weight(5)
    abort = world.request(GOOD)
    world.change_spec(abort=abort)
    world.until_over()
    world.start(OTHER)
    world.until_weight(5)
    world.change_spec(abort=world.request(OTHER))
    world.until(lambda it: it.status.attempt is None)
    world.start(GOOD)
    world.change_spec(abort=abort)
    world.until(lambda it: it.status.stable == GOOD)


def test_a_banned_tag_is_refused_once_in_words_unless_forced() -> None:
    world = on_its_way().until_weight(5)
    world.mood = HARM
    world.until_over()
    world.mood = WELL
    world.start(GOOD)
    world.follow(10)
    assert (world.status.phase, world.status.attempt) == (Phase.WAITING, None)
    assert "rolled back by 'errors'" in world.status.message
    assert world.kinds().count("rollout.refused") == 1
    world.start(GOOD, forced=True)
    world.until(lambda it: it.status.stable == GOOD)
    assert "rollout.forced" in world.kinds()
    assert GOOD not in world.status.banned


def test_a_pause_holds_rises_and_rolling_back_goes_on() -> None:
    world = on_its_way().until_weight(5)
    world.change_spec(paused=paused(world))
    world.follow(8)
    assert world.split.canary == 5
    assert "paused by ann: lunch" in world.status.message
    world.mood = HARM
    world.until_over()
    assert world.outcome()[0] is Outcome.ROLLED_BACK


def test_a_pause_lets_a_shadow_phase_pass_and_no_user_be_served() -> None:
    world = on_its_way().until_phase(Phase.SHADOW)
    world.change_spec(paused=paused(world))
    world.follow(20)
    assert (world.split.canary, world.status.phase) == (0, Phase.WAITING)
    world.change_spec(paused=None)
    world.until_weight(5)


def test_outside_the_windows_nothing_rises() -> None:
    tomorrow = ChangeWindow(days=("tue",))
    world = on_its_way(PLAN.model_copy(update={"windows": (tomorrow,)}))
    world.follow(30)
    assert (world.split.canary, world.status.phase) == (0, Phase.WAITING)
    assert "change windows" in world.status.message
    world.pass_time(timedelta(hours=12).total_seconds())
    world.until_weight(5)


def test_a_dead_stable_holds_the_weights_and_keeps_its_canary() -> None:
    world = on_its_way().until_weight(25)
    world.slow = True
    world.fleet.trouble("stable", "node lost")
    world.fleet.crash("stable")
    world.fleet.crash("stable")
    world.follow(6)
    assert world.split.canary == 25
    assert "no copy of stable is ready" in world.status.message


def test_a_rollback_while_stable_is_dead_waits_for_it_with_the_traffic() -> None:
    world = on_its_way().until_weight(25)
    world.slow = True
    world.fleet.trouble("stable", "node lost")
    world.fleet.crash("stable")
    world.fleet.crash("stable")
    world.change_spec(abort=world.request(GOOD))
    world.follow(3)
    assert world.split.canary == 25
    world.fleet.trouble("stable", "")
    world.slow = False
    world.until_over()
    assert world.split == ALL_TO_STABLE


def test_stables_model_changed_by_hand_is_put_back() -> None:
    world = on_its_way().until_weight(5)
    world.fleet.assign("stable", OTHER)
    world.follow()
    assert world.copies("stable").tag == STABLE
    assert "rollout.corrected" in world.kinds()
    world.until_over()
    assert world.status.stable == GOOD


def test_a_canary_with_another_model_gets_no_traffic_until_it_has_the_candidate() -> None:
    world = on_its_way().until_weight(25)
    world.slow, world.mood = True, HOLD
    world._mood = lambda: HOLD
    world._by_hand()
    world.fleet.assign("canary", OTHER)
    world.follow()
    assert (world.split, world.copies("canary").tag) == (ALL_TO_STABLE, GOOD)
    world.slow = False
    world.until_weight(25)


def test_a_lost_object_is_rebuilt_and_a_candidate_starts_again_at_shadow() -> None:
    world = on_its_way().until_weight(50)
    world.monitor.ledgers = {}
    world.object = ModelRollout(spec=Spec(plan=PLAN, candidate=GOOD), version="99")
    world.follow()
    assert world.split == ALL_TO_STABLE
    assert world.status.stable == STABLE
    world.until_phase(Phase.SHADOW)
    assert world.copies("canary").wanted == 0


def test_without_a_stable_model_only_a_forced_one_becomes_the_first() -> None:
    world = GuidedWorld()
    world.fleet = MemoryFleet()
    world.fleet.scale("stable", 1)
    world.start(GOOD)
    world.follow(3)
    assert world.copies("stable").tag is None
    assert "bootstrap" in world.status.message
    world.monitor.demand = lambda *_: None  # it knows no first model
    world.start(GOOD, forced=True)
    world.until(lambda it: it.status.stable == GOOD)
    assert "rollout.forced" in world.kinds()


@pytest.mark.parametrize("kind", ["router", "fleet", "store", "history"])
def test_an_api_error_in_the_middle_holds_and_says_so(kind: str) -> None:
    world = on_its_way().until_weight(5)
    place = {"store": 1, "router": 2, "fleet": 3, "history": 5}[kind]
    report = world.follow(fuse=Fuse(place, error=api_error))
    assert report is not None
    assert world.split.canary == 5
    assert report.problems or kind == "history"
    world.until_over()
    assert world.outcome()[0] is Outcome.PROMOTED


def test_a_route_that_somebody_else_changed_is_applied_again_in_every_phase_and_told_once() -> None:
    for true in (
        lambda it: it.status.phase is Phase.SHADOW and it.split.mirror,
        lambda it: it.weight() == 25,
        lambda it: it.status.phase is Phase.IDLE and it.status.stable == GOOD,
    ):
        world = on_its_way().until(true)
        world.altered = "somebody else changed the route"
        world.follow(3)
        assert world.altered == ""
        assert world.kinds().count("rollout.corrected") == 1


def test_weights_by_hand_between_rollouts_are_put_right_and_told() -> None:
    world = on_its_way().until_over()
    world.split, world.altered = Split(40, 60), "somebody else changed the route"
    world.follow(2)
    assert world.split == ALL_TO_STABLE
    assert world.kinds().count("rollout.corrected") == 1


def test_a_canarys_model_by_hand_is_put_right_and_told() -> None:
    world = on_its_way().until_weight(25)
    world.fleet.assign_by_hand("canary", OTHER)
    world.follow(3)
    assert (world.copies("canary").tag, world.split.canary) == (GOOD, 25)
    assert world.kinds().count("rollout.corrected") == 1


def test_too_few_copies_by_hand_are_put_right_and_more_are_kept_until_the_end() -> None:
    world = on_its_way().until_weight(25)
    enough = world.copies("canary").wanted
    world.fleet.scale_by_hand("canary", 0)
    world.follow(3)
    assert (world.copies("canary").wanted, world.kinds().count("rollout.corrected")) == (enough, 1)
    world.fleet.scale_by_hand("canary", enough + 2)
    world.follow(3)
    assert (world.copies("canary").wanted, world.kinds().count("rollout.corrected")) == (enough + 2, 2)
    world.until_over()
    assert world.copies("canary").wanted == 0


def test_an_object_that_is_lost_is_rebuilt_and_the_candidate_starts_again_at_its_shadow() -> None:
    world = on_its_way().until_weight(25)
    world.monitor.ledgers = {}
    world.object = ModelRollout(spec=world.object.spec, version="9000")
    world.follow()
    assert (world.status.stable, world.status.attempt) == (STABLE, None)
    world.until(lambda it: it.status.attempt is not None)
    assert world.split.canary == 0
    world.until_phase(Phase.SHADOW)
    world.until_over()
    assert world.status.stable == GOOD
