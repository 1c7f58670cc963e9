"""The controller as a process: one at a time, seen by probes and metrics, ended by a signal."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from k8s.local.ports import free_ports
from k8s.rollout import logs
from k8s.rollout.blocks import Affected, Arm, CanaryBlock, Waiting
from k8s.rollout.changes import NoChanges
from k8s.rollout.cli import main
from k8s.rollout.controller import Controller, TickReport
from k8s.rollout.errors import LostError, NotRunningError, UsageError
from k8s.rollout.evidence import Question
from k8s.rollout.file_store import FileStore
from k8s.rollout.fleets import FleetError
from k8s.rollout.health import Health, HealthServer
from k8s.rollout.leases import Holder, MemoryLease
from k8s.rollout.metrics import Metrics
from k8s.rollout.model_rollout import ModelRollout, Outcome, Phase, Spec, Status
from k8s.rollout.observed_evidence import ObservedEvidence
from k8s.rollout.plan import Plan
from k8s.rollout.settings import Settings
from k8s.rollout.tenure import CONFIRM_SECONDS, Tenure
from k8s.rollout.ticking import Ticker
from tests.doubles.memory_backend import BEGINNING, CANDIDATE, STABLE, World
from tests.waiting import wait_for

PLAN = Plan(shadow=None, block_seconds=1)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What `run` installs is gone again."""
    root, ours = logging.getLogger(), logging.getLogger("k8s")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def served(world: World) -> World:
    world.fleet.assign("stable", STABLE)
    world.fleet.scale("stable", 1)
    return world


def run(world: World, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["run", *arguments], obj=world.desk(), env=environment, catch_exceptions=False)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"vigil_rollout_{name}", labels)


def arm(requests: int, errors: int) -> Arm:
    return Arm(requests, errors, requests // 100, 0, requests // 50, Affected(errors, requests), Affected(0, requests))


def ticker(world: World, metrics: Metrics) -> Ticker:
    tenure = Tenure(world.backend().lease, "the test", lambda: world.now)
    tenure.begin()
    backend = replace(world.backend(), evidence=ObservedEvidence(world.evidence, metrics.see_obstacle))
    return Ticker(
        Controller(backend, lambda: world.now).tick,
        tenure,
        metrics,
        see=metrics.see,
        changes=NoChanges(),
        ticks=lambda: 0.0,
    )


def test_one_tick_takes_the_lease_and_gives_it_back() -> None:
    world = served(World())
    assert run(world, "--once").exit_code == 0
    assert world.leases == {}
    assert world.store.read().status.ticked_at == BEGINNING


def test_a_second_controller_ends_with_6_and_says_who_is_first() -> None:
    ended = run(served(World()).attended(), "--once")
    assert ended.exit_code == 6
    assert "another process" in ended.output


def test_one_tick_that_can_not_see_a_part_of_the_world_ends_with_1() -> None:
    world = served(World())
    world.fleet.failure = FleetError("no route to the fleet")
    ended = run(world, "--once")
    assert ended.exit_code == 1
    told = json.loads(ended.stderr.splitlines()[1])
    assert (told["event"], told["level"], told["problem"]) == ("rollout.problem", "warning", "no route to the fleet")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ROLLOUT_TICK_SECONDS", "soon"),
        ("ROLLOUT_WEBHOOK_URL", "ftp://user:s3cret@host"),
        ("ROLLOUT_METRICS_PORT", "-1"),
    ],
)
def test_a_wrong_environment_is_a_wrong_call_that_shows_no_secret(name: str, wrong: str) -> None:
    ended = run(World(), "--once", **{name: wrong})
    assert ended.exit_code == 2
    assert name.removeprefix("ROLLOUT_").lower() in ended.output
    assert "s3cret" not in ended.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_after_the_tick_in_hand(number: signal.Signals) -> None:
    world, port = served(World()), free_ports(1)[0]
    seen: list[tuple[int, str]] = []

    def outside() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
            wait_for(lambda: answers(client))
            seen.extend(
                (client.get(path).status_code, client.get(path).text) for path in ("/livez", "/readyz", "/metrics")
            )
            seen.append((client.get("/else").status_code, ""))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=outside)
    thread.start()
    ended = run(world, "--metrics-port", str(port), ROLLOUT_TICK_SECONDS="0.05")
    thread.join()
    assert ended.exit_code == 0, ended.output
    assert [status for status, _ in seen] == [200, 200, 200, 404]
    assert 'vigil_rollout_ticks_total{outcome="ok"}' in seen[2][1]
    assert world.leases == {}


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200 and 'outcome="ok"} 0.0' not in client.get("/metrics").text
    except httpx.TransportError:
        return False


