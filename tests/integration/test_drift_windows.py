"""Days of a real store to counts: the same bins as NumPy's, the right rows, and one pass over them."""

import json
from datetime import UTC, datetime, time, timedelta

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.risk_scorer.reference import Reference, ReferenceField, category_counts, number_counts, number_edges
from monitoring import partitions, windows
from monitoring.drift import FieldCounts
from tests.conftest import FIXED_DAY

TAG, OTHER = "risk_scorer:000000000001", "risk_scorer:000000000002"
MIDNIGHT = datetime.combine(FIXED_DAY, time.min, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
CHANNELS = ("online", "phone")


def number(edges):
    return ReferenceField(kind="number", edges=tuple(edges), daily=((1,) * (len(edges) + 1),), missing=(0,))


REFERENCE = Reference(
    days=(),
    fields={
        "amount": number((10.0, 20.0)),
        "channel": ReferenceField(kind="category", categories=CHANNELS, daily=((1, 1),), missing=(0,)),
        "score": number((0.5,)),
        "decision": ReferenceField(
            kind="category", categories=("approve", "review", "block"), daily=((1, 1, 1),), missing=(0,)
        ),
    },
)


def add(owner, fields=None, at=NOON, *, role="stable", tag=TAG, occurred_at=None, status=200, score=0.1, **more):
    """A row; `fields` as logged."""
    add.number = getattr(add, "number", 0) + 1
    row = {
        "request_id": f"r{add.number}", "event_id": f"e{add.number}", "role": role, "tag": tag, "scored_at": at,
        "occurred_at": occurred_at, "status": status, "fields": None if fields is None else json.dumps(fields),
        "score": score, "decision": None if score is None else "approve", "latency_us": 900,
    } | more  # fmt: skip
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    owner.execute(f"insert into predictions ({names}) values ({places})", row)  # noqa: S608 - names of our own


def counted(owner, day=FIXED_DAY, tag=TAG, reference=REFERENCE, **more):
    return windows.count(owner, day, tag, reference, **more)


# --- bins


floats = st.floats(0, 1e9, allow_subnormal=True) | st.sampled_from(
    [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1e9, 1.0]
)
values = st.lists(floats | st.integers(0, 1_000_000) | st.none(), min_size=1, max_size=60)


@given(values, st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_s_bins_are_numpy_s_to_the_edges(owner, given_values, data):
    array = np.array([np.nan if value is None else float(value) for value in given_values])
    known = [float(value) for value in array[~np.isnan(array)]]
    others = [np.nextafter(value, way) for value in known for way in (-np.inf, np.inf)]
    edges = data.draw(st.just(number_edges(array)) | st.lists(st.sampled_from([*known, *others, 1.0]), max_size=9))
    edges = tuple(sorted({edge + 0.0 for edge in edges}))
    reference = Reference(days=(), fields={"amount": number(edges)})
    scored = [{} if value is None else {"amount": value} for value in given_values]
    try:
        with owner.cursor() as cursor:
            cursor.executemany(INSERT, [(f"r{place}", json.dumps(row)) for place, row in enumerate(scored)])
        amount = counted(owner, reference=reference).window.fields["amount"]
    finally:
        owner.rollback()
    assert (amount.bins, amount.missing) == number_counts(array, edges)
    assert (amount.unseen, amount.refused) == (0, 0)


INSERT = """
    insert into predictions (request_id, event_id, role, tag, scored_at, status, fields, score, decision, latency_us)
    values (%s, 'e', 'stable', 'some', '2026-03-02T12:00Z', 200, %s, .1, 'approve', 900)"""


@given(st.lists(st.sampled_from(["online", "phone", "ONLINE", "", None]), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_s_categories_are_the_reference_s(owner, given_values):
    reference = Reference(days=(), fields={"channel": REFERENCE.fields["channel"]})
    try:
        for value in given_values:
            add(owner, {} if value is None else {"channel": value})
        channel = counted(owner, reference=reference).window.fields["channel"]
    finally:
        owner.rollback()
    bins, missing = category_counts(given_values, CHANNELS)
    assert channel == FieldCounts(bins, missing, len(given_values) - sum(bins) - missing)


def test_a_value_of_another_kind_is_unseen_and_stops_nothing(owner):
    for amount in ("12", True, [1], {"a": 1}, None):
        add(owner, {"amount": amount, "channel": 3})
    window = counted(owner).window
    assert window.fields["amount"] == FieldCounts((0, 0, 0), missing=1, unseen=4)
    assert window.fields["channel"] == FieldCounts((0, 0), unseen=5)


def test_a_field_that_is_not_logged_is_missing(owner):
    add(owner, {})
    assert counted(owner).window.fields["amount"] == FieldCounts((0, 0, 0), missing=1)


# --- which rows


def test_fields_are_of_stable_and_canary_and_scores_of_the_day_s_model(owner):
    add(owner, {"amount": 5})
    add(owner, {"amount": 15}, role="canary", tag=OTHER, score=0.9, decision="block")
    add(owner, {"amount": 25}, role="canary", tag=TAG, score=0.9, decision="review")
    add(owner, {"amount": 25}, role="shadow", tag=TAG)
    window = counted(owner).window
    assert window.rows == 3
    assert window.fields["amount"].bins == (1, 1, 1)
    assert window.fields["score"].bins == (1, 1)
    assert window.fields["decision"].bins == (1, 1, 0)


def test_a_day_is_by_the_time_of_the_event_and_without_it_by_the_time_of_scoring(owner):
    add(owner, {"amount": 5}, MIDNIGHT)
    add(owner, {"amount": 5}, MIDNIGHT + timedelta(days=1))
    add(owner, {"amount": 15}, MIDNIGHT - timedelta(minutes=4), occurred_at=MIDNIGHT)
    add(owner, {"amount": 15}, MIDNIGHT + timedelta(hours=29, minutes=59), occurred_at=NOON)
    add(owner, {"amount": 15}, NOON, occurred_at=MIDNIGHT - timedelta(microseconds=1))
    window = counted(owner).window
    assert (window.rows, window.fields["amount"].bins) == (3, (1, 2, 0))


def test_a_row_that_comes_after_the_day_closed_is_late_once(owner):
    add(owner, {"amount": 5}, MIDNIGHT + timedelta(hours=6), occurred_at=MIDNIGHT - timedelta(hours=1))
    add(owner, {"amount": 5}, MIDNIGHT + timedelta(hours=5, minutes=59), occurred_at=MIDNIGHT - timedelta(hours=1))
    days = [FIXED_DAY + timedelta(days=n) for n in (-1, 0, 1)]
    found = [counted(owner, day).window for day in days]
    assert [(window.rows, window.late_rows) for window in found] == [(1, 0), (0, 1), (0, 0)]


def test_refused_requests_count_by_when_they_came_and_by_what_was_wrong(owner):
    for status in (400, 413, 415):
        add(owner, status=status, score=None)
    add(owner, ["amount", "channel"], status=422, score=None)
    add(owner, ["amount"], status=422, score=None)
    add(owner, [], status=422, score=None)
    for status in (408, 429, 499, 500, 503):
        add(owner, status=status, score=None)
    add(owner, ["amount"], status=422, score=None, role="shadow")
    add(owner, ["amount"], MIDNIGHT + timedelta(days=1), status=422, score=None)
    window = counted(owner).window
    assert (window.rows, window.refused) == (0, 6)
    assert {name: each.refused for name, each in window.fields.items()} == {
        "amount": 2, "channel": 1, "score": 0, "decision": 0,
    }  # fmt: skip


def test_a_day_without_rows_is_counted_as_such(owner):
    found = counted(owner)
    assert (found.window.rows, found.sampled) == (0, 0)
    assert found.window.fields["amount"] == FieldCounts((0, 0, 0))


# --- a sample


def test_above_the_limit_a_sample_is_counted_always_the_same(owner):
    fill(owner, 4_000)
    add(owner, ["amount"], status=422, score=None)
    found = [counted(owner, limit=1_000) for _ in range(2)]
    assert found[0] == found[1]
    assert (found[0].window.rows, found[0].window.refused) == (4_000, 1)
    assert 800 < found[0].sampled < 1_200
    assert found[0].window.fields["amount"].rows == found[0].sampled
    assert found[0].window.fields["amount"].refused == 1
    assert counted(owner, limit=4_001).sampled == 4_000


# --- which model


def test_the_day_s_model_is_the_one_that_was_stable_for_most_of_it(owner):
    for hour in range(24):
        add(owner, {}, MIDNIGHT + timedelta(hours=hour), tag=OTHER if hour >= 10 else TAG)
    for _ in range(50):
        add(owner, {}, MIDNIGHT + timedelta(hours=1), tag=TAG)
        add(owner, {}, MIDNIGHT + timedelta(hours=1), tag="risk_scorer:000000000003", role="canary")
    assert windows.stable_tag(owner, FIXED_DAY) == OTHER


def test_a_day_without_rows_has_the_model_that_was_stable_last(owner):
    assert windows.stable_tag(owner, FIXED_DAY) is None
    add(owner, {}, MIDNIGHT - timedelta(hours=3), tag=OTHER)
    add(owner, {}, MIDNIGHT - timedelta(hours=2), tag=TAG)
    add(owner, {}, MIDNIGHT - timedelta(hours=1), tag=OTHER, role="canary")
    add(owner, {}, MIDNIGHT + timedelta(days=1), tag=OTHER)
    assert windows.stable_tag(owner, FIXED_DAY) == TAG


def test_the_first_day_is_the_one_of_stable_s_oldest_row(owner):
    assert windows.first_day(owner) is None
    add(owner, {}, MIDNIGHT - timedelta(hours=1), role="canary")
    add(owner, {}, NOON)
    add(owner, {}, MIDNIGHT - timedelta(hours=1), role="shadow")
    assert windows.first_day(owner) == FIXED_DAY


@pytest.mark.parametrize(("hours", "closed"), [(29.9, -1), (30, 0), (54, 1)])
def test_a_day_closes_six_hours_after_its_end(hours, closed):
    assert windows.closed_by(MIDNIGHT + timedelta(hours=hours)) == FIXED_DAY + timedelta(days=closed)


# --- how it is read


def test_a_day_is_read_once_and_the_other_days_are_not(owner):
    partitions.ensure(owner, FIXED_DAY - timedelta(days=10), 20)
    fill(owner, 3_000)
    owner.execute("analyze predictions")
    plan = windows.explained(owner, FIXED_DAY, TAG, REFERENCE)
    scans = [line for line in plan if "Scan" in line and " on predictions_" in line]
    read = {line.split(" on predictions_")[1][:8] for line in scans}
    days = {f"{FIXED_DAY + timedelta(days=n):%Y%m%d}" for n in (-1, 0, 1)}
    assert read == days
    assert len([line for line in scans if f"predictions_{FIXED_DAY:%Y%m%d}" in line]) == 1
    assert not any("Sort" in line for line in plan)


def fill(owner: psycopg.Connection, rows: int) -> None:
    owner.execute(
        """insert into predictions
            (request_id, event_id, role, tag, scored_at, status, fields, score, decision, latency_us)
        select 'r' || n, 'e' || n, 'stable', %s, %s + n * interval '1 second', 200,
            jsonb_build_object('amount', n %% 30), .1, 'approve', 900 from generate_series(1, %s) as n""",
        [TAG, MIDNIGHT, rows],
    )
