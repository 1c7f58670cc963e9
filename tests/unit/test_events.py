import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from bentos.risk_scorer.events import FEATURES, Event, time_problem

PLAIN = {"amount": 12.5, "hour": 3, "device_risk": 0, "velocity_5m": 1}


def event(**changes: object) -> Event:
    return Event.model_validate_json(json.dumps({**PLAIN, **changes}))


def test_the_four_plain_fields_are_enough() -> None:
    assert event().amount == 12.5


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_field_may_be_null_but_not_absent(name: str) -> None:
    assert getattr(event(**{name: None}), name) is None
    without = {key: value for key, value in PLAIN.items() if key != name}
    with pytest.raises(ValidationError, match=name):
        Event.model_validate(without)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", -0.01),
        ("amount", "12"),
        ("amount", True),
        ("hour", 24),
        ("hour", 2.5),
        ("device_risk", 3),
        ("velocity_5m", -1),
        ("channel", "carrier_pigeon"),
        ("occurred_at", "2026-11-01T00:00:00"),
        ("occurred_at", 1_760_000_000),
        ("anything_else", 1),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        event(**{name: value})


@pytest.mark.parametrize("value", ["e-1", "12345678901", "x" * 64, "550e8400-e29b-41d4-a716-446655440000", "1" * 20])
def test_a_pseudonym_is_taken(value: str) -> None:
    assert event(entity_id=value).entity_id == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 65,
        "ada@example.com",
        "Ada Lovelace",
        "4111111111111111",
        "4111-1111-1111-1111",
        "4111.1111:1111_1111",
        "ä",
    ],
)
def test_what_could_name_a_person_or_a_card_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="entity_id"):
        event(entity_id=value)


def test_every_feature_says_what_it_is() -> None:
    for field in FEATURES:
        assert field.description
        assert field.unit
        assert (field.kind == "category") == bool(field.categories)
        assert (field.low is None) == (field.kind == "category")


def test_a_function_of_the_clock_is_not_watched() -> None:
    assert {field.name for field in FEATURES if not field.watch} == {"hour"}


@pytest.mark.parametrize(
    ("offset", "fits"),
    [
        (timedelta(days=-30), True),
        (timedelta(days=-30, seconds=-1), False),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5, seconds=1), False),
    ],
)
def test_events_from_too_long_ago_or_ahead_are_refused(offset: timedelta, fits: bool) -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert (time_problem(now + offset, now) is None) == fits