def test_a_port_that_is_taken_is_refused_and_the_lease_given_back() -> None:
    world = served(World())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run(world, "--metrics-port", str(taken.getsockname()[1]))
    assert ended.exit_code == 2
    assert "choose another port" in ended.output
    assert world.leases == {}


def test_a_canary_that_fails_is_rolled_back_and_the_metrics_tell_it() -> None:
    world = served(World(ModelRollout(spec=Spec(candidate=CANDIDATE, plan=PLAN))))

    def block(question: Question, number: int) -> CanaryBlock:
        canary = arm(100, 60) if number > 3 else arm(100, 0)
        return CanaryBlock(number, 1.0, 0.05, arm(1_900, 2), canary)

    world.evidence = type(world.evidence)(canary=block, history=world.history)
    metrics = Metrics()
    loop = ticker(world, metrics)
    phases = set()
    for _ in range(60):
        assert loop.once(), loop.problem
        phases |= {phase for phase in Phase if value(metrics, "phase", phase=phase)}
        world.now += timedelta(seconds=0.5)
        if world.store.read().status.last is not None:
            break
    last = world.store.read().status.last
    assert last is not None
    assert last.verdict is not None
    assert last.verdict.outcome is Outcome.ROLLED_BACK
    assert value(metrics, "verdicts_total", outcome="rolled back", gate=last.verdict.gate) == 1
    assert {Phase.CANARY, Phase.ROLLING_BACK} <= phases
    assert value(metrics, "weight", role="stable") == 1
    assert value(metrics, "blocks_total", phase="canary") >= 4
    assert value(metrics, "outbox_events") == 0


def test_what_keeps_a_block_from_closing_is_a_metric() -> None:
    world = served(World(ModelRollout(spec=Spec(candidate=CANDIDATE, plan=PLAN))))
    world.evidence.obstacle = Waiting("log behind", "rows are missing")
    metrics = Metrics()
    loop = ticker(world, metrics)
    for _ in range(10):
        loop.once()
        world.now += timedelta(seconds=1)
    assert value(metrics, "obstacle", obstacle="log behind") == 1
    assert value(metrics, "obstacle", obstacle="store away") == 0


def test_gates_of_an_earlier_phase_leave_the_metrics() -> None:
    metrics = Metrics()
    first = Status(gates=({"gate": "flips", "harm": 2.0, "harm_bound": 400.0, "shown": None},))
    metrics.see(TickReport(BEGINNING, ModelRollout(status=first)))
    assert value(metrics, "gate_harm", gate="flips") == 2
    assert value(metrics, "gate_shown", gate="flips") is None
    metrics.see(TickReport(BEGINNING, ModelRollout(status=Status())))
    assert value(metrics, "gate_harm", gate="flips") is None


def scripted(tick: Callable[[], TickReport], *renewals: Exception | None) -> tuple[Ticker, Metrics]:
    """A ticker whose lease is renewed with these errors, and then without any."""
    metrics, ends = Metrics(), list(renewals)
    lease = MemoryLease({})

    def renew(_now: object) -> None:
        if ends and (end := ends.pop(0)) is not None:
            raise end

    lease.renew = renew  # type: ignore[method-assign]
    tenure = Tenure(lease, "the test", lambda: BEGINNING)
    tenure.begin()
    return Ticker(tick, tenure, metrics, see=metrics.see, changes=NoChanges()), metrics


