"""Drawings of `status`, held against files in `drawings/`. After a change that is meant, write them again:
VIGIL_DRAW=1 pytest tests/unit/test_rollout_views.py, and read the difference."""

import io
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from k8s.rollout import bars
from k8s.rollout.decide import GateNumbers
from k8s.rollout.fleets import Copies
from k8s.rollout.leases import Holder
from k8s.rollout.model_rollout import (
    Attempt,
    Event,
    ModelRollout,
    Outcome,
    Pause,
    Phase,
    Spec,
    Status,
    Suspension,
    Verdict,
    Watch,
)
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Split
from k8s.rollout.sight import Sight, as_json, look
from k8s.rollout.stores import StoreError
from k8s.rollout.views import draw
from tests.doubles.memory_backend import CANDIDATE, STABLE, World

DRAWINGS = Path(__file__).with_name("drawings")
T = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
M = timedelta(minutes=1)
NOBODY = Copies()
GATES = (
    GateNumbers("crash", "ok", "no block in which half of the canary's requests failed"),
    GateNumbers(
        "errors", "gathering", "12,000 more requests needed; 3 errors against 40", 1.3, 100, 1.1, 3.0, (), 12_000, 8.0
    ),
    GateNumbers("over_slo", "ok", "18 against 190", 0.2, 100, 4.0, 3.0),
    GateNumbers("flagged", "gathering", "500 more requests needed; 61 against 600", 12.5, 100, 0.4, 3.0, (), 500, 2.0),
    GateNumbers("labels", "not evaluated", "no labels yet"),
)
FAILED = (GateNumbers("errors", "failed", "90 against 40", 4e9, 100, 0, 3.0), *GATES[2:4])


def event(number: int, at: datetime, message: str) -> Event:
    return Event(number=number, at=at, attempt="a", kind="rollout.step", message=message)


def attempt(**fields: object) -> Attempt:
    return Attempt(id="a", candidate=CANDIDATE, stable=STABLE, started_at=T, plan=Plan(), **fields)


def sight(status: Status, split: Split, canary: Copies = NOBODY, shadow: Copies = NOBODY, **spec: object) -> Sight:
    fleet = {"stable": Copies(STABLE, 2, 2), "canary": canary, "shadow": shadow}
    holder = Holder("vigil-1, process 7", T)
    ticked = status.model_copy(update={"stable": STABLE, "ticked_at": T + 13 * M})
    return Sight(ModelRollout(spec=Spec(**spec), status=ticked), T + 13 * M, split, fleet, holder, status.outbox)


def idle() -> Sight:
    return sight(Status(message=f"{STABLE} is stable, and there is no candidate."), Split(100, 0, 0))


def shadow() -> Sight:
    gates = (
        GateNumbers(
            "flips",
            "gathering",
            "12,500 more entities needed; 41 of 9,000 flips",
            0.8,
            400,
            2.0,
            6.0,
            (("n", 9000.0),),
            12_500,
            8.0,
        ),
    )
    status = Status(
        phase=Phase.SHADOW,
        message="The shadow gate needs 12,500 more entities.",
        attempt=attempt(shadow_since=T + 1 * M),
        gates=tuple(asdict(gate) for gate in gates),
        outbox=(event(1, T, f"{CANDIDATE} starts against {STABLE}"),),
    )
    return sight(status, Split(100, 0, 100), shadow=Copies(CANDIDATE, 1, 1), candidate=CANDIDATE)


def canary(**fields: object) -> Sight:
    found = attempt(canary_since=T + 5 * M, step=1, step_since=T + 9 * M, **fields)
    status = Status(
        phase=Phase.CANARY,
        message="Holds at 25 %: the gate 'errors' needs 12,000 more requests.",
        attempt=found,
        gates=tuple(asdict(gate) for gate in GATES),
        outbox=(event(1, T - timedelta(days=1), "an older one"), event(2, T + 9 * M, "canary from 5 to 25 %")),
    )
    return sight(status, Split(75, 25, 0), canary=Copies(CANDIDATE, 2, 2), candidate=CANDIDATE)


def trouble() -> Sight:
    seen = canary(suspended=Suspension(since=T + 11 * M, reason="no copy was ready"))
    fleet = {**(seen.fleet or {}), "canary": Copies(CANDIDATE, 2, 0, 0, 4, False, "CrashLoopBackOff")}
    paused = seen.rollout.model_copy(
        update={"spec": seen.rollout.spec.model_copy(update={"paused": Pause(by="ann", reason="holiday", at=T)})}
    )
    problem = "the history can't be seen: the connection was refused"
    return replace(seen, rollout=paused, split=Split(100, 0), fleet=fleet, controller=None, problems=(problem,))


