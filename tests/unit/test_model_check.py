"""The state machine against all that can happen to it, in any order; `doubles/rollout_monitor.py` has the rules.

Walks are random and seeded: ticks, controllers killed before or after any operation, errors of router, fleet, store
and history, copies that crash or never become ready, evidence that stays away, clocks set back, a day's absence, people
who start, abort, pause, force and undo, weights and tags set by hand, the object lost. Each walk ends in calm: faults
stop, and whatever was begun must end. A check that finds nothing proves nothing, so rules are broken, one by one, too.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.rollout import canary_phase, ending, phases, promotion, readings, shadow_phase, starting
from k8s.rollout.model_rollout import Outcome
from k8s.rollout.turn import Turn
from tests.doubles.model_world import World
from tests.doubles.rollout_monitor import Broken

WALKS, STEPS = 500, 400
MUTANT_WALKS = 400


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def walk(seed: int) -> Counter[Outcome]:
    """One walk; how its attempts ended."""
    world = World(random.Random(seed))
    for _ in range(STEPS):
        world.step()
    world.calm()
    return Counter(world.monitor.outcomes)


@pytest.mark.timeout(600)
def test_no_rule_is_broken_by_faults_kills_and_people_in_any_order() -> None:
    ended: Counter[Outcome] = Counter()
    for seed in range(WALKS):
        try:
            ended += walk(seed)
        except Broken as broken:
            pytest.fail(f"walk {seed}: {broken}")
    assert WALKS * STEPS >= 100_000
    assert all(ended[outcome] >= 10 for outcome in Outcome), ended


def first_broken_rule() -> str | None:
    for seed in range(MUTANT_WALKS):
        try:
            walk(seed)
        except (Broken, AssertionError) as broken:
            return str(broken)
    return None


def _ignore(*_: Any, **__: Any) -> None:
    return None


def _always(*_: Any, **__: Any) -> bool:
    return True


def _records_before_the_weight(turn: Turn, found: Any) -> None:
    ending.latch(turn, found)
    turn.put(0)


_put = Turn.put


def _leaves_the_mirror_on(turn: Turn, canary: int, mirror: int = 0) -> bool:
    return _put(turn, canary, mirror if canary else max(mirror, turn.split.mirror))


def _puts_weight_half_down(turn: Turn, canary: int, mirror: int = 0) -> bool:
    return _put(turn, 5 if canary == 0 and turn.split.canary > 5 else canary, mirror)


def _rolls_stable_at_once(turn: Turn) -> None:
    turn.assign("stable", turn.attempt.candidate)


_conclude = Turn.conclude


def _bans_nobody(turn: Turn, verdict: Any) -> None:
    banned = turn.status.banned
    _conclude(turn, verdict)
    turn.change(banned=banned)


def _promotes_at_any_step(turn: Turn, reading: Any) -> None:
    canary_phase._promote(turn)


def _to_the_last_step(turn: Turn) -> int | None:
    steps = turn.attempt.plan.canary.steps
    return steps[-1].weight if turn.recorded() < steps[-1].weight else None


def _scales_down_first(turn: Turn) -> bool:
    gone = turn.scale("canary", 0) or turn.scale("shadow", 0)
    return not gone and not turn.put(0)


Mutation = tuple[Any, str, Any]
MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "a weight found at 0 may rise again": ((Turn, "fallen", lambda _: False), "nobody recorded|after evidence of harm"),
    "a copy need not be ready for its weight": (
        (Turn, "available", _always),
        "ready",
    ),
    "a canary without copies keeps its weight": ((canary_phase, "wanted_copies", _always), "ready|answer"),
    "later blocks outvote one that showed harm": ((readings, "ENDS", ()), "after evidence of harm"),
    "the verdict is recorded before the weight is 0": (
        (canary_phase, "end", _records_before_the_weight),
        "before the weight was 0",
    ),
    "a pause holds nothing": ((Turn, "held", _ignore), "in a pause"),
    "the canary of a promotion is smaller than stable": ((promotion, "_size", lambda _: 1), "fewer copies than stable"),
    "a promotion is done before stable's copies are": ((promotion, "_taken_over", _always), "before every copy"),
    "stable is rolled with its traffic on it": (
        (promotion, "_hand_over", _rolls_stable_at_once),
        "stable is rolled while it has the traffic",
    ),
    "everybody may start, banned or not": ((starting, "_refused", _ignore), "is banned"),
    "people can't end an attempt": ((ending, "_by_people", _ignore), "was wanted"),
    "a verdict is not carried out": ((phases, "carry_out", _ignore), "does not end"),
    "the mirror stays on when the shadow goes": (
        (Turn, "put", _leaves_the_mirror_on),
        "mirror on it|is not of the plan",
    ),
    "a weight falls by half": ((Turn, "put", _puts_weight_half_down), "entities go back|before the weight was 0"),
    "a step is left out": ((canary_phase, "_following", _to_the_last_step), "after 5 %"),
    "a promotion does not wait for the last step": ((canary_phase, "_rise", _promotes_at_any_step), "every gate"),
    "a model that was rolled back is not banned": ((Turn, "conclude", _bans_nobody), "not banned"),
    "copies go before their traffic": (
        (starting, "put_away", _scales_down_first),
        "with traffic on it|mirror on it|does not end",
    ),
    "what is written counts as in force": ((Turn, "confirm", _ignore), "with traffic on it|mirror on it|while it has"),
    "a shadow phase that failed counts as passed": (
        (shadow_phase, "reason_to_end", _ignore),
        "after evidence of harm|does not end|was wanted",
    ),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTATIONS)
def test_breaking_a_rule_turns_the_check_red(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (where, what, instead), expected = MUTATIONS[name]
    monkeypatch.setattr(where, what, instead)
    broken = first_broken_rule()
    assert broken is not None, f"nothing noticed that {name}"
    assert any(part in broken for part in expected.split("|")), broken
