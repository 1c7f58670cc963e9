"""An entity is erased wherever it can be, nobody else is touched, and nothing of it comes back by way of a spool."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from monitoring import erasure, retention
from monitoring.cli import cli
from monitoring.errors import RemainsError
from tests.conftest import FIXED_DAY

NOW = datetime.now(UTC)
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECRET = "a key of the tests, long enough"
KEY = erasure.Key.of(SECRET)
HIM, HER = "entity-of-him", "entity-of-her"


def put(owner, event, entity, *, at=AT, role="stable", status=200):
    owner.execute(
        "insert into predictions (request_id, event_id, entity_id, role, tag, scored_at, status, latency_us) "
        "values (%s, %s, %s, %s, 't', %s, %s, 1)",
        [f"r-{event}-{at}", event, entity, role, at, status],
    )


def label(owner, event):
    owner.execute("insert into labels values (%s, 1, %s), (%s, 0, %s)", [event, AT, event, AT + timedelta(hours=1)])


@pytest.fixture
def store(database):
    """Two entities, on two days and under three roles, counted and labelled; one event is both of theirs."""
    with psycopg.connect(database.owner) as owner:
        for name, entity in (("his", HIM), ("hers", HER)):
            put(owner, name, entity)
            put(owner, name, entity, role="shadow")
            put(owner, f"{name}-later", entity, at=AT + timedelta(days=1), role="canary")
            put(owner, "shared", entity, at=AT + timedelta(seconds=len(name)))
            for event in (name, f"{name}-later"):
                label(owner, event)
            for metric in ("errors", "shadow flagged", "pair"):
                owner.execute("insert into rollout_counted values ('a', %s, %s)", [metric, entity])
        put(owner, "his", None, at=AT + timedelta(hours=3), status=422)
        label(owner, "shared")
        owner.execute("insert into rollout_evidence values ('a', 'canary', now(), 0, '{}', '{}', now())")
    return database


@pytest.fixture
def eraser(store):
    with psycopg.connect(store.dsn("eraser")) as connection:
        yield connection


def everything(database):
    """Every row of every table, as text, by table: what a search for a name would find."""
    with psycopg.connect(database.owner) as owner:
        tables = owner.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
        names = [name for (name,) in tables.fetchall()]
        statement = sql.SQL("select coalesce(string_agg(t::text, ' '), '') from {} as t")
        return {name: owner.execute(statement.format(sql.Identifier(name))).fetchone()[0] for name in names}


def test_nothing_of_an_entity_is_left_in_any_table_and_everybody_else_is_untouched(store, eraser):
    before = everything(store)
    assert erasure.erase(eraser, HIM, NOW) == {"predictions": 5, "labels": 4, "rollout_counted": 3}
    after = everything(store)
    assert not [table for table, text in after.items() if HIM in text or "his" in text]
    assert {table: text.count(HER) for table, text in before.items()} == {
        table: text.count(HER) for table, text in after.items()
    }
    assert [before["labels"].count(event) - after["labels"].count(event) for event in ("hers", "shared")] == [0, 0]


def test_an_erasure_is_recorded_without_saying_whose(store, eraser, owner):
    erasure.erase(eraser, HIM, NOW, KEY)
    assert owner.execute("select erased_at, counts->'labels' from erasures").fetchall() == [(NOW, 4)]
    assert owner.execute("select digest from erased").fetchone() == (KEY.digest(HIM),)
    assert KEY.digest(HIM) == hmac.digest(SECRET.encode(), HIM.encode(), hashlib.sha256)
    assert HIM not in " ".join(everything(store).values())


def test_a_long_key_is_one_too():
    assert erasure.Key.of("x" * 100).digest(HIM) == hmac.digest(b"x" * 100, HIM.encode(), hashlib.sha256)


def test_an_unknown_entity_erases_nothing_and_a_second_time_neither(store, eraser):
    assert set(erasure.erase(eraser, "nobody", NOW).values()) == {0}
    erasure.erase(eraser, HIM, NOW)
    assert set(erasure.erase(eraser, HIM, NOW).values()) == {0}


def test_what_a_spool_brings_later_is_erased_again_and_what_is_new_stays(store, eraser):
    erasure.erase(eraser, HIM, NOW, KEY)
    with psycopg.connect(store.owner) as owner:
        put(owner, "spooled", HIM, at=NOW - timedelta(hours=1))
        put(owner, "new", HIM, at=NOW + timedelta(seconds=1))
        put(owner, "hers too", HER, at=NOW - timedelta(hours=1))
        label(owner, "spooled")
    with psycopg.connect(store.owner) as owner:
        assert erasure.late(owner, erasure.Key.of("another key, as long as that"), NOW) == {}
        assert erasure.late(owner, KEY, NOW + timedelta(hours=1)) == {
            "predictions": 1, "labels": 2, "rollout_counted": 0,
        }  # fmt: skip
        assert erasure.late(owner, KEY, NOW + timedelta(hours=1)) == {}
        events = owner.execute("select event_id from predictions where entity_id = %s", [HIM]).fetchall()
        assert events == [("new",)]


def test_after_the_longest_time_in_a_spool_the_hash_is_forgotten(store, eraser):
    erasure.erase(eraser, HIM, NOW, KEY)
    after = NOW + erasure.SPOOLED + timedelta(seconds=1)
    with psycopg.connect(store.owner) as owner:
        assert erasure.late(owner, KEY, after) == {}
        assert retention.forget(owner, FIXED_DAY - timedelta(days=9), after)["erased"] == 1


def test_rows_that_are_written_meanwhile_are_told(store, eraser, monkeypatch):
    verify = erasure._verify

    with psycopg.connect(store.owner) as owner:

        def write_first(connection, values):
            put(owner, "again", HIM, at=AT + timedelta(minutes=5))
            owner.commit()
            verify(connection, values)

        monkeypatch.setattr(erasure, "_verify", write_first)
        with pytest.raises(RemainsError, match="1 in predictions"):
            erasure.erase(eraser, HIM, NOW)


def run(database, *arguments, user="eraser", given=None, **environment):
    return CliRunner().invoke(cli, arguments, env={"MONITORING_DSN": database.dsn(user), **environment}, input=given)


def test_the_command_asks_counts_and_looks_again(store):
    assert run(store, "erase", HIM, given="n\n").exit_code == 1
    assert HIM in everything(store)["predictions_20260302"]
    done = run(store, "erase", "-", "--yes", given=f"{HIM}\n", MONITORING_ERASURE_KEY=SECRET)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "predictions: 5 rows erased",
        "labels: 4 rows erased",
        "rollout_counted: 3 rows erased",
        "looked again: none is left",
    ]


def test_without_a_key_it_says_what_a_spool_may_bring(store):
    assert "MONITORING_ERASURE_KEY is not set" in run(store, "erase", HIM, "--yes").output


def test_somebody_without_the_right_erases_nothing(store):
    assert run(store, "erase", HIM, "--yes", user="reader").exit_code == 6
    assert run(store, "erase", "", "--yes").exit_code == 2
    assert HIM in everything(store)["predictions_20260302"]


def test_every_table_that_names_an_entity_or_an_event_is_reached(owner):
    found = owner.execute(
        "select distinct table_name from information_schema.columns where table_schema = 'public' "
        "and column_name in ('entity', 'entity_id', 'event_id', 'request_id') and table_name !~ '^predictions_'"
    ).fetchall()
    assert {name for (name,) in found} == set(erasure._ABOUT)
