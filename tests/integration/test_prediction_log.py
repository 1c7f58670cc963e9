"""The prediction log against a real PostgreSQL: what is sent to it and what stands in the store are the same set."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bentos.risk_scorer.errors import DsnError
from bentos.risk_scorer.metrics import LogCounts
from bentos.risk_scorer.prediction_log import PredictionLog, Row
from bentos.risk_scorer.settings import Settings
from bentos.risk_scorer.spool import Spool
from monitoring import partitions
from tests.waiting import wait_for

NOW = datetime.now(UTC)


def line(number: int, scored_at: datetime = NOW) -> bytes:
    return Row(
        request_id=f"r-{number}",
        event_id=f"e-{number}",
        tag="risk_scorer:0123456789ab",
        scored_at=scored_at,
        status=200,
        entity_id="pseudo",
        occurred_at=NOW,
        fields='{"amount":12.5}',
        score=0.1 + number / 1e17,
        decision="approve",
        latency_us=812,
    ).line()


def settings(folder: Path, **changes: object) -> Settings:
    fast = {"log_flush_seconds": 0.01, "log_retry_seconds": 0.01, "log_timeout_seconds": 2, "spool_dir": folder}
    return Settings.model_validate({**fast, **changes})


@contextmanager
def running(dsn: str, chosen: Settings) -> Iterator[PredictionLog]:
    log = PredictionLog(dsn, chosen, LogCounts())
    log.start()
    try:
        yield log
    finally:
        log.close(5)


def stored(database) -> list[str]:
    with psycopg.connect(database.owner) as connection:
        return [
            row[0] for row in connection.execute("select request_id from predictions order by scored_at, request_id")
        ]


def test_rows_arrive_with_the_role_of_the_database_user(database, tmp_path: Path) -> None:
    with running(database.dsn("canary"), settings(tmp_path)) as log:
        for number in range(500):
            log.append(line(number))
    assert (log.counts.queued, log.counts.written, log.counts.dropped) == (500, 500, 0)
    with psycopg.connect(database.owner) as connection:
        row = connection.execute(
            "select role, entity_id, status, fields ->> 'amount', score, latency_us from predictions "
            "where event_id = 'e-7'"
        ).fetchone()
    assert row == ("canary", "pseudo", 200, "12.5", 0.1 + 7 / 1e17, 812)
    assert len(stored(database)) == 500


def test_a_refused_request_is_a_row_without_values(database, tmp_path: Path) -> None:
    row = Row(
        request_id="r", event_id="e", tag="t", scored_at=NOW, status=200, fields="{}", score=0.5, decision="block"
    )
    row.refuse(422, {"hour", "amount"})
    with running(database.dsn("stable"), settings(tmp_path)) as log:
        log.append(row.line())
    with psycopg.connect(database.owner) as connection:
        found = connection.execute(
            "select event_id, entity_id, occurred_at, status, fields, score, decision from predictions"
        ).fetchone()
    assert found == ("r", None, None, 422, ["amount", "hour"], None, None)


def test_a_row_that_the_store_cannot_hold_does_not_keep_the_others_out(database, tmp_path: Path) -> None:
    """None such is known; a spool that can't be emptied would be worse than the one row."""
    Spool(tmp_path, 10_000_000).add([line(1), b"no row at all\n", line(2)])
    with running(database.dsn("stable"), settings(tmp_path)) as log:
        wait_for(lambda: log.counts.rejected == 1)
        log.append(line(3))
    assert stored(database) == ["r-1", "r-2", "r-3"]
    assert not list(tmp_path.glob("*.rows"))


