"""Rows of a data set as requests: what is in the body, and what is not."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.risk_scorer.events import FEATURES, Event
from k8s.local.outgoing import again_and_again, json_value, requests

FIELDS = {field.name: field for field in FEATURES}


def _frame(**columns: list[object]) -> pd.DataFrame:
    rows = {
        "event_id": ["a", "b"],
        "entity_id": pd.Series(["e-1", None], dtype=object),
        "occurred_at": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
        "amount": [12.0, np.nan],
        "hour": [3.0, np.nan],
        "device_risk": [2.0, 0.0],
        "velocity_5m": [7.0, 1.0],
        "account_age_days": [np.nan, 4.5],
        "channel": pd.Series(["online", None], dtype=object),
        "label": [1, 0],
    }
    return pd.DataFrame({**rows, **columns})


def test_the_body_is_an_event_that_the_scorer_takes() -> None:
    for request in requests(_frame()):
        Event.model_validate_json(request.body)  # strict: an integer that came as 3.0 would be refused


def test_every_feature_is_there_null_when_missing_and_the_time_is_not() -> None:
    first, second = (json.loads(request.body) for request in requests(_frame()))
    assert first == {
        "event_id": "a",
        "amount": 12.0,
        "hour": 3,
        "device_risk": 2,
        "velocity_5m": 7,
        "account_age_days": None,
        "channel": "online",
    }
    assert (second["amount"], second["hour"], second["channel"]) == (None, None, None)
    assert "label" not in first


def test_integers_are_written_as_integers() -> None:
    assert b'"hour": 3,' in requests(_frame())[0].body


def test_the_entity_goes_into_the_header_when_there_is_one() -> None:
    first, second = requests(_frame())
    assert first.headers["x-entity-id"] == "e-1"
    assert "x-entity-id" not in second.headers
    assert b"entity" not in first.body


@given(st.floats(min_value=0, max_value=1e9))
def test_a_number_keeps_every_bit(value: float) -> None:
    assert json.loads(json.dumps(json_value(FIELDS["amount"], value))) == value


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NA])
def test_every_kind_of_missing_is_null(missing: object) -> None:
    assert [json_value(field, missing) for field in FEATURES] == [None] * len(FEATURES)


def test_a_fraction_in_an_integer_field_is_no_event() -> None:
    with pytest.raises(ValueError, match=r"hour is 3\.5"):
        json_value(FIELDS["hour"], 3.5)


def test_when_the_events_run_out_they_come_again_as_other_events() -> None:
    once = requests(_frame(event_id=["x" * 64, "b"]))
    found = list(itertools.islice(again_and_again(once), 6))
    assert found[:2] == once
    assert len({each.event_id for each in found}) == 6
    for each in found:
        assert Event.model_validate_json(each.body).event_id == each.event_id
    assert [each.entity_id for each in found] == ["e-1", None] * 3


def test_without_events_there_is_nothing_to_send() -> None:
    assert list(again_and_again([])) == []


def test_an_entitys_events_are_dealt_to_pseudonyms_in_turns() -> None:
    found = list(itertools.islice(again_and_again(requests(_frame()), pseudonyms=3), 12))
    names = [each.entity_id for each in found if each.entity_id is not None]
    assert names[0] == "e-1"
    assert len(set(names)) == 3
    assert names == names[:3] * 2
    assert [each.entity_id for each in found[1::2]] == [None] * 6
