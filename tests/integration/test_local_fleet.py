"""The local stack's copies under load, with the real Envoy: rolling a role fails no request."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import pytest

from k8s.local import postgres, traffic
from k8s.local.interrupts import Interrupts
from k8s.local.ledger import Entry
from k8s.local.outgoing import Outgoing
from k8s.local.processes import Supervisor
from k8s.local.rolling import Wish
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State, StateLock
from k8s.local.traffic import Load
from k8s.rollout.fleets import Copies
from k8s.rollout.routers import Role, Split
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


def _stack(state: State, supervisor: Supervisor, wishes: dict[Role, Wish], split: Split) -> LocalStack:
    artifacts = (state.folder / "artifacts").absolute().as_uri()
    stack = LocalStack(state, Plan(artifacts, wishes, split), supervisor, lambda _: None)
    stack.start()
    return stack


class _Roller:
    """Called while the load runs: takes the next step of the roll when the one before has come true."""

    def __init__(self, stack: LocalStack, role: Role, steps: list[Wish]) -> None:
        self._stack, self._role, self.left = stack, role, steps

    def __call__(self) -> None:
        self._stack.tend()
        seen, wish = self._stack.fleet.look()[self._role], self.left[0] if self.left else None
        if wish is not None and seen == Copies(wish.tag, wish.copies, wish.copies):
            self.left.pop(0)
            if self.left:
                self._stack.fleet.assign(self._role, self.left[0].tag)
                self._stack.fleet.scale(self._role, self.left[0].copies)


def _send(stack: LocalStack, roller: _Roller, seconds: int) -> list[Entry]:
    """What was sent until the roll was done, at the most for so many seconds."""
    entries: list[Entry] = []
    events = (
        Outgoing(f"e{number}", f"entity-{number % 500}", f'{{"event_id": "e{number}"}}'.encode())
        for number in takewhile(lambda _: getattr(roller, "left", True), range(200 * seconds))
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("k8s.local.traffic._TICK_SECONDS", 0.05)
        traffic.send(stack.url, events, Load(200, 200 * seconds), random.Random(1), entries.append, roller)
    return entries


@pytest.mark.parametrize("role", ["stable", "canary"])
def test_no_request_of_a_load_fails_while_a_role_is_rolled(state: State, supervisor: Supervisor, role: Role) -> None:
    one, other = stand_in_bentos.add(state, "one"), stand_in_bentos.add(state, "other")
    wishes: dict[Role, Wish] = {"stable": Wish(one, 1), "canary": Wish(one, 1)}
    stack = _stack(state, supervisor, wishes, Split(50, 50))
    roller = _Roller(stack, role, [Wish(one, 1), Wish(other, 1), Wish(other, 2), Wish(one, 2), Wish(one, 1)])
    entries = _send(stack, roller, 30)
    assert not roller.left, stack.fleet.look()
    assert len(entries) > 200
    assert {each.error for each in entries} == {None}
    assert {each.model_version for each in entries} == {one, other}


def test_a_copy_that_dies_under_load_is_begun_again_and_the_other_one_answers(
    state: State, supervisor: Supervisor
) -> None:
    one = stand_in_bentos.add(state, "one")
    stack = _stack(state, supervisor, {"stable": Wish(one, 2)}, Split(100, 0))
    assert stack.wait_until(lambda: stack.fleet.look()["stable"].ready == 2, 20)
    ticks = Counter[str]()

    def tick() -> None:
        stack.tend()
        ticks["all"] += 1
        if ticks["all"] == 20:
            next(each for each in supervisor.children if each.command.name == "scorer stable").kill()

    entries = _send(stack, tick, 6)  # type: ignore[arg-type]
    assert stack.fleet.look()["stable"].restarts == 1
    assert stack.wait_until(lambda: stack.fleet.look()["stable"].ready == 2, 20)
    failed = [each for each in entries if each.error]
    assert len(failed) <= 60, failed[:3]  # those under way, and half of what came before the gateway knew
    assert entries[-1].error is None


def test_a_copy_that_hangs_is_not_ready_until_it_answers_again(state: State, supervisor: Supervisor) -> None:
    one = stand_in_bentos.add(state, "one")
    stack = _stack(state, supervisor, {"stable": Wish(one, 1), "canary": Wish(one, 1)}, Split(100, 0))
    assert stack.wait_until(lambda: stack.fleet.look()["canary"].ready == 1, 20)
    canary = next(each for each in supervisor.children if each.command.name == "scorer canary")
    os.kill(canary.pid, signal.SIGSTOP)
    assert stack.wait_until(lambda: stack.fleet.look()["canary"].ready == 0, 30)
    os.kill(canary.pid, signal.SIGCONT)
    assert stack.wait_until(lambda: stack.fleet.look()["canary"] == Copies(one, 1, 1), 30)


def test_an_artifact_that_was_altered_is_a_problem_and_the_old_model_goes_on(
    state: State, supervisor: Supervisor
) -> None:
    one = stand_in_bentos.add(state, "one")
    stack = _stack(state, supervisor, {"stable": Wish(one, 1)}, Split(100, 0))
    archive = state.folder / "artifacts" / "risk_scorer" / "0123456789ab.bento"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"no Bento at all")
    stack.fleet.assign("stable", "risk_scorer:0123456789ab")
    assert stack.wait_until(lambda: "no whole Bento" in stack.fleet.look()["stable"].problem, 60)
    assert (stack.fleet.look()["stable"].ready, stack.fleet.look()["stable"].ready_other) == (0, 1)