def test_a_mistake_of_ours_ends_the_tick_and_not_the_controller(caplog: pytest.LogCaptureFixture) -> None:
    reports = iter([ZeroDivisionError("oh"), TickReport(BEGINNING)])

    def tick() -> TickReport:
        found = next(reports)
        if isinstance(found, Exception):
            raise found
        return found

    loop, metrics = scripted(tick)
    caplog.set_level(logging.INFO, "k8s")
    assert not loop.once()
    assert loop.problem == "ZeroDivisionError: oh"
    assert not loop.health(1, 60).ready
    assert loop.once()
    assert loop.health(1, 60).ready
    assert [value(metrics, "ticks_total", outcome=each) for each in ("ok", "failed", "crashed")] == [1, 0, 1]
    assert [record.message for record in caplog.records] == ["tick.crashed", "tick.recovered"]


def test_the_age_of_a_tick_is_the_time_since_it_ended() -> None:
    metrics, now = Metrics(), [100.0]
    tenure = Tenure(MemoryLease({}), "the test", lambda: BEGINNING)
    tenure.begin()
    loop = Ticker(
        lambda: TickReport(BEGINNING), tenure, metrics, see=metrics.see, changes=NoChanges(), ticks=lambda: now[0]
    )
    now[0] = 130.0
    assert (value(metrics, "tick_age_seconds"), loop.health(1, 60).age) == (30, 30)
    loop.once()
    now[0] = 131.0
    assert (value(metrics, "tick_age_seconds"), loop.health(1, 60).age) == (1, 1)


def test_a_lost_lease_ends_the_controller_and_one_that_is_away_only_the_tick() -> None:
    loop, metrics = scripted(lambda: TickReport(BEGINNING), NotRunningError("no answer"), None, LostError("bob's"))
    assert [loop.once(), loop.once()] == [False, True]
    with pytest.raises(LostError):
        loop.run(lambda: 0.0)
    assert value(metrics, "ticks_total", outcome="failed") == 1


def test_health_tells_a_process_that_hangs_from_one_that_can_not_decide() -> None:
    assert (Health(1, 15, 60).live, Health(1, 15, 60).ready) == (True, True)
    assert (Health(20, 15, 60).live, Health(20, 15, 60).ready) == (True, False)
    assert (Health(1, 15, 60, "away").live, Health(1, 15, 60, "away").ready) == (True, False)
    assert Health(61, 15, 60).live is False


def test_a_client_that_never_asks_keeps_no_other_from_an_answer() -> None:
    server = HealthServer("127.0.0.1", 0, lambda: Health(99, 15, 60, "away"), CollectorRegistry())
    with server, socket.create_connection(("127.0.0.1", server.port)):
        answer = httpx.get(f"http://127.0.0.1:{server.port}/livez")
    assert (answer.status_code, answer.json()) == (503, {"tick_age_seconds": 99, "problem": "away"})


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(UsageError, match="can't listen"):
        HealthServer("203.0.113.1", 1, lambda: Health(0, 1, 1), CollectorRegistry())


def test_ticks_follow_the_block_within_their_bounds() -> None:
    settings = Settings()
    assert [settings.tick_of(block) for block in (0.5, 3, 30, 600)] == [0.2, 0.5, 5, 5]
    assert Settings(tick_seconds=1).tick_of(30) == 1


