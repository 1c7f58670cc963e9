from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.risk_scorer import problems, requests
from bentos.risk_scorer.events import FEATURES, Event
from bentos.risk_scorer.prediction_log import COLUMNS, Row
from bentos.risk_scorer.problems import Refused
from bentos.risk_scorer.scoring import Scoring

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAIN = b'"amount":1,"hour":1,"device_risk":1,"velocity_5m":1'
texts = st.text(max_size=70) | st.from_regex(r"[a-z0-9]{1,20}[\t\n\\]?")


@given(texts, texts)
def test_no_id_that_is_taken_can_break_a_row(event_id: str, entity_id: str) -> None:
    """Rows are lines of COPY's text format without escaping, so that no id may hold what would need it."""
    try:
        event = Event(amount=1, hour=1, device_risk=1, velocity_5m=1, event_id=event_id)
        header = {b"x-entity-id": entity_id.encode("latin-1", "replace")}
        read = requests.read(b"{" + PLAIN + b"}", header, NOW)
    except (ValidationError, Refused):
        return
    row = Row("r", event.event_id or "", "t", NOW, entity_id=read.entity_id, occurred_at=NOW, fields="{}", score=0.5)
    line = row.line().decode()
    assert len(line.split("\t")) == len(COLUMNS)
    assert "\\" not in line
    assert line.index("\n") == len(line) - 1


@pytest.mark.parametrize("header", [b"", b"a\tb", b"e\\1", b"4111111111111111", b"e" * 65, b"\xff", b"e\n"])
def test_a_header_that_is_no_pseudonym_is_no_failed_requests_entity(header: bytes) -> None:
    assert requests.header_entity({b"x-entity-id": header}) is None  # type: ignore[arg-type]
    assert requests.header_entity({}) is None  # type: ignore[arg-type]


def test_a_failed_request_keeps_whom_it_failed_and_a_refused_one_nobody() -> None:
    scoring = Scoring(SimpleNamespace(tag="t"), metrics=None, now=lambda: NOW)  # type: ignore[arg-type]
    ours, theirs = (problems.internal(), problems.crowded(1)), problems.client_left()
    for problem, expected in ((ours[0], "c-1"), (ours[1], "c-1"), (theirs, r"\N")):
        exchange = scoring.begin({b"x-entity-id": b"c-1", b"x-request-id": b"r"})  # type: ignore[arg-type]
        scoring.refuse(exchange, problem)
        found = dict(zip(COLUMNS, exchange.row.line().decode().rstrip("\n").split("\t"), strict=True))
        assert (found["entity_id"], found["status"]) == (expected, str(int(problem.status)))
        assert {found[name] for name in ("score", "fields", "decision", "occurred_at")} == {r"\N"}


def test_no_category_can_break_a_row() -> None:
    assert not any(set(category) & set("\t\n\r\\") for field in FEATURES for category in field.categories)


def test_a_refused_row_keeps_nothing_but_its_status() -> None:
    row = Row("r", "e", "t", NOW, entity_id="x", occurred_at=NOW, fields="{}", score=0.5, decision="block")
    row.refuse(422)
    cells = row.line().decode().rstrip("\n").split("\t")
    found = dict(zip(COLUMNS, cells, strict=True))
    assert {name for name, cell in found.items() if cell != r"\N"} == {
        *("request_id", "event_id", "tag", "scored_at", "status", "latency_us")
    }
    assert (found["event_id"], found["status"]) == ("r", "422")


@pytest.mark.parametrize("header", [b"e-1\n", b"e-1\t", b"e\\1"])
def test_an_entity_header_with_a_control_character_is_refused(header: bytes) -> None:
    with pytest.raises(Refused):
        requests.read(b"{" + PLAIN + b"}", {b"x-entity-id": header}, NOW)


PARTS = {
    "amount": "-1.5",
    "hour": "99",
    "device_risk": '"secret"',
    "velocity_5m": "1",
    "made_up": "7",
    "x.hour\\t": "1",
}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (("amount", "hour", "device_risk", "velocity_5m", "made_up"), '["amount", "device_risk", "hour"]'),
        (("hour",), '["amount", "device_risk", "hour", "velocity_5m"]'),
        (("made_up", "x.hour\\t"), '["amount", "device_risk", "hour", "velocity_5m"]'),
    ],
)
def test_a_refused_row_keeps_which_features_were_wrong_and_no_name_of_the_client_s(sent, kept) -> None:
    body = "{" + ",".join(f'"{name}":{PARTS[name]}' for name in sent) + "}"
    assert refused_row(requests.read, body.encode(), {}, NOW)["fields"] == kept


def test_a_refused_batch_keeps_which_features_were_wrong_in_any_event() -> None:
    good, bad = (f'{{"amount":{amount},"hour":1,"device_risk":1,"velocity_5m":1}}' for amount in (1, -1))
    body = f'{{"events":[{good},{bad},{good},{bad}]}}'.encode()
    assert refused_row(requests.read_batch, body, {}, NOW, 10)["fields"] == '["amount"]'


@pytest.mark.parametrize("body", [b"[]", b"{", b"{" + PLAIN + b',"event_id":"a b"}'])
def test_a_body_whose_features_are_fine_or_unknown_keeps_none(body: bytes) -> None:
    assert refused_row(requests.read, body, {}, NOW)["fields"] == r"\N"


def refused_row(read, *arguments) -> dict[str, str]:
    """The cells of the row that a request leaves when `read` refuses it."""
    scoring = Scoring(SimpleNamespace(tag="t"), metrics=None, now=lambda: NOW)  # type: ignore[arg-type]
    exchange = scoring.begin({})
    with pytest.raises(Refused) as refused:
        read(*arguments)
    scoring.refuse(exchange, refused.value.problem)
    line = exchange.row.line().decode()
    assert "\\" not in line.replace(r"\N", "")
    return dict(zip(COLUMNS, line.rstrip("\n").split("\t"), strict=True))
