"""Evidence on a real PostgreSQL, with everything around it going wrong."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from k8s.local import postgres as local_postgres
from k8s.rollout.blocks import Affected
from k8s.rollout.evidence import Question
from k8s.rollout.history import PostgresHistory
from k8s.rollout.store_evidence import StoreEvidence
from k8s.rollout.store_session import Patience
from monitoring import migrations, partitions, rollout_blocks, rollout_history
from tests.doubles.given_gateway import GivenGateway
from tests.waiting import wait_for

SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=40)
BLOCK = timedelta(seconds=30)
STABLE, CANDIDATE = "risk_scorer:old", "risk_scorer:new"
ATTEMPT = 'it\'s "odd"; drop table rollout_evidence; -- ü\\%s'
QUESTION = Question(ATTEMPT, STABLE, CANDIDATE, SINCE, -1, BLOCK, 100, ((SINCE, 0.25),))


class Traffic:
    """Rows and counters of stable and canary, as scorers and gateway would leave them."""

    def __init__(self, owner_dsn: str) -> None:
        self.gateway = GivenGateway(SINCE)
        self._dsn = owner_dsn
        self._rows = 0

    def answer(self, role: str, number: int, requests: int, rows: int | None = None, **columns: Any) -> None:
        """A role answers requests in a block, and so many rows of it arrive (all, unless said)."""
        self.gateway.count(role, requests)  # type: ignore[arg-type]
        self.arrive(role, number, requests if rows is None else rows, **columns)

    def arrive(self, role: str, number: int, rows: int, **columns: Any) -> None:
        tag = STABLE if role == "stable" else CANDIDATE
        at = SINCE + number * BLOCK
        values = {"tag": tag, "status": 200, "entity_id": None, "decision": "approve", "role": role} | columns
        with psycopg.connect(self._dsn) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into predictions (role, request_id, event_id, entity_id, tag, scored_at, status, score, "
                "decision, latency_us) values (%(role)s, %(id)s, 'e', %(entity_id)s, %(tag)s, %(at)s, %(status)s, 0.1, "
                "%(decision)s, 900)",
                [values | {"id": f"r{self._rows + n}", "at": at + BLOCK * ((n + 1) / (rows + 2))} for n in range(rows)],
            )
        self._rows += rows

    def tick(self, source: StoreEvidence, number: float) -> None:
        """A look at the gateway at the end of a block."""
        self.gateway.at = SINCE + (number + 1) * BLOCK
        source.watch(self.gateway.at)


@pytest.fixture
def traffic(database: Any) -> Traffic:
    return Traffic(database.owner)


@pytest.fixture
def source(database: Any, traffic: Traffic) -> Iterator[StoreEvidence]:
    source = made(database, traffic)
    traffic.tick(source, -1)
    yield source
    source.close()


def made(database: Any, traffic: Traffic, **options: Any) -> StoreEvidence:
    clock = options.pop("clock", lambda: datetime.now(UTC))
    return StoreEvidence(database.dsn("rollout"), traffic.gateway, clock, **options)


def closed(number: float) -> datetime:
    return SINCE + (number + 1.5) * BLOCK


def ask(source: StoreEvidence, number: int, after: int = -1, later: float = 0.0) -> Any:
    return source.canary(replace(QUESTION, after=after), closed(number + later))


# What counts


def test_failures_without_a_row_are_errors_of_their_role_and_nobodys_decisions(source, traffic):
    traffic.answer("stable", 0, 20)
    traffic.answer("canary", 0, 10)
    traffic.gateway.count("canary", failed=7)
    traffic.gateway.count("stable", failed=1)
    traffic.tick(source, 0)
    (block,) = ask(source, 0).blocks
    assert (block.canary.requests, block.canary.errors) == (17, 7)
    assert (block.canary.errors_affected, block.canary.flagged_affected) == (Affected(7, 17), Affected(0, 10))
    assert (block.stable.requests, block.stable.errors_affected) == (21, Affected(1, 21))
    assert block.weight == 0.25


def test_a_candidate_that_only_refuses_has_a_block_of_errors_at_once(source, traffic):
    traffic.answer("stable", 0, 20)
    traffic.gateway.count("canary", failed=50)
    traffic.tick(source, 0)
    (block,) = ask(source, 0).blocks
    assert (block.canary.requests, block.canary.errors, block.canary.errors_affected.new) == (50, 50, 50)


def test_with_all_traffic_every_failure_is_the_candidates(source, traffic):
    traffic.answer("stable", 0, 20, tag=CANDIDATE)
    traffic.gateway.count("stable", failed=3)
    traffic.tick(source, 0)
    (block,) = source.canary(replace(QUESTION, weights=()), closed(0)).blocks
    assert (block.stable.requests, block.canary.requests, block.canary.errors) == (0, 23, 3)


def test_an_entity_that_failed_in_an_earlier_block_is_not_at_risk_again(source, traffic):
    for number in range(3):
        traffic.answer("canary", number, 4, entity_id="always failing", status=500)
        traffic.answer("canary", number, 4, entity_id="fine")
        traffic.tick(source, number)
    blocks = ask(source, 2).blocks
    assert [block.canary.errors for block in blocks] == [4, 4, 4]
    assert [block.canary.errors_affected for block in blocks] == [Affected(1, 8), Affected(0, 4), Affected(0, 4)]


# When a block waits


def test_one_row_in_a_hundred_may_be_missing_and_two_beside(source, traffic):
    traffic.answer("stable", 0, 400, rows=393)
    traffic.tick(source, 0)
    answer = ask(source, 0)
    assert (answer.blocks, answer.waiting.obstacle) == ((), "log behind")
    assert "stable answered 400 requests" in answer.waiting.detail
    assert "393 of them" in answer.waiting.detail
    traffic.arrive("stable", 0, 1)
    (block,) = ask(source, 0).blocks
    assert block.stable.requests == 394


def test_the_rows_that_died_with_a_scorer_do_not_hold_up_the_block_that_shows_it(source, traffic):
    traffic.answer("stable", 0, 100)
    traffic.answer("canary", 0, 40, rows=10)
    traffic.gateway.count("canary", failed=29)
    traffic.tick(source, 0)
    assert ask(source, 0).waiting.obstacle == "log behind"
    traffic.gateway.count("canary", failed=1)
    traffic.gateway.at = SINCE + BLOCK
    source._snapshots.pop()
    source.watch(closed(0))
    (block,) = ask(source, 0).blocks
    assert (block.canary.requests, block.canary.errors) == (40, 30)


def test_a_few_rows_that_are_lost_for_good_hold_a_block_up_for_two_blocks_only(source, traffic):
    traffic.answer("canary", 0, 200, rows=191)
    traffic.tick(source, 0)
    assert ask(source, 0, later=1.9).waiting.obstacle == "log behind"
    assert ask(source, 0, later=2).waiting.obstacle == "log behind"  # nothing newer: it may still come
    traffic.arrive("canary", 1, 1)
    assert ask(source, 0, later=1.9).waiting.obstacle == "log behind"
    assert len(ask(source, 0, later=2).blocks) == 1


def test_a_log_that_is_broken_holds_for_as_long_as_it_is(source, traffic):
    traffic.answer("canary", 0, 200, rows=180)
    traffic.arrive("canary", 1, 50)
    traffic.tick(source, 0)
    assert ask(source, 0, later=500).waiting.obstacle == "log behind"


def test_a_day_without_a_partition_is_a_log_that_is_behind(database, traffic):
    far = replace(QUESTION, since=SINCE - timedelta(days=400))
    source = made(database, traffic)
    traffic.gateway.at = far.since
    source.watch(far.since)
    traffic.gateway.count("stable", 100)
    traffic.gateway.at = far.since + BLOCK
    source.watch(far.since)
    assert source.canary(far, far.since + 1.5 * BLOCK).waiting.obstacle == "log behind"
    source.close()


def test_without_the_gateways_counters_nothing_closes_and_later_everything_does(source, traffic):
    for number in range(4):
        traffic.answer("stable", number, 10)
        traffic.answer("canary", number, 10)
        traffic.gateway.count("canary", failed=5)
    traffic.gateway.away = "http://127.0.0.1:19000: ConnectionRefusedError"
    source.watch(closed(3))
    answer = ask(source, 3)
    assert (answer.blocks, answer.waiting.obstacle, answer.waiting.since) == ((), "gateway away", SINCE + BLOCK)
    assert "ConnectionRefusedError" in answer.waiting.detail
    traffic.gateway.away = ""
    traffic.tick(source, 3)
    blocks = ask(source, 3).blocks
    assert [block.canary.errors for block in blocks] == [5, 5, 5, 5]


def test_counters_that_run_backwards_begin_again(source, traffic):
    traffic.answer("canary", 0, 10)
    traffic.gateway.count("canary", failed=90)
    traffic.tick(source, 0)
    assert ask(source, 0).blocks[0].canary.errors == 90
    traffic.gateway.roles["canary"] = type(traffic.gateway.roles["canary"])(2, 2)
    traffic.tick(source, 1)
    assert ask(source, 1, after=0).blocks[0].canary.errors == 2


@pytest.mark.parametrize("seconds", [-10, 10])
def test_a_store_whose_clock_differs_is_said(database, traffic, seconds):
    source = made(database, traffic, clock=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    traffic.tick(source, 0)
    answer = ask(source, 0)
    assert (answer.blocks, answer.waiting.obstacle) == ((), "clock skew")
    assert "synchronise" in answer.waiting.detail
    source.close()


def test_a_row_from_the_future_is_said(source, traffic):
    ahead = (datetime.now(UTC) - SINCE + timedelta(minutes=1)) / BLOCK
    traffic.arrive("canary", int(ahead), 1)
    traffic.tick(source, 0)
    assert ask(source, 0).waiting.obstacle == "clock skew"


# Whatever dies


def test_a_controller_without_its_snapshots_goes_on_from_what_was_recorded(database, source, traffic):
    traffic.answer("canary", 0, 10)
    traffic.gateway.count("canary", failed=3)
    traffic.tick(source, 0.2)
    assert ask(source, 0).blocks[0].canary.errors == 2
    traffic.gateway.count("canary", failed=4)
    traffic.answer("canary", 1, 10)
    again = made(database, traffic)
    traffic.tick(again, 1)
    (block,) = ask(again, 1, after=0).blocks
    assert block.canary.errors == 5
    again.close()


def test_a_transaction_that_is_cut_off_counts_nothing_and_the_block_is_read_again(database, source, traffic):
    traffic.answer("canary", 0, 6, entity_id="c", status=500)
    traffic.tick(source, 0)
    record = rollout_history.record

    def cut(connection: Any, *arguments: Any) -> None:
        record(connection, *arguments)
        with psycopg.connect(database.owner, autocommit=True) as owner:
            owner.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollout_history, "record", cut)
        assert ask(source, 0).waiting.obstacle == "store away"
    with psycopg.connect(database.owner) as owner:
        assert owner.execute("select count(*) from rollout_counted").fetchone() == (0,)
    (block,) = ask(source, 0).blocks
    assert block.canary.errors_affected == Affected(1, 6)
    assert ask(source, 0).blocks == (block,)


def test_two_controllers_at_once_read_each_block_once(database, source, traffic):
    for number in range(10):
        for entity in range(20):
            traffic.answer("canary", number, 1, entity_id=f"c{number % 3}-{entity}", status=500)
        traffic.tick(source, number)
    other = made(database, traffic)
    other._snapshots = list(source._snapshots)
    found: dict[int, Any] = {}
    start = threading.Barrier(2)

    def read(which: int, reader: StoreEvidence) -> None:
        start.wait()
        found[which] = ask(reader, 9).blocks

    threads = [threading.Thread(target=read, args=each) for each in enumerate((source, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert found[0] == found[1]
    assert [block.canary.errors_affected.new for block in found[0]] == [20, 20, 20] + [0] * 7
    history = PostgresHistory(database.dsn("rollout"))
    assert tuple(each.block for each in history.evidence(ATTEMPT)) == found[0]
    history.close()


def test_a_record_of_another_version_is_said_and_not_raised(database, source, traffic):
    traffic.tick(source, 0)
    key = rollout_history.BlockKey(ATTEMPT, "canary", SINCE, 0)
    with psycopg.connect(database.dsn("rollout")) as rollout:
        rollout_history.record(rollout, key, {"number": "seven"}, {}, SINCE)
    answer = ask(source, 0)
    assert (answer.blocks, answer.waiting.obstacle) == ((), "store away")
    assert "version" in answer.waiting.detail


def test_a_database_without_our_tables_is_said(empty_database, traffic):
    source = StoreEvidence(empty_database, traffic.gateway, lambda: datetime.now(UTC))
    traffic.tick(source, 0)
    answer = ask(source, 0)
    assert answer.waiting.obstacle == "store away"
    assert "migrate" in answer.waiting.detail
    source.close()


def test_one_who_holds_the_lock_makes_nobody_wait_for_long(database, traffic):
    source = made(database, traffic, patience=Patience(statement=0.3, transaction=5))
    traffic.tick(source, 0)
    with psycopg.connect(database.dsn("rollout")) as other:
        rollout_blocks.lock(other, ATTEMPT)
        assert ask(source, 0).waiting.obstacle == "store away"
    assert len(ask(source, 0).blocks) == 1
    source.close()


# A server of one's own, to be killed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[local_postgres.Postgres]:
    with local_postgres.running(tmp_path / "postgres") as server:
        with psycopg.connect(server.dsn()) as owner:
            migrations.migrate(owner, {"rollout": "its own"})
            partitions.ensure(owner, SINCE.date() - timedelta(days=1), 3)
        yield server
    local_postgres.discard(tmp_path / "postgres")


def processes(server: local_postgres.Postgres) -> list[int]:
    """The server and its children."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    return [server.process.pid, *(pid for pid, parent in parents.items() if parent == server.process.pid)]


