"""The ledger's file, and what an answer becomes in it."""

import json
from pathlib import Path

import pytest

from bentos.risk_scorer.policy import Decision
from k8s.local.ledger import Entry, Ledger, read
from k8s.local.outgoing import Outgoing
from k8s.local.traffic import entry

REQUEST = Outgoing("event-1", "entity-1", b"{}")
ANSWER = {
    "event_id": "event-1",
    "request_id": "request-1",
    "score": 0.1 + 0.2,
    "decision": "review",
    "model_version": "risk_scorer:0123456789ab",
}


def _entry(status: int, answer: object) -> Entry:
    return entry(REQUEST, 0.01, status, "request-1", json.dumps(answer).encode())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    entries = [_entry(200, ANSWER), _entry(503, "no"), Entry("event-2", None, 1.5, error="TimeoutError: ")]
    with Ledger(tmp_path / "deep" / "ledger.jsonl") as ledger:
        for each in entries:
            ledger.add(each)
    assert list(read(ledger.path)) == entries


def test_an_answer_keeps_its_score_to_the_last_bit() -> None:
    found = _entry(200, ANSWER)
    assert found.answered
    assert (found.score, found.decision, found.request_id) == (0.1 + 0.2, Decision.REVIEW, "request-1")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, {}),
        (422, ANSWER),
        (200, {**ANSWER, "event_id": "event-2"}),
        (200, {name: value for name, value in ANSWER.items() if name != "score"}),
        (200, [ANSWER]),
        (200, "ok"),
    ],
)
def test_only_a_200_with_a_score_for_this_event_counts_as_answered(status: int, answer: object) -> None:
    found = _entry(status, answer)
    assert not found.answered
    assert found.error is not None
    assert found.error.startswith(f"{status}: ")
    assert found.request_id == "request-1"


def test_a_body_that_is_no_json_is_no_answer() -> None:
    assert entry(REQUEST, 0.01, 200, None, b"<html>").error == "200: <html>"


def test_a_closed_ledger_takes_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        ledger.add(_entry(200, ANSWER))
