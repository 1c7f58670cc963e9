"""Every query of the store against rows whose answer is known."""

from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.risk_scorer.policy import Decision
from monitoring import store

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
OLD, NEW = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:bbbbbbbbbbbb"
APPROVE, REVIEW, BLOCK = Decision


def row(role, number, score=0.1, *, decision=APPROVE, entity="c", tag=OLD, second=0.0, status=200, us=1000, event=None):
    """One row; a score of None is a refused request."""
    scored_at = AT + timedelta(seconds=second)
    return {
        "role": role,
        "request_id": f"r{number}",
        "event_id": event or f"e{number}",
        "entity_id": None if score is None else entity,
        "tag": tag,
        "scored_at": scored_at,
        "status": status,
        "score": score,
        "decision": None if score is None else decision,
        "latency_us": us,
    }


def fill(connection, *rows):
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into predictions (role, request_id, event_id, entity_id, tag, scored_at, status, score, decision, "
            "latency_us) values (%(role)s, %(request_id)s, %(event_id)s, %(entity_id)s, %(tag)s, %(scored_at)s, "
            "%(status)s, %(score)s, %(decision)s, %(latency_us)s)",
            rows,
        )


def label(connection, *labels):
    with connection.cursor() as cursor:
        cursor.executemany("insert into labels values (%s, %s, %s)", labels)


def test_traffic_counts_rows_requests_entities_and_shares(owner):
    fill(
        owner,
        row("shadow", 1, entity="a"), row("shadow", 2, entity="b"), row("shadow", 3, entity="a"),
        row("canary", 3, entity="a", second=5),
        row("stable", 1, entity="a"), row("stable", 2, entity="b", second=1), row("stable", 2, entity="b", event="x"),
        row("stable", 4, None, status=422, second=9),
    )  # fmt: skip
    assert store.traffic(owner) == (
        store.Traffic("stable", rows=4, requests=3, entities=2, share=0.75, first=AT, last=AT + timedelta(seconds=9)),
        store.Traffic("canary", 1, 1, 1, 0.25, AT + timedelta(seconds=5), AT + timedelta(seconds=5)),
        store.Traffic("shadow", 3, 3, 2, 0.75, AT, AT),
    )


def test_traffic_of_a_mirror_alone_has_no_share(owner):
    fill(owner, row("shadow", 1))
    assert store.traffic(owner)[0].share is None


def test_an_empty_store_answers_with_nothing(owner):
    assert store.traffic(owner) == ()
    assert store.latencies(owner) == ()
    assert store.latency_buckets(owner) == ()
    assert store.statuses(owner) == ()
    assert store.decisions(owner) == ()
    assert store.versions(owner) == ()
    assert store.timeline(owner, timedelta(seconds=1)) == ()
    assert store.stickiness(owner) == store.Stickiness(0, 0)
    assert store.pairs(owner, "stable", "shadow") is None
    assert set(store.flips(owner, "stable", "shadow").values()) == {0}
    assert list(store.request_ids(owner, "stable")) == []
    assert store.labelled(owner, OLD).scores.size == 0


def test_a_window_takes_its_start_and_leaves_its_end(owner):
    fill(owner, *(row("stable", second, second=second) for second in range(5)))
    window = store.Window(AT + timedelta(seconds=1), AT + timedelta(seconds=3))
    assert list(store.request_ids(owner, "stable", window=window)) == ["r1", "r2"]
    assert store.traffic(owner, window)[0].rows == 2
    assert store.traffic(owner, store.Window(start=AT + timedelta(seconds=4)))[0].rows == 1
    assert store.traffic(owner, store.Window(end=AT + timedelta(seconds=4)))[0].rows == 4


