"""The schema comes up once, the same for everybody, and what was applied is never altered."""

import shutil
import threading
from datetime import date

import psycopg
import pytest
from psycopg import sql

from monitoring import migrations, partitions
from monitoring.errors import SchemaError

DAY = date(2026, 5, 30)
FILES = [file.name for file in migrations.migrations()]


@pytest.fixture
def folder(tmp_path):
    """A copy of the schema's files, to be altered."""
    return shutil.copytree(migrations.FOLDER, tmp_path / "schema")


def test_a_new_database_gets_every_file_and_the_second_run_none(empty_database):
    with psycopg.connect(empty_database) as owner:
        assert migrations.migrate(owner, {}) == [file.name for file in migrations.migrations()]
        assert migrations.migrate(owner, {}) == []
        names = owner.execute("select name from schema_migrations order by name").fetchall()
    assert [name for (name,) in names] == FILES


def test_what_was_migrated_is_committed(empty_database):
    with psycopg.connect(empty_database) as owner:
        migrations.migrate(owner, {})
    with psycopg.connect(empty_database) as again:
        assert again.execute("select count(*) from labels").fetchone() == (0,)


def test_the_second_run_changes_the_password_and_only_of_the_user_named(database):
    with psycopg.connect(database.owner) as owner:
        migrations.migrate(owner, {"reader": "new'; drop table labels; --"})
    try:
        psycopg.connect(database.server.dsn("reader", "new'; drop table labels; --", database.name)).close()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(database.dsn("reader"))
        psycopg.connect(database.dsn("stable")).close()
    finally:
        with psycopg.connect(database.owner) as owner:
            migrations.migrate(owner, {"reader": "test's reader"})


def test_a_password_is_kept_as_a_verifier_and_never_sent(database, owner):
    seen = []
    owner.execute("set log_statement = 'all'; set client_min_messages = log")
    owner.add_notice_handler(lambda notice: seen.append(notice.message_primary))
    owner.commit()
    migrations.migrate(owner, {"reader": "test's reader"})
    alterations = [statement for statement in seen if "alter role" in statement]
    assert len(alterations) == 1
    assert "SCRAM-SHA-256$" in alterations[0]
    assert "test's reader" not in "".join(seen)
    assert "test''s reader" not in "".join(seen)


def test_an_unknown_user_is_refused(empty_database):
    with psycopg.connect(empty_database) as owner, pytest.raises(SchemaError, match="unknown users \\['root'\\]"):
        migrations.migrate(owner, {"root": "x"})


def test_a_right_that_was_added_by_hand_does_not_stay(database, owner):
    owner.execute("grant select on predictions to stable")
    owner.execute("grant create on schema public to public")
    owner.commit()
    migrations.migrate(owner, {})
    for statement in ("select * from predictions", "create table public.mine (a int)"):
        with psycopg.connect(database.dsn("stable")) as scorer, pytest.raises(psycopg.errors.InsufficientPrivilege):
            scorer.execute(statement)


def test_an_applied_file_that_was_altered_is_refused(empty_database, folder):
    with psycopg.connect(empty_database) as owner:
        migrations.migrate(owner, {}, folder)
        with (folder / "0002_labels.sql").open("a") as file:
            file.write("\n-- one more word\n")
        with pytest.raises(SchemaError, match=r"0002_labels\.sql was changed after it was applied"):
            migrations.migrate(owner, {}, folder)


def test_a_newer_database_is_refused(empty_database, folder):
    with psycopg.connect(empty_database) as owner:
        (folder / "9999_future.sql").write_text("create table future (a int);")
        migrations.migrate(owner, {}, folder)
        with pytest.raises(SchemaError, match="has 9999_future"):
            migrations.migrate(owner, {})


def test_a_file_with_an_old_number_is_refused(empty_database, folder):
    with psycopg.connect(empty_database) as owner:
        migrations.migrate(owner, {}, folder)
        (folder / "0001_b.sql").write_text("select 1;")
        with pytest.raises(SchemaError, match=rf"0001_b.sql is older than what was applied last \({FILES[-1]}\)"):
            migrations.migrate(owner, {}, folder)


def test_a_file_that_fails_leaves_nothing_of_itself(empty_database, folder):
    (folder / "9999_broken.sql").write_text("create table half (a int); select 1/0;")
    with psycopg.connect(empty_database) as owner:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrations.migrate(owner, {}, folder)
        assert owner.execute("select to_regclass('half')").fetchone() == (None,)
        (folder / "9999_broken.sql").write_text("create table half (a int);")
        assert migrations.migrate(owner, {}, folder) == ["9999_broken"]


def test_two_at_once_are_one_after_the_other(empty_database):
    applied, start = [], threading.Barrier(4)

    def run():
        with psycopg.connect(empty_database) as owner:
            start.wait()
            applied.append(migrations.migrate(owner, {}) + partitions.ensure(owner, DAY, 3))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for names in applied for name in names) == [
        *FILES, "predictions_20260530", "predictions_20260531", "predictions_20260601",
    ]  # fmt: skip


def test_partitions_are_made_once_and_cover_whole_days(owner):
    assert partitions.ensure(owner, DAY, 2) == ["predictions_20260530", "predictions_20260531"]
    assert partitions.ensure(owner, DAY, 3) == ["predictions_20260601"]
    for moment in ("2026-05-30T00:00:00Z", "2026-06-01T23:59:59.999999Z", "2026-06-01T01:30:00+02:00"):
        owner.execute(
            "insert into predictions (role, request_id, event_id, tag, scored_at, status, latency_us) "
            "values ('stable', %s, 'e', 't', %s, 200, 1)",
            [moment, moment],
        )
    rows = owner.execute("select tableoid::regclass::text, request_id from predictions order by 2").fetchall()
    assert [partition for partition, _ in rows] == [
        "predictions_20260530", "predictions_20260531", "predictions_20260601",
    ]  # fmt: skip


def test_partitions_do_not_wait_for_scorers_nor_scorers_for_them(database, owner):
    """A scorer in the middle of a batch locks the table: `create table ... partition of` would wait for it."""
    with psycopg.connect(database.dsn("stable")) as scorer:
        columns = sql.SQL("insert into predictions (request_id, event_id, tag, scored_at, status, latency_us) values ")
        scorer.execute(columns + sql.SQL("('r', 'e', 't', '2026-03-02', 200, 1)"))
        owner.execute("set lock_timeout = '2s'")
        assert partitions.ensure(owner, DAY, 1) == ["predictions_20260530"]


def test_partitions_need_the_schema(empty_database):
    with psycopg.connect(empty_database) as owner, pytest.raises(SchemaError, match="migrate"):
        partitions.ensure(owner, DAY, 1)
