"""The load against a stand-in scorer: it leaves on time, and what is slow or fails is seen."""

import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k8s.local import traffic
from k8s.local.interrupts import Interrupts
from k8s.local.ledger import Entry
from k8s.local.outgoing import Outgoing
from k8s.local.ports import free_ports, get
from k8s.local.processes import Command, Supervisor
from k8s.local.traffic import Load

STAND_IN = Path(__file__).parents[1] / "doubles" / "stand_in_scorer.py"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("scorer")
    (port,) = free_ports(1)
    environment = {"PATH": os.defpath, "SCORER_PORT": str(port)}
    with Interrupts() as interrupts, Supervisor(interrupts) as supervisor:
        child = supervisor.start(
            Command("scorer", (sys.executable, str(STAND_IN)), folder, folder / "log", environment)
        )
        supervisor.wait_ready(child, lambda: get(port, "/readyz") is not None, 20)
        yield f"http://127.0.0.1:{port}"


class _Told(Outgoing):
    """A request that tells the stand-in how to answer."""

    told: dict[str, str] = {}  # noqa: RUF012 - set below, once an instance

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, **self.told}


def _request(number: int, **told: str) -> Outgoing:
    request = _Told(f"event-{number}", f"entity-{number}", f'{{"event_id": "event-{number}"}}'.encode())
    object.__setattr__(request, "told", {f"x-stand-in-{name}": value for name, value in told.items()})
    return request


def _send(url: str, requests: list[Outgoing], load: Load, **more: object) -> list[Entry]:
    entries: list[Entry] = []
    traffic.send(url, requests, load, random.Random(1), entries.append, more.get("tick", lambda: None))  # type: ignore[arg-type]
    return entries


def test_each_request_is_sent_and_answered_once(scorer: str) -> None:
    entries = _send(scorer, [_request(number) for number in range(300)], Load(1000, 300))
    assert sorted(each.event_id for each in entries) == sorted(f"event-{number}" for number in range(300))
    assert all(each.answered for each in entries)


def test_the_load_is_bounded_by_what_was_asked_for_and_by_what_there_is(scorer: str) -> None:
    many = [_request(number) for number in range(50)]
    assert len(_send(scorer, many, Load(1000, 20))) == 20
    assert len(_send(scorer, many, Load(1000, 80))) == 50


def test_requests_leave_when_they_are_due_even_while_earlier_ones_wait(scorer: str) -> None:
    began = time.perf_counter()
    _send(scorer, [_request(number, delay="0.5") for number in range(40)], Load(200, 40, "even"))
    assert time.perf_counter() - began < 5  # one after the other, they would take 20 s


def test_waiting_for_a_turn_counts_as_latency(scorer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "CONNECTIONS", 1)
    entries = _send(scorer, [_request(number, delay="0.1") for number in range(5)], Load(1000, 5, "even"))
    assert max(each.seconds for each in entries) > 0.45


def test_an_error_of_the_scorer_is_recorded_with_its_status(scorer: str) -> None:
    entries = _send(scorer, [_request(1, status="503"), _request(2)], Load(100, 2))
    failed = next(each for each in entries if not each.answered)
    assert (failed.status, failed.event_id) == (503, "event-1")


def test_nobody_answering_is_recorded_not_raised() -> None:
    (port,) = free_ports(1)
    (found,) = _send(f"http://127.0.0.1:{port}", [_request(1)], Load(100, 1))
    assert found.status is None
    assert found.error is not None
    assert found.error.startswith("ClientConnectorError: ")


def test_an_answer_that_takes_too_long_is_recorded(scorer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "ANSWER_SECONDS", 0.1)
    (found,) = _send(scorer, [_request(1, delay="0.6")], Load(100, 1))
    assert found.error is not None
    assert "Timeout" in found.error


def test_what_the_tick_raises_ends_the_load(scorer: str) -> None:
    calls = []

    def tick() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise LookupError("enough")

    began = time.perf_counter()
    with pytest.raises(LookupError, match="enough"):
        _send(scorer, [_request(number) for number in range(1000)], Load(10, 1000), tick=tick)
    assert time.perf_counter() - began < 20


def test_a_mistake_of_ours_is_raised_not_recorded(scorer: str) -> None:
    def record(_entry: Entry) -> None:
        raise LookupError("a mistake")

    with pytest.raises(LookupError, match="a mistake"):
        traffic.send(scorer, [_request(1)], Load(100, 1), random.Random(1), record, lambda: None)


def test_the_stand_in_answers_for_the_event_it_was_sent(scorer: str) -> None:
    """Guards the others: an answer for another event would not count."""
    (found,) = _send(scorer, [replace(_request(1), body=b'{"event_id": "another"}')], Load(100, 1))
    assert not found.answered