def record(name: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": name, "levelno": level, "levelname": logging.getLevelName(level), **fields})


def test_a_line_of_the_log_is_one_json_object_or_one_line_of_text() -> None:
    step = record("rollout.step", event=7, attempt="a", words="canary\nat 5 %", numbers={"weight": 5})
    found = json.loads(logs.Lines("json").format(step))
    assert (found["event"], found["number"], found["level"], found["numbers"]) == (
        "rollout.step",
        7,
        "info",
        {"weight": 5},
    )
    assert logs.Lines("text").format(step).partition("info ")[2] == "rollout.step a canary at 5 % {'weight': 5} 7"
    assert "\n" not in logs.Lines("json").format(step)


def test_a_problem_that_stays_is_said_once_a_minute() -> None:
    now = [0.0]
    seldom = logs.Seldom(lambda: now[0])
    away, other = (record("rollout.problem", logging.WARNING, problem=each) for each in ("away", "other"))
    assert [seldom.filter(each) for each in (away, away, other, away)] == [True, False, True, False]
    now[0] = 61
    assert seldom.filter(away)
    assert all(seldom.filter(record("rollout.step")) for _ in range(3))


def test_an_object_that_is_no_rollout_is_refused_by_file(tmp_path: Path) -> None:

    (tmp_path / "rollout.json").write_text('{"kind": "Pod"}')
    world = served(World())
    world.store = FileStore(tmp_path / "rollout.json")
    for command in (["status"], ["watch"], ["start", CANDIDATE], ["pause"]):
        ended = CliRunner().invoke(main, command, obj=world.desk())
        assert ended.exit_code == 3, ended.output
        assert "rollout.json" in ended.output


def test_a_controller_that_stands_by_does_nothing_until_the_lease_is_free(caplog: pytest.LogCaptureFixture) -> None:
    places = {"rollout": Holder("ann", BEGINNING)}
    metrics, ticks = Metrics(), []
    tenure = Tenure(MemoryLease(places), "bob", lambda: BEGINNING, standby=True)
    tenure.begin()

    def tick() -> TickReport:
        ticks.append(1)
        return TickReport(BEGINNING)

    loop = Ticker(tick, tenure, metrics, see=metrics.see, changes=NoChanges())
    caplog.set_level(logging.INFO, "k8s")
    assert [loop.once(), loop.once()] == [False, False]
    assert (ticks, value(metrics, "leads"), value(metrics, "ticks_total", outcome="waits")) == ([], 0, 2)
    health = loop.health(1, 60)
    assert (health.live, health.ready) == (True, False)
    assert "a controller runs already: ann" in health.problem
    places.clear()
    assert loop.once()
    assert (ticks, value(metrics, "leads"), loop.health(1, 60).ready) == ([1], 1, True)
    assert [record.message for record in caplog.records] == ["lease.waits", "lease.taken", "tick.recovered"]
    places["rollout"] = Holder("ann", BEGINNING)
    with pytest.raises(LostError):
        loop.once()
    tenure.end()
    assert places["rollout"].who == "ann"


def test_a_standby_ends_at_once_when_it_is_asked_to() -> None:
    world = served(World()).attended()
    killer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM])
    killer.start()
    ended = run(world, ROLLOUT_STANDBY="true", ROLLOUT_TICK_SECONDS="60")
    killer.join()
    assert ended.exit_code == 0, ended.output
    assert world.store.read().status.ticked_at is None
    assert next(iter(world.leases.values())).who == "another process"


def test_before_a_change_a_lease_is_renewed_that_was_not_for_long() -> None:
    places: dict[str, Holder] = {}
    now = [0.0]
    tenure = Tenure(MemoryLease(places), "ann", lambda: BEGINNING, ticks=lambda: now[0])
    tenure.begin()
    places["rollout"] = Holder("bob", BEGINNING)
    now[0] = CONFIRM_SECONDS
    tenure.confirm()
    now[0] += 0.1
    with pytest.raises(LostError):
        tenure.confirm()


def test_a_lease_that_can_not_be_given_back_ends_no_controller_with_an_error(caplog: pytest.LogCaptureFixture) -> None:
    lease = MemoryLease({})

    def release() -> None:
        raise NotRunningError("no API server")

    lease.release = release  # type: ignore[method-assign]
    tenure = Tenure(lease, "ann", lambda: BEGINNING)
    tenure.begin()
    tenure.end()
    assert [(record.message, record.problem) for record in caplog.records] == [("lease.kept", "no API server")]


def test_a_change_is_followed_by_a_tick_at_once_and_many_by_few() -> None:
    ticks: list[float] = []
    changes = NoChanges()

    def tick() -> TickReport:
        ticks.append(time.monotonic())
        if len(ticks) == 4:
            loop.end()
        for _ in range(100):
            changes.wake()
        return TickReport(BEGINNING)

    metrics = Metrics()
    tenure = Tenure(MemoryLease({}), "ann", lambda: BEGINNING)
    tenure.begin()
    loop = Ticker(tick, tenure, metrics, see=metrics.see, changes=changes)
    began = time.monotonic()
    loop.run(lambda: 60.0)
    assert time.monotonic() - began < 10
    assert all(later - earlier > 0.19 for earlier, later in pairwise(ticks))
