"""Promotion, its taking back, the day's watch and undoing: each rule by its name. The monitor watches every step."""

from collections.abc import Callable

import pytest

from k8s.rollout.model_rollout import Outcome, Pause, Phase
from tests.doubles.guided_world import ALL_TO_STABLE, GuidedWorld, on_its_way
from tests.doubles.model_world import GOOD, HARM, HOLD, OTHER, PLAN, STABLE, WELL, Fuse, api_error, killed

MANUAL = PLAN.model_copy(update={"approval": "manual"})


def promoting(*, slow: bool = False) -> GuidedWorld:
    world = on_its_way().until_phase(Phase.PROMOTING)
    world.slow = slow
    return world


def stays_well(world: GuidedWorld) -> None:
    """What every block says from now on, whatever else happens."""
    world._mood = lambda: HOLD


def test_a_promotion_is_recorded_first_and_takes_its_steps_in_order() -> None:
    world = promoting(slow=True)
    seen: list[str] = []
    while world.status.attempt is not None:
        report = world.follow()
        assert report is not None
        new = [command for command in report.commands if not command.startswith("status")]
        seen += [command for command in new if command not in seen]  # a split is confirmed again and again
        world.fleet.advance("canary")
        world.fleet.advance("stable")
    assert seen == [
        "canary has 2 copies",
        "split stable 0, canary 100, mirror 0",
        f"stable runs {GOOD}",
        "split stable 100, canary 0, mirror 0",
        "canary has 0 copies",
        "shadow runs no version",
        "canary runs no version",
    ]


def test_stable_is_never_scaled_and_never_without_a_copy_that_answers() -> None:
    world = promoting(slow=True)
    while world.status.attempt is not None:
        world.follow()
        world.fleet.advance("canary")
        world.fleet.advance("stable")
        assert world.copies("stable").serving >= 2


def test_a_promotion_that_takes_too_long_is_taken_back_by_the_safe_way() -> None:
    world = promoting()
    world.until(lambda it: it.copies("stable").tag == GOOD)
    world.slow = True
    world.fleet.trouble("stable", "ImagePullBackOff")
    stays_well(world)
    world.until(lambda it: it.copies("stable").tag == STABLE)
    world.fleet.trouble("stable", "")
    world.slow = False
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "promotion")
    assert (world.status.stable, world.copies("stable").tag, world.split) == (STABLE, STABLE, ALL_TO_STABLE)
    assert "ImagePullBackOff" in world.status.banned[GOOD].reason


def test_a_crash_with_all_traffic_takes_the_promotion_back() -> None:
    world = promoting().until(lambda it: it.split.canary == 100)
    world.slow, world.mood = True, HARM
    world.until(lambda it: it.status.attempt is None or it.status.attempt.verdict.outcome is Outcome.ROLLED_BACK)
    world.slow, world.mood = False, WELL
    world.until_over()
    assert world.outcome() == (Outcome.ROLLED_BACK, "errors")
    assert world.copies("stable").tag == STABLE


def test_a_crash_while_stable_rolls_is_recorded_before_anything_is_done() -> None:
    world = promoting().until(lambda it: it.copies("stable").tag == GOOD)
    world.slow, world.mood = True, HARM
    report = None
    while world.status.attempt is not None and world.status.attempt.verdict.outcome is Outcome.PROMOTED:  # type: ignore[union-attr]
        report = world.follow()
    assert report is not None
    assert report.commands[0] == "status RollingBack"
    assert f"stable runs {STABLE}" in report.commands


def test_a_canary_that_dies_with_all_traffic_gives_it_back_at_once() -> None:
    world = promoting().until(lambda it: it.split.canary == 100)
    world.slow = True
    world.fleet.trouble("canary", "node lost")
    while world.fleet.crash("canary"):
        pass
    world.follow()
    assert world.split == ALL_TO_STABLE


def test_an_abort_ends_a_promotion_that_is_under_way() -> None:
    world = promoting().until(lambda it: it.split.canary == 100)
    world.change_spec(abort=world.request(GOOD))
    world.until_over()
    assert world.outcome() == (Outcome.ABORTED, "abort")
    assert world.copies("stable").tag == STABLE


def test_a_new_candidate_waits_for_a_promotion_that_is_under_way() -> None:
    world = promoting()
    world.start(OTHER)
    world.until(lambda it: it.status.stable == GOOD)
    world.until(lambda it: it.status.stable == OTHER)


def test_manual_approval_holds_once_before_promotion() -> None:
    world = on_its_way(MANUAL).until_weight(50)
    world.follow(20)
    assert (world.split.canary, world.status.phase) == (50, Phase.CANARY)
    assert "vigil rollout promote" in world.status.message
    assert world.kinds().count("rollout.waits_for_approval") == 1
    world.change_spec(promotion=world.request(GOOD))
    world.until_over()
    assert world.outcome() == (Outcome.PROMOTED, "all")
    assert world.status.last is not None
    assert world.status.last.verdict is not None
    assert world.status.last.verdict.by == "ann"


def test_an_approval_is_no_substitute_for_the_gates() -> None:
    world = on_its_way(MANUAL).until_weight(5)
    stays_well(world)
    world.change_spec(promotion=world.request(GOOD))
    world.follow(10)
    assert world.split.canary == 5


