"""`plan`, `history` and `replay`."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s.rollout.blocks import Affected, Arm, CanaryBlock
from k8s.rollout.cli import main
from k8s.rollout.controller import Controller
from k8s.rollout.evidence import Question
from k8s.rollout.history import HistoryError, MemoryHistory, PostgresHistory
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.model_rollout import Event, ModelRollout, Spec
from k8s.rollout.plan import Plan
from tests.doubles.memory_backend import BEGINNING, CANDIDATE, STABLE, World

PLAN = Plan(shadow=None, block_seconds=1)


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, obj=world.desk(), catch_exceptions=False)


def arm(requests: int, errors: int) -> Arm:
    slow, flagged = requests // 100, requests // 50
    return Arm(requests, errors, slow, 0, flagged, Affected(errors, requests), Affected(flagged, requests))


def broken() -> World:
    """A world in which a canary began to fail and was rolled back."""
    world = World(ModelRollout(spec=Spec(candidate=CANDIDATE, plan=PLAN)))
    world.fleet.assign("stable", STABLE)
    world.fleet.scale("stable", 1)

    def block(question: Question, number: int) -> CanaryBlock:
        return CanaryBlock(number, 1.0, 0.05, arm(1_900, 2), arm(100, 60 if number > 3 else 0))

    world.evidence = MemoryEvidence(canary=block, history=world.history)
    controller = Controller(world.backend(), lambda: world.now)
    while world.store.read().status.last is None:
        assert controller.tick().problems == ()
        world.now += timedelta(seconds=0.5)
        assert world.now < BEGINNING + timedelta(minutes=2)
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return broken()


def test_history_lists_what_happened_without_the_blocks(world: World) -> None:
    text = run(world, "history").output
    assert f"{CANDIDATE} starts against {STABLE}" in text
    assert "rolled back" in text
    assert "block 1:" not in text
    assert "block 1:" in run(world, "history", "--decisions").output


def test_history_as_json_is_an_event_a_line_oldest_first(world: World) -> None:
    events = [json.loads(line) for line in run(world, "history", "--json", "--decisions").output.splitlines()]
    assert [event["number"] for event in events] == sorted(event["number"] for event in events)
    assert {"rollout.started", "rollout.decision", "rollout.verdict"} <= {event["kind"] for event in events}


def test_history_looks_back_past_any_number_of_decisions() -> None:
    world = World()
    kinds = ["rollout.step", *["rollout.decision"] * 700]
    events = [
        Event(number=number, at=BEGINNING, attempt="a", kind=kind, message=f"event {number}")
        for number, kind in enumerate(kinds)
    ]
    world.history.add_events(events)
    assert "event 0" in run(world, "history", "--last", "2").output


def test_history_of_an_attempt_that_never_was_is_a_wrong_call(world: World) -> None:
    ended = run(world, "history", "never")
    assert ended.exit_code == 2
    assert "'never'" in ended.output


def test_a_history_that_is_away_is_5_and_says_why(world: World) -> None:
    class Away(MemoryHistory):
        def events(self, *_: object, **__: object) -> tuple[Event, ...]:
            raise HistoryError("the events can't be read: connection refused")

    away = World(world.store.read())
    away.history = Away()
    for command in ("history", "replay"):
        ended = run(away, command)
        assert (ended.exit_code, "connection refused" in ended.output) == (5, True)
    assert "connection refused" in run(away, "status").output


@pytest.mark.parametrize("dsn", ["nonsense", "postgresql://rollout:s3cret@127.0.0.1:1/nowhere"])
def test_a_broken_connection_string_is_5_and_its_password_is_not_shown(world: World, dsn: str) -> None:
    away = World(world.store.read())
    away.history = PostgresHistory(dsn)
    ended = run(away, "history")
    assert (ended.exit_code, ended.output.startswith("error: the events can't be read: ")) == (5, True), ended.output
    assert "s3cret" not in ended.output
    assert run(away, "status").exit_code == 0


def test_replay_decides_the_newest_rollout_again_and_agrees(world: World) -> None:
    ended = run(world, "replay")
    assert ended.exit_code == 0, ended.output
    found = json.loads(run(world, "replay", "--json", "--every").output)
    assert found["agrees"]
    assert found["decisions"] == len(found["listed"]) >= 4
    assert found["listed"][-1]["again"] == "rollback"


def test_replay_of_altered_evidence_ends_with_7_and_names_the_block(world: World) -> None:
    altered = World(world.store.read())
    attempt = world.store.read().status.last.id
    altered.history.add_events(world.history.events())
    for each in world.history.evidence(attempt):
        block = replace(each.block, canary=arm(100, 0))
        altered.history.add_evidence(replace(each, block=block))
    ended = run(altered, "replay", attempt)
    assert ended.exit_code == 7, ended.output
    assert "come out otherwise" in ended.output
    assert "canary 4" in ended.output
    assert "canary 3" not in ended.output


def test_replay_by_another_plan_shows_what_it_would_have_done_and_is_no_error(world: World, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("block_seconds: 1\nshadow: null\ncanary: {step_blocks: 1, min_blocks: 1}\n")
    ended = run(world, "replay", "--plan", str(plan), "--json")
    assert ended.exit_code == 0, ended.output
    assert not json.loads(ended.output)["agrees"]


def test_replay_where_nothing_was_or_is_known_says_so(world: World) -> None:
    assert run(World(), "replay").exit_code == 4
    assert run(world, "replay", "never").exit_code == 2


def test_plan_prints_the_example_its_schema_and_a_file_completed(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "k8s" / "rollout" / "plan.example.yaml"
    assert run(World(), "plan").output == example.read_text(encoding="utf-8")
    assert json.loads(run(World(), "plan", "--schema").output)["title"] == "Plan"
    (tmp_path / "plan.yaml").write_text("alpha: 0.05\n")
    found = json.loads(run(World(), "plan", "--file", str(tmp_path / "plan.yaml"), "--json").output)
    assert (found["alpha"], found["beta"]) == (0.05, 0.05)


def test_plan_forecasts_without_any_stack() -> None:
    text = run(World(), "plan", "--rps", "50", "--streams", "10").output
    assert "At 50 requests a second" in text
    assert "rolled back" in text
    found = json.loads(run(World(), "plan", "--rps", "5", "--entities", "200", "--streams", "10", "--json").output)
    assert found["rps"] == 5
    assert found["notes"]


@pytest.mark.parametrize(
    "arguments", [["--rps", "0"], ["--rps", "-1"], ["--rps", "x"], ["--entities", "5"], ["--rps", "5", "--errors", "2"]]
)
def test_a_forecast_of_nonsense_is_a_wrong_call(arguments: list[str]) -> None:
    assert run(World(), "plan", *arguments).exit_code == 2
