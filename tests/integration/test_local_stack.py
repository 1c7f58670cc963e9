"""The stack with a real PostgreSQL, a real Envoy and stand-in Bentos: it starts, is watched, and leaves nothing."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from k8s.local import postgres
from k8s.local.errors import NotReadyError, PortTakenError, ProcessDiedError
from k8s.local.interrupts import Interrupts
from k8s.local.ports import free_ports
from k8s.local.processes import Supervisor
from k8s.local.score_request import post
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State
from k8s.rollout.routers import SERVICES, Split

STAND_IN = (Path(__file__).parents[1] / "doubles" / "stand_in_scorer.py").read_text()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path / "state")
    yield found
    postgres.discard(found.postgres)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Interrupts() as interrupts, Supervisor(interrupts) as found:
        yield found


def _bento(folder: Path, manner: str = "") -> Path:
    package = folder / "src" / "bentos" / "risk_scorer"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    told = f"import os; os.environ['STAND_IN'] = {manner!r}\n" if manner else ""
    (package / "__main__.py").write_text(told + STAND_IN)
    return folder


def _plan(tmp_path: Path, port: int | None = None, **manners: str) -> Plan:
    bentos = {role: _bento(tmp_path / role, manners.get(role, "")) for role in SERVICES}
    return Plan(bentos, Split(75, 25, 100), port)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_stack_that_starts_answers_and_ends(tmp_path: Path, state: State, supervisor: Supervisor) -> None:
    said: list[str] = []
    (port,) = free_ports(1)
    stack = LocalStack(state, _plan(tmp_path, port), supervisor, said.append)
    stack.start()
    assert stack.url == f"http://127.0.0.1:{port}"
    assert stack.router.current() == Split(75, 25, 100)
    answer = post(stack.url, '{"event_id": "e"}', "me")
    assert (answer.status, json.loads(answer.body)["event_id"]) == (200, "e")
    stack.router.apply(Split(100, 0))
    assert [line.split()[-1] for line in said] == ["PostgreSQL", "shadow", "Envoy"]

    pids = [child.pid for child in supervisor.children]
    assert len(pids) == 5
    supervisor.stop()
    assert all(_gone(pid) for pid in pids)


def test_each_role_has_its_own_user_of_the_store(tmp_path: Path, state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(tmp_path), supervisor, lambda _: None)
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


@pytest.mark.parametrize("name", ["PostgreSQL", "scorer shadow", "Envoy"])
def test_whichever_process_is_killed_is_named(tmp_path: Path, state: State, supervisor: Supervisor, name: str) -> None:
    stack = LocalStack(state, _plan(tmp_path), supervisor, lambda _: None)
    stack.start()
    stack.check()
    child = next(each for each in supervisor.children if each.command.name == name)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match=f"{name} was ended by SIGKILL"):
        stack.wait_for_death()


def test_a_scorer_that_dies_at_its_start_ends_the_start(tmp_path: Path, state: State, supervisor: Supervisor) -> None:
    stack = LocalStack(state, _plan(tmp_path, canary="dies"), supervisor, lambda _: None)
    with pytest.raises(ProcessDiedError, match="scorer canary ended with exit code 1") as caught:
        stack.start()
    assert "as told, I die at once" in str(caught.value)


def test_a_scorer_that_is_never_ready_ends_the_start(
    tmp_path: Path, state: State, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = LocalStack(state, _plan(tmp_path, shadow="never ready"), supervisor, lambda _: None)
    monkeypatch.setattr("k8s.local.stack.START_SECONDS", 5)
    with pytest.raises(NotReadyError, match="scorer shadow was not ready within 5 s"):
        stack.start()


def test_a_port_that_is_taken_is_refused_before_anything_starts(
    tmp_path: Path, state: State, supervisor: Supervisor
) -> None:
    first = LocalStack(state, _plan(tmp_path / "a"), supervisor, lambda _: None)
    first.start()
    count = len(supervisor.children)
    port = int(first.url.rpartition(":")[2])
    second = LocalStack(State(tmp_path / "other"), _plan(tmp_path / "b", port), supervisor, lambda _: None)
    with pytest.raises(PortTakenError):
        second.start()
    assert len(supervisor.children) == count


def test_predictions_stay_from_one_start_to_the_next(tmp_path: Path, state: State, supervisor: Supervisor) -> None:
    plan = _plan(tmp_path)
    first = LocalStack(state, plan, supervisor, lambda _: None)
    first.start()
    with psycopg.connect(first.dsn()) as connection:
        connection.execute("insert into labels values ('e', 1, now())")
    supervisor.stop()
    second = LocalStack(state, plan, supervisor, lambda _: None)
    second.start()
    with psycopg.connect(second.dsn("reader")) as connection:
        assert connection.execute("select event_id from labels").fetchall() == [("e",)]