def test_a_forced_promotion_is_loud_and_recorded_with_who_and_why() -> None:
    world = on_its_way().until_weight(5)
    stays_well(world)
    world.change_spec(promotion=world.request(GOOD, skip_gates=True))
    world.until_over()
    assert world.outcome() == (Outcome.PROMOTED, "forced")
    forced = next(event for event in world.taken if event.kind == "rollout.forced")
    assert (forced.numbers["by"], forced.numbers["reason"]) == ("ann", "asked")
    assert "without its gates" in forced.message


def test_a_pause_holds_a_forced_promotion_and_not_an_undo() -> None:
    world = on_its_way().until_weight(5)
    stays_well(world)
    pause = Pause(by="bob", reason="audit", at=world.now)
    world.change_spec(paused=pause, promotion=world.request(GOOD, skip_gates=True))
    world.follow(6)
    assert world.status.attempt is not None
    assert world.status.attempt.verdict is None
    world.change_spec(paused=None)
    world.until(lambda it: it.status.stable == GOOD)
    world.change_spec(paused=pause)
    world._undo()
    world.until(lambda it: it.status.stable == STABLE)
    assert "rollout.undone" in world.kinds()


def test_undo_brings_the_previous_model_back_by_the_same_steps() -> None:
    world = on_its_way().until(lambda it: it.status.stable == GOOD)
    world._undo()
    world.until(lambda it: it.split.canary == 100)
    assert world.copies("canary").tag == STABLE
    world.until(lambda it: it.status.stable == STABLE)
    assert world.outcome() == (Outcome.PROMOTED, "undo")
    assert (world.status.previous, world.status.watch) == (GOOD, None)


def test_a_crash_in_the_watch_undoes_by_itself_and_bans() -> None:
    world = on_its_way().until(lambda it: it.status.watch is not None)
    world.mood = HARM
    world.until(lambda it: it.status.attempt is not None)
    world.mood = WELL
    world.until(lambda it: it.status.stable == STABLE)
    assert world.status.banned[GOOD].gate == "crash"
    world.follow(20)
    assert (world.status.stable, world.status.phase) == (STABLE, Phase.WAITING)
    assert "rolled back by 'crash'" in world.status.message


def test_a_watch_ends_with_its_time() -> None:
    world = on_its_way().until(lambda it: it.status.watch is not None)
    world.until(lambda it: it.status.watch is None)
    assert world.kinds()[-1] == "rollout.watched"


def test_a_watch_that_proposes_says_so_once_and_undoes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = on_its_way().until(lambda it: it.status.watch is not None)
    decide = world._decide_watch
    world.controller._gates = _with_watch(world, lambda *args, **named: _proposing(decide(*args, **named)))
    world.follow(8)
    assert world.kinds().count("rollout.undo_proposed") == 1
    assert "too slow" in world.status.message
    assert world.status.stable == GOOD


def _with_watch(world: GuidedWorld, watch: Callable[..., object]) -> object:
    from dataclasses import replace  # noqa: PLC0415 - of this one test

    return replace(world.controller._gates, watch=watch)


def _proposing(decision: object) -> object:
    from dataclasses import replace  # noqa: PLC0415 - as above

    return replace(decision, proposal="too slow")  # type: ignore[type-var]


def test_a_new_attempt_ends_the_watch() -> None:
    world = on_its_way().until(lambda it: it.status.watch is not None)
    world.start(OTHER)
    world.until(lambda it: it.status.attempt is not None)
    assert world.status.watch is None


def story_promoted(world: GuidedWorld) -> None:
    stays = world.mood
    assert stays == WELL


def story_rolled_back(world: GuidedWorld) -> None:
    if world.split.canary >= 25:
        world.mood = HARM


def story_aborted(world: GuidedWorld) -> None:
    if world.split.canary == 50 and world.object.spec.abort is None:
        world.change_spec(abort=world.request(GOOD))


def story_undone(world: GuidedWorld) -> None:
    if world.status.watch is not None:
        world.mood = HARM
    elif world.status.attempt is not None and world.status.attempt.by == "watch":
        world.mood = WELL


STORIES = {
    story_promoted: (GOOD, 200),
    story_rolled_back: (STABLE, 200),
    story_aborted: (STABLE, 200),
    story_undone: (STABLE, 300),
}


@pytest.mark.parametrize("fault", ["killed before", "killed after", "error before", "error after"])
@pytest.mark.parametrize("story", STORIES)
def test_a_story_ends_the_same_when_any_one_of_its_changes_fails(
    story: Callable[[GuidedWorld], None], fault: str
) -> None:
    """Every change of every tick in turn: the router's, the fleet's, the store's and the history's."""
    stable, most = STORIES[story]
    number = 0
    while True:
        number += 1
        world = on_its_way()
        error = killed if fault.startswith("killed") else api_error
        fuse = Fuse(number, after=fault.endswith("after"), error=error, changes_only=True)
        for _ in range(most):
            story(world)
            world.follow(fuse=fuse)
            if world.status.attempt is None and world.status.last is not None and not _goes_on(story, world):
                break
        assert (world.status.stable, world.split) == (stable, ALL_TO_STABLE), (number, world.status.message)
        assert world.status.attempt is None
        if fuse.left > 0:  # it has no more changes
            break
    assert number > 20


def _goes_on(story: Callable[[GuidedWorld], None], world: GuidedWorld) -> bool:
    return story is story_undone and world.status.stable == GOOD
