"""The stack with a real PostgreSQL, a real Envoy and stand-in Bentos: it starts, is watched, and leaves nothing."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from k8s.local import connections, postgres
from k8s.local.errors import NotReadyError, PortTakenError, ProcessDiedError
from k8s.local.interrupts import Interrupts
from k8s.local.ports import free_ports
from k8s.local.processes import Supervisor
from k8s.local.rolling import Wish
from k8s.local.score_request import post
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State, StateLock
from k8s.rollout.fleets import Copies
from k8s.rollout.routers import SERVICES, Role, Split
from tests.doubles import stand_in_bentos


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path / "state")
    with StateLock(found, datetime.now(UTC)):
        yield found
    postgres.discard(found.postgres)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Interrupts() as interrupts, Supervisor(interrupts) as found:
        yield found


def _plan(state: State, port: int | None = None, **manners: str) -> Plan:
    wishes = {role: Wish(stand_in_bentos.add(state, role, manners.get(role, "")), 1) for role in SERVICES}
    return Plan("file:///there-is-none", wishes, Split(75, 25, 100), port)


def _copies(stack: LocalStack, role: Role) -> Copies:
    return stack.fleet.look()[role]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_stack_that_starts_answers_and_ends(state: State, supervisor: Supervisor) -> None:
    said: list[str] = []
    (port,) = free_ports(1)
    stack = LocalStack(state, _plan(state, port), supervisor, said.append)
    stack.start()
    assert stack.url == f"http://127.0.0.1:{port}"
    assert stack.router.current() == Split(75, 25, 100)
    answer = post(stack.url, '{"event_id": "e"}', "me")
    assert (answer.status, json.loads(answer.body)["event_id"]) == (200, "e")
    stack.router.apply(Split(100, 0))
    assert [line.split()[-1] for line in said] == ["PostgreSQL", "Envoy", "shadow"]
    assert stack.wait_until(lambda: all(each.ready == 1 for each in stack.fleet.look().values()), 20)

    pids = [child.pid for child in supervisor.children]
    assert len(pids) == 5
    supervisor.stop()
    assert all(_gone(pid) for pid in pids)


def test_an_idle_role_costs_no_process(state: State, supervisor: Supervisor) -> None:
    wishes: dict[Role, Wish] = {"stable": Wish(stand_in_bentos.add(state, "only"), 1)}
    stack = LocalStack(state, Plan("file:///there-is-none", wishes), supervisor, lambda _: None)
    stack.start()
    assert sorted(child.command.name for child in supervisor.children) == ["Envoy", "PostgreSQL", "scorer stable"]
    assert stack.router.current() == Split(100, 0)
    assert _copies(stack, "canary") == Copies()


def test_each_role_has_its_own_user_of_the_store(state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(state), supervisor, lambda _: None)
    stack.start()
    insert = (
        "insert into predictions (request_id, event_id, tag, scored_at, status, latency_us) "
        "values ('r', 'e', 'risk_scorer:aaa', %s, 500, 1)"
    )
    for role in SERVICES:
        with psycopg.connect(stack.dsn(role)) as connection:
            connection.execute(insert, [datetime.now(UTC)])
    assert stack.wait_for_rows({"stable": 1, "canary": 1, "shadow": 1}, 10) == {"stable": 1, "canary": 1, "shadow": 1}
    assert stack.wait_for_rows({"stable": 2}, 0.1)["stable"] == 1


@pytest.mark.parametrize("name", ["PostgreSQL", "Envoy"])
def test_whichever_process_is_killed_is_named(state: State, supervisor: Supervisor, name: str) -> None:
    stack = LocalStack(state, _plan(state), supervisor, lambda _: None)
    stack.start()
    stack.tend()
    child = next(each for each in supervisor.children if each.command.name == name)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match=f"{name} was ended by SIGKILL"):
        stack.wait_for_death()


@pytest.mark.parametrize("role", SERVICES)
def test_a_scorer_that_is_killed_is_begun_again(state: State, supervisor: Supervisor, role: Role) -> None:
    stack = LocalStack(state, _plan(state), supervisor, lambda _: None)
    stack.start()
    assert stack.wait_until(lambda: _copies(stack, role).ready == 1, 20)
    child = next(each for each in supervisor.children if each.command.name == f"scorer {role}")
    os.kill(child.pid, signal.SIGKILL)
    assert stack.wait_until(lambda: "was ended by SIGKILL" in _copies(stack, role).problem, 20)
    assert stack.wait_until(lambda: _copies(stack, role).ready == 1, 20)
    assert (_copies(stack, role).restarts, _copies(stack, role).problem) == (1, "")
    assert post(stack.url, '{"event_id": "e"}', "me").status == 200


def test_a_stable_that_dies_at_its_start_ends_the_start(state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(state, stable="dies"), supervisor, lambda _: None)
    with pytest.raises(NotReadyError, match="scorer stable ended with exit code 1") as caught:
        stack.start()
    assert "as told, I die at once" in str(caught.value)


def test_a_stable_that_is_never_ready_ends_the_start(
    state: State, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = LocalStack(state, _plan(state, stable="never ready"), supervisor, lambda _: None)
    monkeypatch.setattr("k8s.local.stack.START_SECONDS", 5)
    with pytest.raises(NotReadyError, match="stable was not ready within 5 s"):
        stack.start()


def test_a_canary_that_cannot_start_gets_no_requests(state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(state, canary="dies"), supervisor, lambda _: None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("k8s.local.stack.CANARY_SECONDS", 2)
        stack.start()
    assert stack.router.current() == Split(100, 0, 100)
    assert stack.wait_until(lambda: _copies(stack, "canary").restarts >= 2, 20)
    assert "CrashLoopBackOff" in _copies(stack, "canary").problem
    assert post(stack.url, '{"event_id": "e"}', "me").status == 200


def test_what_runs_is_what_was_wanted_when_the_stack_ran_last(state: State, supervisor: Supervisor) -> None:
    first = LocalStack(state, _plan(state), supervisor, lambda _: None)
    first.start()
    first.fleet.scale("canary", 0)
    first.fleet.scale("stable", 2)
    first.router.apply(Split(100, 0, 30))
    supervisor.stop()
    second = LocalStack(state, Plan("file:///there-is-none"), supervisor, lambda _: None)
    second.start()
    assert second.url == first.url
    assert second.router.current() == Split(100, 0, 30)
    assert second.wait_until(lambda: _copies(second, "stable").ready == 2, 20)
    assert _copies(second, "canary").serving == 0
    assert _copies(second, "stable").tag == _copies(first, "stable").tag


def test_what_other_processes_need_is_told_to_this_user_only(state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(state), supervisor, lambda _: None)
    stack.start()
    assert state.connections.stat().st_mode & 0o777 == 0o600
    told = connections.read(state)
    assert f":{told.gateway}" in stack.url
    with psycopg.connect(told.dsns["rollout"]) as connection:
        assert connection.execute("select current_user").fetchone() == ("rollout",)
    assert not {"stable", "canary", "shadow"} & (set(told.dsns) | set(told.passwords))


def test_a_port_that_is_taken_is_refused_before_anything_starts(
    tmp_path: Path, state: State, supervisor: Supervisor
) -> None:
    first = LocalStack(state, _plan(state), supervisor, lambda _: None)
    first.start()
    count = len(supervisor.children)
    port = int(first.url.rpartition(":")[2])
    second = LocalStack(State(tmp_path / "other"), _plan(state, port), supervisor, lambda _: None)
    with pytest.raises(PortTakenError):
        second.start()
    assert len(supervisor.children) == count


def test_predictions_stay_from_one_start_to_the_next(state: State, supervisor: Supervisor) -> None:
    plan = _plan(state)
    first = LocalStack(state, plan, supervisor, lambda _: None)
    first.start()
    with psycopg.connect(first.dsn()) as connection:
        connection.execute("insert into labels values ('e', 1, now())")
    supervisor.stop()
    second = LocalStack(state, plan, supervisor, lambda _: None)
    second.start()
    with psycopg.connect(second.dsn("reader")) as connection:
        assert connection.execute("select event_id from labels").fetchall() == [("e",)]
