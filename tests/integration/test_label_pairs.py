"""Labelled pairs on a real PostgreSQL: what makes one, and that a look is kept as it was made."""

from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from monitoring import label_pairs
from monitoring.label_pairs import PairsAsked

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
ASKED = PairsAsked("old", "new", AT, AT + HOUR, AT + 12 * HOUR)


@pytest.fixture
def store(owner):
    yield owner
    owner.rollback()


def put(store, event, *, at=AT, request=None, tags=("old", "new"), roles=("stable", "shadow"), label=1, entity="c"):
    for role, tag, score in zip(roles, tags, (0.2, 0.4), strict=True):
        store.execute(
            "insert into predictions (request_id, event_id, entity_id, role, tag, scored_at, status, score, "
            "latency_us) values (%s, %s, %s, %s, %s, %s, 200, %s, 1)",
            [request or f"r-{event}", event, entity, role, tag, at, score],
        )
    if label is not None:
        store.execute("insert into labels values (%s, %s, %s)", [event, label, at + HOUR])


def test_a_pair_is_one_request_that_both_scored_and_whose_label_is_known(store):
    put(store, "pair")
    put(store, "good", label=0)
    put(store, "not labelled", label=None)
    put(store, "of another model", tags=("old", "other"))
    put(store, "canary", roles=("canary", "shadow"))
    put(store, "too early", at=AT - HOUR)
    put(store, "too late", at=AT + HOUR)
    assert label_pairs.counted(store, ASKED) == (2, 1)
    found = label_pairs.read(store, ASKED, 2)
    assert sorted(zip(found.labels.tolist(), found.stable.tolist(), found.candidate.tolist(), strict=True)) == [
        (0, 0.2, 0.4),
        (1, 0.2, 0.4),
    ]
    assert found.groups.tolist() == [0, 0]


def test_the_newest_label_that_was_known_by_then_counts(store):
    put(store, "e", label=0)
    store.execute("insert into labels values ('e', 1, %s), ('e', 0, %s)", [AT + 2 * HOUR, AT + 20 * HOUR])
    assert label_pairs.counted(store, ASKED) == (1, 1)


def test_an_event_that_was_sent_twice_is_one_pair_its_first(store):
    put(store, "e")
    put(store, "e", at=AT + HOUR / 2, request="again", label=None)
    assert label_pairs.counted(store, ASKED) == (1, 1)


def test_of_too_many_the_same_entities_are_read_each_time(store):
    for number in range(300):
        put(store, f"e{number}", entity=f"c{number % 60}", label=number % 2)
    some = label_pairs.read(store, ASKED, 300, most=100)
    assert 40 <= len(some.labels) <= 180
    assert set(np.bincount(some.groups).tolist()) == {5}
    assert some.labels.tolist() == label_pairs.read(store, ASKED, 300, most=100).labels.tolist()


def test_a_look_is_kept_as_it_was_made_first(database):
    with psycopg.connect(database.dsn("rollout")) as rollout:
        label_pairs.record(rollout, "a", 2, {"number": 2}, AT)
        label_pairs.record(rollout, "a", 1, {"number": 1}, AT)
        label_pairs.record(rollout, "a", 1, {"number": 1, "other": True}, AT)
        label_pairs.record(rollout, "b", 1, {}, AT)
        assert label_pairs.looks(rollout, "a") == ({"number": 1}, {"number": 2})
