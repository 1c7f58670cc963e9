"""What each database user can and can't do."""

# ruff: noqa: S608 - the statements are made of this file's own text

from typing import Any

import psycopg
import pytest
from psycopg import errors

COLUMNS = "request_id, event_id, entity_id, tag, occurred_at, scored_at, status, fields, score, decision, latency_us"
AT = "2026-03-02T10:00:00Z"
ROW = ("r1", "e1", "c1", "risk_scorer:abc", AT, AT, 200, '{"amount": 1}', 0.25, "approve", 900)
NULLS = ", ".join(["null"] * 11)
INSERT = f"insert into predictions ({COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
SCORERS = ("stable", "canary", "shadow")


def connect(database: Any, user: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(database.dsn(user))


@pytest.mark.parametrize("user", SCORERS)
def test_a_scorer_copies_rows_that_carry_its_own_name(database, owner, user):
    with connect(database, user) as scorer, scorer.cursor().copy(f"copy predictions ({COLUMNS}) from stdin") as copy:
        copy.write_row(ROW)
    assert owner.execute("select role, request_id, fields from predictions").fetchall() == [(user, "r1", {"amount": 1})]


@pytest.mark.parametrize("user", SCORERS)
def test_a_scorer_sends_a_batch_again_without_doubling_it(database, owner, user):
    with connect(database, user) as scorer:
        scorer.execute(INSERT, ROW)
    with connect(database, user) as scorer:
        # Its columns are written out: `like predictions` would need the right to read that table.
        scorer.execute(
            "create temporary table batch (request_id text, event_id text, entity_id text, tag text, "
            "occurred_at timestamptz, scored_at timestamptz, status smallint, fields jsonb, score float8, "
            "decision text, latency_us integer) on commit drop"
        )
        for request_id in ("r1", "r2"):
            scorer.execute(INSERT.replace("into predictions", "into batch"), (request_id, *ROW[1:]))
        scorer.execute(f"insert into predictions ({COLUMNS}) select {COLUMNS} from batch on conflict do nothing")
    assert owner.execute("select request_id from predictions order by 1").fetchall() == [("r1",), ("r2",)]


FORBIDDEN = {
    "read": "select count(*) from predictions",
    "read a partition": "select count(*) from predictions_20260302",
    "read labels": "select count(*) from labels",
    "update": "update predictions set score = 1",
    "delete": "delete from predictions",
    "empty": "truncate predictions",
    "write its role": f"insert into predictions (role, {COLUMNS}) values ('stable', {NULLS})",
    "override its role by copying every column": "copy predictions from stdin",
    "write into a partition": f"insert into predictions_20260302 ({COLUMNS}) values ({NULLS})",
    "return what it wrote": f"insert into predictions ({COLUMNS}) values ({NULLS}) returning role",
    "label": "insert into labels values ('e1', 1, now())",
    "make a table": "create table public.mine (a int)",
    "make a schema": "create schema mine",
    "add a partition": "create table public.p partition of predictions default",
    "drop a partition": "drop table predictions_20260302",
    "see the migrations": "select * from schema_migrations",
    "become stable": "set role postgres",
    "become somebody": "set session authorization reader",
    "run a program": "copy (select 1) to program 'true'",
    "read a file": "select pg_read_file('PG_VERSION')",
}


@pytest.mark.parametrize("user", SCORERS)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_scorer_can_not(database, user, what):
    with connect(database, user) as scorer, pytest.raises(errors.InsufficientPrivilege):
        scorer.execute(FORBIDDEN[what])


@pytest.mark.parametrize(("user", "other"), [("shadow", "stable"), ("canary", "stable"), ("stable", "canary")])
def test_a_scorer_can_not_pass_as_another(database, user, other):
    with connect(database, user) as scorer, pytest.raises(errors.InsufficientPrivilege):
        scorer.execute(f"set role {other}")


def test_a_day_without_a_partition_fails_loudly_and_takes_nothing(database, owner):
    far = "2031-01-01T00:00:00Z"
    with connect(database, "stable") as scorer, pytest.raises(errors.CheckViolation, match="no partition"):
        scorer.execute(INSERT, (*ROW[:5], far, *ROW[6:]))
    assert owner.execute("select count(*) from predictions").fetchone() == (0,)


def test_a_row_of_a_user_who_is_no_scorer_is_refused(owner):
    with pytest.raises(errors.CheckViolation, match="role_check"):
        owner.execute(INSERT, ROW)


def test_the_reader_reads_everything_and_writes_nothing(database):
    with connect(database, "reader") as reader:
        for table in ("predictions", "labels", "schema_migrations"):
            reader.execute(f"select * from {table}")
        for statement in (
            "insert into labels values ('e', 1, now())",
            INSERT % tuple(["null"] * 11),
            "delete from predictions",
            "create temporary table mine (a int)",
        ):
            with pytest.raises(errors.InsufficientPrivilege), reader.transaction():
                reader.execute(statement)


def test_the_labeller_adds_labels_and_neither_changes_them_nor_sees_predictions(database):
    with connect(database, "labeller") as labeller:
        labeller.execute("insert into labels values ('e', 1, now())")
        assert labeller.execute("select event_id, label from labels").fetchall() == [("e", 1)]
        labeller.execute("select event_id from predictions")
        for statement in ("update labels set label = 0", "delete from labels", "select score from predictions"):
            with pytest.raises(errors.InsufficientPrivilege), labeller.transaction():
                labeller.execute(statement)


ROLLOUTS = ("rollout_events", "rollout_evidence", "rollout_counted", "rollout_noise")
NOT_FOR_ROLLOUT = {
    **{what: FORBIDDEN[what] for what in FORBIDDEN if what not in ("read", "read labels", "see the migrations")},
    "forge a row": INSERT % tuple(["null"] * 11),
    "compare": "insert into comparisons default values",
    "change labels": "update labels set label = 0",
    "lock predictions": "lock table predictions in exclusive mode",
    "make a temporary table": "create temporary table mine (a int)",
    "take back a migration": "delete from schema_migrations",
    **{f"forget {table}": f"delete from {table}" for table in ROLLOUTS},
    **{f"empty {table}": f"truncate {table}" for table in ROLLOUTS},
    "change what happened": "update rollout_events set message = ''",
    "change what was seen": "update rollout_evidence set block = '{}'",
    "change who was counted": "update rollout_counted set entity = ''",
    "overwrite what happened": "insert into rollout_events values (null, 1, now(), '', '', '{}') "
    "on conflict (at, number) do update set message = ''",
}


def test_the_rollout_reads_what_was_answered_and_adds_to_its_own_tables(database):
    with connect(database, "rollout") as rollout:
        for table in ("predictions", "labels", "comparisons", "schema_migrations", *ROLLOUTS):
            rollout.execute(f"select * from {table}")
        rollout.execute("insert into rollout_events values (null, 1, now(), 'k', 'm', '{}') on conflict do nothing")
        rollout.execute("insert into rollout_counted values ('a', 'errors', 'c')")


@pytest.mark.parametrize("what", NOT_FOR_ROLLOUT)
def test_the_rollout_can_not(database, what):
    with connect(database, "rollout") as rollout, pytest.raises(errors.InsufficientPrivilege):
        rollout.execute(NOT_FOR_ROLLOUT[what])


@pytest.mark.parametrize("user", [*SCORERS, "labeller", "trainer"])
@pytest.mark.parametrize("table", ROLLOUTS)
def test_nobody_else_writes_or_sees_what_rollouts_did(database, user, table):
    with connect(database, user) as somebody:
        for statement in (f"select * from {table}", f"insert into {table} default values"):
            with pytest.raises(errors.InsufficientPrivilege), somebody.transaction():
                somebody.execute(statement)


def test_the_reader_sees_what_rollouts_did_but_not_whom_they_counted(database):
    with connect(database, "reader") as reader:
        for table in ("rollout_events", "rollout_evidence", "rollout_noise"):
            reader.execute(f"select * from {table}")
        for statement in ("select * from rollout_counted", "insert into rollout_events default values"):
            with pytest.raises(errors.InsufficientPrivilege), reader.transaction():
                reader.execute(statement)


NOT_FOR_ERASER = {
    "read a score": "select score from predictions",
    "read what was sent": "select fields from predictions",
    "read a label": "select label from labels",
    "read who was counted for what": "select metric from rollout_counted",
    "change a row": "update predictions set score = 1",
    "label": "insert into labels values ('e1', 1, now())",
    "forge a row": INSERT % tuple(["null"] * 11),
    "forget what happened": "delete from rollout_events",
    "forget an erasure": "delete from erasures",
    "forget a report": "delete from quality_reports",
    "empty": "truncate predictions",
    "make a temporary table": "create temporary table mine (a int)",
}


def test_the_eraser_deletes_where_an_entity_can_be_and_says_that_it_did(database):
    with connect(database, "eraser") as eraser:
        eraser.execute("delete from predictions where entity_id = 'c1' or event_id = 'e1'")
        eraser.execute("delete from labels where event_id = 'e1'")
        eraser.execute("delete from rollout_counted where entity = 'c1'")
        eraser.execute("insert into erasures (erased_at, counts) values (now(), '{}')")


@pytest.mark.parametrize("what", NOT_FOR_ERASER)
def test_the_eraser_can_not(database, what):
    with connect(database, "eraser") as eraser, pytest.raises(errors.InsufficientPrivilege):
        eraser.execute(NOT_FOR_ERASER[what])


def test_the_daily_job_reads_rows_and_labels_and_adds_reports_only(database):
    with connect(database, "drift") as drift:
        for table in ("predictions", "labels", "schema_migrations", "quality_reports", "drift_reports"):
            drift.execute(f"select * from {table}")
        for statement in (
            "select * from rollout_counted",
            "insert into labels values ('e', 1, now())",
            "delete from predictions",
            "delete from quality_reports",
            "update quality_reports set verdict = 'OK'",
            "delete from drift_reports",
            "update drift_reports set verdict = 'OK'",
        ):
            with pytest.raises(errors.InsufficientPrivilege), drift.transaction():
                drift.execute(statement)


def test_an_unknown_user_of_the_server_does_not_get_in(database, owner):
    owner.execute("drop role if exists stranger")
    owner.execute("create role stranger login password 'x'")
    owner.commit()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(database.server.dsn("stranger", "x", database.name))
    owner.execute("drop role stranger")


def test_a_wrong_password_does_not_get_in(database):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.server.dsn("reader", "guess", database.name))