def test_a_store_that_hangs_makes_no_tick_hang_and_comes_back(server):
    traffic = Traffic(server.dsn())
    patience = Patience(connect=2, statement=1, transaction=1)
    dsn = server.dsn("rollout", "its own")
    source = StoreEvidence(dsn, traffic.gateway, lambda: datetime.now(UTC), patience)
    traffic.tick(source, -1)
    traffic.answer("canary", 0, 5)
    traffic.tick(source, 0)
    assert len(ask(source, 0).blocks) == 1
    frozen = processes(server)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):  # the open connection hangs, then a new one does
            began = time.monotonic()
            assert ask(source, 0).waiting.obstacle == "store away"
            assert time.monotonic() - began < 8
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: len(ask(source, 0).blocks) == 1)
    source.close()


def test_a_store_that_is_killed_and_comes_back_goes_on_where_it_was(server, tmp_path):
    traffic = Traffic(server.dsn())
    dsn = server.dsn("rollout", "its own")
    source = StoreEvidence(dsn, traffic.gateway, lambda: datetime.now(UTC))
    traffic.tick(source, -1)
    for number in range(2):
        traffic.answer("canary", number, 5, entity_id="c", status=500)
        traffic.tick(source, number)
    first = ask(source, 0).blocks
    server.process.kill()
    server.process.wait()
    assert ask(source, 1).waiting.obstacle == "store away"
    assert ask(source, 1).waiting.obstacle == "store away"
    again = local_postgres.Postgres.start(tmp_path / "postgres", server.port)
    try:
        blocks = ask(source, 1).blocks
        assert blocks[:1] == first
        assert [block.canary.errors_affected for block in blocks] == [Affected(1, 5), Affected(0, 0)]
    finally:
        source.close()
        again.stop()
