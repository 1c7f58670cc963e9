"""Old days are forgotten as a whole, and nothing else is."""

from datetime import UTC, datetime, time, timedelta

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors

from monitoring import partitions, retention
from monitoring.cli import cli
from monitoring.errors import SchemaError
from tests.conftest import FIXED_DAY


def _days(owner: psycopg.Connection) -> set[str]:
    with owner.transaction():
        return partitions.present(owner)


def test_days_before_the_first_kept_go_and_their_rows_with_them(database):
    with psycopg.connect(database.owner) as owner:
        with owner.transaction():
            owner.execute(
                "insert into predictions (request_id, event_id, role, tag, scored_at, status, latency_us) "
                "select 'r' || day, 'e', 'stable', 't', %s::timestamptz + day * interval '1 day', 200, 1 "
                "from generate_series(-1, 1) day",
                [f"{FIXED_DAY}T12:00:00Z"],
            )
        before = _days(owner)
        dropped = retention.drop(owner, FIXED_DAY)
        assert dropped == [partitions.name(FIXED_DAY - timedelta(days=1))]
        assert _days(owner) == before - set(dropped)
        assert owner.execute("select count(*) from predictions").fetchone() == (2,)


def test_a_second_run_drops_nothing(database):
    with psycopg.connect(database.owner) as owner:
        retention.drop(owner, FIXED_DAY + timedelta(days=2))
        assert retention.drop(owner, FIXED_DAY + timedelta(days=2)) == []


def test_a_partition_that_somebody_else_made_stays(database):
    with psycopg.connect(database.owner) as owner:
        with owner.transaction():
            owner.execute(
                "create table predictions_archive partition of predictions "
                "for values from ('2001-01-01Z') to ('2002-01-01Z')"
            )
        retention.drop(owner, FIXED_DAY)
        assert "predictions_archive" in _days(owner)


def test_a_reader_that_does_not_end_stops_it_and_a_later_run_goes_on(database, monkeypatch):
    monkeypatch.setattr(retention, "PATIENCE", "50ms")
    with psycopg.connect(database.owner) as owner, psycopg.connect(database.owner) as reader:
        reader.execute("select count(*) from predictions")
        with pytest.raises(errors.LockNotAvailable):
            retention.drop(owner, FIXED_DAY)
        reader.rollback()
        assert retention.drop(owner, FIXED_DAY)


def test_what_belongs_to_forgotten_days_is_forgotten_with_them(database):
    noon = datetime.combine(FIXED_DAY, time(12), tzinfo=UTC)
    with psycopg.connect(database.owner) as owner:
        with owner.transaction():
            for event, days in (("old", -1), ("kept", 0)):
                at = noon + timedelta(days=days)
                owner.execute(
                    "insert into predictions (request_id, event_id, role, tag, scored_at, status, latency_us) "
                    "values (%s, %s, 'stable', 't', %s, 200, 1)",
                    [event, event, at],
                )
                owner.execute(
                    "insert into labels values (%s, 1, %s), (%s, 0, %s)", [event, at, event, noon + timedelta(hours=1)]
                )
                owner.execute("insert into rollout_counted values ('a', 'errors', %s, %s)", [event, at])
            owner.execute("insert into labels values ('never scored', 1, %s)", [noon - timedelta(days=32)])
            owner.execute("insert into labels values ('not scored yet', 1, %s)", [noon])
            for at in (noon - retention.REPORTS - timedelta(days=1), noon):
                owner.execute("insert into erasures (erased_at, counts) values (%s, '{}')", [at])
        forgotten = retention.forget(owner, FIXED_DAY, noon)
        assert forgotten == {"labels": 3, "rollout_counted": 1, "erasures": 1}
        retention.drop(owner, FIXED_DAY)
        assert retention.forget(owner, FIXED_DAY, noon) == {}
        labels = owner.execute("select distinct event_id from labels order by 1").fetchall()
        assert labels == [("kept",), ("not scored yet",)]
        assert owner.execute("select entity from rollout_counted").fetchall() == [("kept",)]


def test_without_the_schema_it_says_so(empty_database):
    with psycopg.connect(empty_database) as owner, pytest.raises(SchemaError, match="migrate"):
        retention.drop(owner, FIXED_DAY)


def test_the_command_keeps_the_days_that_it_is_told_to(database):
    command = ["retention", "--days", "2"]
    environment = {"MONITORING_DSN": database.owner}
    done = CliRunner().invoke(cli, command, env=environment)
    assert done.exit_code == 0
    assert partitions.name(FIXED_DAY) in done.output
    assert "no day is old enough" in CliRunner().invoke(cli, command, env=environment).output


def test_a_reader_may_not_forget(database):
    done = CliRunner().invoke(cli, ["retention", "--days", "2"], env={"MONITORING_DSN": database.dsn("reader")})
    assert done.exit_code == 6