def rolled_back() -> Sight:
    verdict = Verdict(outcome=Outcome.ROLLED_BACK, gate="errors", reason="1.9 % failed, stable's 0.1 %", at=T + 12 * M)
    status = Status(
        phase=Phase.ROLLING_BACK,
        message=f"{CANDIDATE} is rolled back by 'errors': its copies are going.",
        attempt=attempt(canary_since=T + 5 * M, step=1, verdict=verdict),
        gates=tuple(asdict(gate) for gate in FAILED),
    )
    return sight(status, Split(100, 0, 0), canary=Copies(CANDIDATE, 0, 1, settled=False), candidate=CANDIDATE)


def over() -> Sight:
    verdict = Verdict(outcome=Outcome.INCONCLUSIVE, gate="flagged", reason="too few entities", at=T + 12 * M)
    return sight(Status(message="It is over.", last=attempt(verdict=verdict)), Split(100, 0, 0))


def watched() -> Sight:
    watch = Watch(attempt="a", since=T, until=T + timedelta(hours=24), previous=CANDIDATE)
    proposed = watch.model_copy(update={"proposed_undo": "errors are above 1 %"})
    return sight(Status(message=f"{STABLE} is stable.", watch=proposed), Split(100, 0, 0))


def blind() -> Sight:
    problems = ("the split in force can't be seen: no such file", "the copies can't be seen: no answer")
    return replace(canary(), split=None, fleet=None, problems=problems, now=T + 20 * M)


SCENES: tuple[Callable[[], Sight], ...] = (idle, shadow, canary, trouble, rolled_back, over, watched, blind)


def drawn(seen: Sight, width: int) -> str:
    screen = Console(file=io.StringIO(), width=width, highlight=False)
    screen.print(draw(seen, width))
    text = screen.file.getvalue()
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("width", [120, 80, 44])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_drawing_is_as_it_was(scene: Callable[[], Sight], width: int) -> None:
    file, text = DRAWINGS / f"{scene.__name__}-{width}.txt", drawn(scene(), width)
    if os.environ.get("VIGIL_DRAW"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_no_line_is_wider_than_the_terminal(scene: Callable[[], Sight]) -> None:
    for width in (30, 44, 80, 120, 200):
        assert max(len(line) for line in drawn(scene(), width).splitlines()) <= width


def test_what_is_piped_has_no_colours_and_a_terminal_has() -> None:
    piped, terminal = io.StringIO(), io.StringIO()
    Console(file=piped, width=80).print(draw(canary(), 80))
    Console(file=terminal, width=80, force_terminal=True, color_system="standard").print(draw(canary(), 80))
    assert "\x1b" not in piped.getvalue()
    assert "\x1b" in terminal.getvalue()


def test_a_part_that_is_away_is_named_and_the_rest_is_shown() -> None:
    class Away:
        def look(self) -> object:
            raise OSError("no route to host")

    world = World(canary().rollout)
    seen = look(replace(world.backend(), fleet=Away()), T + 13 * M)
    assert seen.problems == ("the copies can't be seen: no route to host",)
    assert "no controller runs" in drawn(seen, 120)
    assert as_json(seen)["fleet"] is None


def test_an_object_that_can_not_be_read_is_an_error_and_no_empty_picture() -> None:
    world = World()
    world.store.failure = StoreError("the disk is gone")
    with pytest.raises(StoreError, match="the disk is gone"):
        look(world.backend(), T)


def test_events_that_the_history_has_not_taken_yet_are_shown_once() -> None:
    world = World(canary().rollout)
    world.history.add_events(world.rollout.status.outbox[:1])
    assert [each.number for each in look(world.backend(), T).events] == [1, 2]


def test_a_controller_that_does_not_tick_is_called_late() -> None:
    assert "has not ticked for 420 s" in blind().unattended
    assert canary().unattended == ""


@given(st.floats(allow_nan=False), st.integers(1, 60))
def test_a_bar_has_its_width_whatever_its_value(share: float, width: int) -> None:
    assert bars.bar(share, width).cell_len == width


@given(st.floats(1e-6, 1e12), st.floats(1e-6, 1e12))
def test_more_evidence_is_a_longer_bar_and_the_bound_is_full(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bars.log_share(low, 100) <= bars.log_share(high, 100)
    assert bars.log_share(max(high, 100), 100) == 1


@given(st.floats(-1e16, 1e16) | st.sampled_from([float("nan"), float("inf"), -0.0, 999.5, 9_999.5, 999_999.0]))
def test_a_number_is_short_whatever_its_size(value: float) -> None:
    assert len(bars.number(value)) <= 8


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "1 h 59 min"), (7_200, "2 h"), (200_000, "2 d 7 h")],
)
def test_a_span_is_said_in_its_own_unit(seconds: float, words: str) -> None:
    assert bars.span(seconds) == words