def test_a_window_of_one_day_reads_one_partition(owner):
    plan = owner.execute(
        f"explain {store._WINDOWED} select count(*) from windowed",  # noqa: S608 - the module's own text
        {"start": AT, "end": AT + timedelta(hours=1)},
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "predictions_20260302" in text
    assert "predictions_20260301" not in text


def test_latencies_are_interpolated_over_scored_rows_only(owner):
    fill(owner, *(row("stable", number, us=number * 1000) for number in range(1, 102)))
    fill(owner, row("stable", 999, None, status=422, us=10_000_000), row("canary", 1, us=500))
    assert store.latencies(owner) == (
        store.Latency("stable", rows=101, p50_us=51_000, p95_us=96_000, p99_us=100_000, max_us=101_000),
        store.Latency("canary", 1, 500, 500, 500, 500),
    )


def test_latency_buckets_hold_what_is_at_most_their_edge(owner):
    fill(owner, *(row("stable", number, us=us) for number, us in enumerate([0, 1, 10, 11, 100, 1000])))
    buckets = store.latency_buckets(owner, per_decade=1)
    assert [(round(each.upto_us), each.rows) for each in buckets] == [(1, 2), (10, 1), (100, 2), (1000, 1)]


def test_statuses_decisions_and_versions_are_counted_by_role(owner):
    fill(
        owner,
        row("stable", 1), row("stable", 2, decision=BLOCK, second=1), row("stable", 3, None, status=422, second=2),
        row("shadow", 1, tag=NEW), row("shadow", 2, tag=NEW, decision=REVIEW), row("shadow", 3, None, status=503),
    )  # fmt: skip
    assert [(each.role, each.status, each.rows) for each in store.statuses(owner)] == [
        ("stable", 200, 2), ("stable", 422, 1), ("shadow", 200, 2), ("shadow", 503, 1),
    ]  # fmt: skip
    assert [(each.role, each.decision, each.rows) for each in store.decisions(owner)] == [
        ("stable", "approve", 1), ("stable", "block", 1), ("shadow", "approve", 1), ("shadow", "review", 1),
    ]  # fmt: skip
    assert store.versions(owner) == (
        store.Version("stable", OLD, 3, AT, AT + timedelta(seconds=2)),
        store.Version("shadow", OLD, 1, AT, AT),
        store.Version("shadow", NEW, 2, AT, AT),
    )


def test_an_entity_that_both_sides_answered_has_moved(owner):
    fill(
        owner,
        row("stable", 1, entity="a"), row("canary", 2, entity="a"),
        row("stable", 3, entity="b"), row("shadow", 3, entity="b"), row("stable", 4, entity="b"),
        row("canary", 5, entity="c"), row("stable", 6, None), row("canary", 7, None),
    )  # fmt: skip
    assert store.stickiness(owner) == store.Stickiness(entities=3, moved=1)


def test_the_timeline_counts_rows_in_intervals(owner):
    fill(owner, *(row("stable", number, second=number * 0.5) for number in range(5)), row("shadow", 9, second=4))
    assert store.timeline(owner, timedelta(seconds=2)) == (
        store.Instant(AT, "stable", 4),
        store.Instant(AT + timedelta(seconds=2), "stable", 1),
        store.Instant(AT + timedelta(seconds=4), "shadow", 1),
    )


@pytest.fixture
def paired(owner):
    """Three pairs with differences 0, +0.25 and -0.5, and rows that must not pair."""
    fill(
        owner,
        row("stable", 1, 0.5, decision=REVIEW), row("shadow", 1, 0.5, decision=REVIEW),
        row("stable", 2, 0.25), row("shadow", 2, 0.5, decision=REVIEW, second=3),
        row("stable", 3, 0.75, decision=BLOCK), row("shadow", 3, 0.25),
        row("stable", 4), row("shadow", 5),
        row("stable", 6, event="x"), row("shadow", 6, event="y"),
        row("stable", 7, None, status=422), row("shadow", 7, None, status=422),
        row("canary", 8, 0.5), row("shadow", 8, 0.5),
    )  # fmt: skip
    return owner


def test_pairs_are_the_same_request_and_event_under_two_roles(paired):
    pairs = store.pairs(paired, "stable", "shadow")
    differences = np.array([-0.5, 0, 0.25])
    assert pairs is not None
    assert (pairs.pairs, pairs.low, pairs.high, pairs.p50, pairs.flips) == (3, -0.5, 0.25, 0, 2)
    assert pairs.mean == pytest.approx(differences.mean())
    assert pairs.sd == pytest.approx(differences.std(ddof=1))
    assert (pairs.p05, pairs.p95) == pytest.approx(tuple(np.quantile(differences, [0.05, 0.95])))


def test_one_pair_has_no_standard_deviation(paired):
    pairs = store.pairs(paired, "canary", "shadow")
    assert pairs is not None
    assert (pairs.pairs, pairs.mean, pairs.sd, pairs.flips) == (1, 0, None, 0)


def test_flips_are_counted_by_both_decisions(paired):
    flips = store.flips(paired, "stable", "shadow")
    assert {key: count for key, count in flips.items() if count} == {
        (REVIEW, REVIEW): 1, (APPROVE, REVIEW): 1, (BLOCK, APPROVE): 1,
    }  # fmt: skip
    assert len(flips) == 9


def test_differences_fall_into_bins_with_both_ends_included(paired):
    bins = store.differences(paired, "stable", "shadow", [-0.5, -0.25, 0, 0.25])
    assert [(each.low, each.high, each.pairs) for each in bins] == [(-0.5, -0.25, 1), (-0.25, 0, 0), (0, 0.25, 2)]
    assert [each.pairs for each in store.differences(paired, "stable", "shadow", [-0.1, 0.1])] == [1]


def test_request_ids_come_sorted_as_python_sorts_and_show_doubles(owner):
    ids = ["b", "B", "a-1", "a1", "Z", "z", "é", "10", "9", "b"]
    fill(owner, *({**row("stable", 0, second=n), "request_id": name} for n, name in enumerate(ids)))
    fill(owner, row("shadow", 1))
    assert list(store.request_ids(owner, "stable")) == sorted(ids)


def test_request_ids_can_be_limited_to_some_statuses(owner):
    fill(owner, row("stable", 1), row("stable", 2, None, status=422), row("stable", 3, status=299))
    assert list(store.request_ids(owner, "stable", range(200, 300))) == ["r1", "r3"]
    assert list(store.request_ids(owner, "stable", range(400, 500))) == ["r2"]
    assert list(store.request_ids(owner, "stable", range(0))) == []


def test_request_ids_are_streamed_by_a_reader_and_leave_the_connection_usable(database, owner, monkeypatch):
    monkeypatch.setattr(store, "_CHUNK", 2)
    fill(owner, *(row("stable", number) for number in range(5)))
    owner.commit()
    for autocommit in (False, True):
        with psycopg.connect(database.dsn("reader"), autocommit=autocommit) as reader:
            assert len(list(store.request_ids(reader, "stable"))) == 5
            assert store.traffic(reader)[0].rows == 5


def test_an_event_counts_once_a_model_with_its_newest_label(owner):
    fill(
        owner,
        row("canary", 1, 0.9, tag=NEW, second=1), row("shadow", 1, 0.8, tag=NEW, second=0), row("stable", 1, 0.3),
        row("shadow", 2, 0.2, tag=NEW), row("shadow", 3, 0.4, tag=NEW), row("shadow", 4, None, tag=NEW),
    )  # fmt: skip
    label(owner, ("e1", 0, AT), ("e1", 1, AT + timedelta(days=2)), ("e1", 0, AT + timedelta(days=1)))
    label(owner, ("e2", 0, AT), ("e4", 1, AT), ("never scored", 1, AT))
    new = store.labelled(owner, NEW)
    assert sorted(zip(new.scores.tolist(), new.labels.tolist(), strict=True)) == [(0.2, 0), (0.8, 1)]
    assert (new.scores.dtype, new.labels.dtype) == (np.float64, np.int8)
    old = store.labelled(owner, OLD)
    assert (old.scores.tolist(), old.labels.tolist()) == ([0.3], [1])


SCORES = st.floats(0, 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=st.lists(st.tuples(SCORES, SCORES, st.sampled_from(list(Decision)), st.sampled_from(list(Decision)))))
def test_pairs_bins_and_flips_agree(owner, scores):
    """Whatever the scores: the bins and the matrix hold every pair, and the flips are what is off the diagonal."""
    with owner.transaction(force_rollback=True):
        for number, (one, other, left, right) in enumerate(scores):
            fill(owner, row("stable", number, one, decision=left), row("shadow", number, other, decision=right))
        summary = store.pairs(owner, "stable", "shadow")
        flips = store.flips(owner, "stable", "shadow")
        bins = store.differences(owner, "stable", "shadow", np.linspace(-1, 1, 22).tolist())
        assert sum(flips.values()) == sum(each.pairs for each in bins) == len(scores)
        if summary is not None:
            assert summary.flips == sum(count for (one, other), count in flips.items() if one != other)
            assert summary.low <= summary.p05 <= summary.p50 <= summary.p95 <= summary.high
        else:
            assert not scores