def test_rows_wait_in_the_spool_until_the_database_takes_them(database, tmp_path: Path) -> None:
    """No partition yet for the day: the COPY fails until there is one, and nothing is lost."""
    tomorrow = NOW + timedelta(days=40)
    with running(database.dsn("stable"), settings(tmp_path)) as log:
        for number in range(10):
            log.append(line(number, tomorrow))
        wait_for(lambda: log.counts.spooled == 10)
        log.append(line(10, tomorrow))
        assert stored(database) == []
        with psycopg.connect(database.owner) as connection:
            partitions.ensure(connection, tomorrow.date(), 1)
        wait_for(lambda: len(stored(database)) == 11)
    assert log.counts.replayed == log.counts.spooled
    assert log.counts.spooled + log.counts.written == 11
    assert not list(tmp_path.glob("*.rows"))


def test_a_batch_that_was_committed_before_is_stored_once(database, tmp_path: Path) -> None:
    """The answer to a COPY got lost: its rows are in the store and in the spool."""
    lines = [line(number) for number in range(20)]
    with running(database.dsn("stable"), settings(tmp_path)) as log:
        for each in lines[:12]:
            log.append(each)
    Spool(tmp_path, 10_000_000).add(lines)
    with running(database.dsn("stable"), settings(tmp_path)) as later:
        wait_for(lambda: later.counts.replayed == 20)
    assert sorted(stored(database)) == sorted(f"r-{number}" for number in range(20))


def test_without_a_database_everything_is_on_disk_when_it_ends(tmp_path: Path) -> None:
    with running("postgresql://nobody@127.0.0.1:1/none", settings(tmp_path)) as log:
        for number in range(50):
            log.append(line(number))
    assert (log.counts.spooled, log.counts.dropped) == (50, 0)
    assert b"".join(part.read_bytes() for part in sorted(tmp_path.glob("*.rows"))).count(b"\n") == 50


def test_what_fits_nowhere_is_counted(tmp_path: Path) -> None:
    chosen = settings(tmp_path, spool_max_bytes=1_000, log_batch_rows=5)
    with running("postgresql://nobody@127.0.0.1:1/none", chosen) as log:
        for number in range(50):
            log.append(line(number))
    counts = log.counts
    assert counts.dropped > 0
    assert counts.spooled > 0
    assert counts.queued == counts.spooled + counts.dropped == 50


def test_a_full_queue_drops_and_counts_rather_than_waits(tmp_path: Path) -> None:
    log = PredictionLog("", settings(tmp_path, log_queue_rows=10), LogCounts())
    for number in range(25):
        log.append(line(number))
    assert (log.counts.queued, log.counts.dropped) == (25, 15)


def test_a_spool_part_that_disappears_does_not_end_the_writer(database, tmp_path: Path) -> None:
    tomorrow = NOW + timedelta(days=40)
    with running(database.dsn("stable"), settings(tmp_path)) as log:
        log.append(line(0, tomorrow))
        wait_for(lambda: log.counts.spooled == 1)
        next(tmp_path.glob("*.rows")).unlink()
        log.append(line(1))
        wait_for(lambda: stored(database) == ["r-1"])
        assert log.is_writing


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_whatever_the_driver_raises_keeps_the_rows_and_the_writer(tmp_path: Path, host: str) -> None:
    with running(f"host={host} dbname=x", settings(tmp_path)) as log:
        for number in range(5):
            log.append(line(number))
        wait_for(lambda: log.counts.spooled == 5)
        assert log.is_writing
    assert log.counts.queued == log.counts.spooled


def test_a_connection_string_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(DsnError) as refused:
        PredictionLog("password=secret complete nonsense", settings(tmp_path), LogCounts())
    assert "secret" not in str(refused.value)


def test_a_database_that_hangs_is_timed_out(database, tmp_path: Path) -> None:
    with psycopg.connect(database.owner) as blocker:
        blocker.execute("lock table predictions in access exclusive mode")
        with running(database.dsn("stable"), settings(tmp_path, log_timeout_seconds=0.2)) as log:
            log.append(line(1))
            wait_for(lambda: log.counts.spooled == 1)
            blocker.rollback()
            wait_for(lambda: log.counts.replayed == 1)
    assert stored(database) == ["r-1"]
