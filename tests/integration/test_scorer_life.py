"""A scorer process and its database through trouble: requests answered and rows stored are one set."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from k8s.local import postgres as local_postgres
from k8s.local.ports import free_ports
from monitoring import migrations, partitions
from tests.bench import load
from tests.waiting import wait_for, wait_until_ready

ROOT = Path(__file__).parents[2]
EVENT = {"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}
FAST = {"LOG_FLUSH_SECONDS": "0.02", "LOG_RETRY_SECONDS": "0.05", "LOG_TIMEOUT_SECONDS": "0.5"}
PASSWORD = "test's stable"


@dataclass
class Running:
    """A scorer process, and the ids of the requests that it answered."""

    process: "subprocess.Popen[bytes]"
    client: httpx.Client
    spool: Path
    answered: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def score(self, times: int, event: dict[str, object] | None = None) -> None:
        for number in itertools.islice(self.numbers, times):
            request_id = f"r-{number}"
            self.client.post("/score", json=event or EVENT, headers={"x-request-id": request_id})
            self.answered.add(request_id)

    def rows(self, state: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if "log_rows_total{" in line and f'state="{state}"' in line
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def running(model_dir: Path, dsn: str, folder: Path, **settings: str) -> Iterator[Running]:
    port = free_ports(1)[0]
    chosen = {
        **FAST,
        "LOG_DSN": dsn,
        "MODEL_DIR": str(model_dir),
        "PORT": str(port),
        "SPOOL_DIR": str(folder / "spool"),
    }
    environment = {**os.environ, **{f"SCORER_{name}": value for name, value in {**chosen, **settings}.items()}}
    command = (sys.executable, "-m", "bentos.risk_scorer", "serve")
    with (folder / "scorer.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until_ready(client, process, folder / "scorer.log")
            yield Running(process, client, folder / "spool")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def stored(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = [row[0] for row in connection.execute("select request_id from predictions")]
    assert len(rows) == len(set(rows)), "a row is there twice"
    return set(rows)


def test_sigterm_leaves_no_row_behind(model_dir: Path, database, tmp_path: Path) -> None:
    with running(model_dir, database.dsn("stable"), tmp_path, LOG_FLUSH_SECONDS="30") as scorer:
        scorer.score(200)
        scorer.score(20, {"hour": 99})
        assert scorer.end() == 0
    assert stored(database.owner) == scorer.answered


def test_a_sigkill_loses_what_waited_and_the_difference_tells_how_much(
    model_dir: Path, database, tmp_path: Path
) -> None:
    with running(model_dir, database.dsn("stable"), tmp_path) as scorer:
        scorer.score(100)
        wait_for(lambda: scorer.rows("written") == 100)
        scorer.score(5)
        scorer.end(signal.SIGKILL)
    missing = scorer.answered - stored(database.owner)
    assert missing <= {f"r-{number}" for number in range(100, 105)}


def test_a_wrong_password_keeps_every_row_for_the_next_process(model_dir: Path, database, tmp_path: Path) -> None:
    wrong = database.dsn("stable").replace("test", "wrong")
    assert wrong != database.dsn("stable")
    with running(model_dir, wrong, tmp_path) as first:
        first.score(50)
        assert first.client.get("/readyz").status_code == 200
        assert first.end() == 0
    assert stored(database.owner) == set()
    with running(model_dir, database.dsn("stable"), tmp_path) as second:
        wait_for(lambda: second.rows("replayed") == 50)
        second.end()
    assert stored(database.owner) == first.answered


def test_a_full_disk_and_no_database_drop_rows_and_count_them(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder can be here: as good as a disk that takes nothing")
    with running(model_dir, "postgresql://nobody@127.0.0.1:1/none", tmp_path) as scorer:
        scorer.score(50)
        wait_for(lambda: scorer.rows("dropped") == 50)
        assert scorer.client.get("/readyz").status_code == 200
        assert scorer.end() == 0


class OwnServer:
    """A PostgreSQL of one's own, to be mistreated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = local_postgres.Postgres.start(folder)
        with psycopg.connect(self.server.dsn()) as connection:
            migrations.migrate(connection, {"stable": PASSWORD})
            partitions.ensure(connection, datetime.now(UTC).date(), 2)

    @property
    def stable(self) -> str:
        return self.server.dsn("stable", PASSWORD)

    def crash(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def come_back(self) -> None:
        self.server = local_postgres.Postgres.start(self._folder, self.server.port)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """All processes of the server stand still."""
        server = psutil.Process(self.server.process.pid)
        still = [server, *server.children(recursive=True)]
        for process in still:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(still):
                process.resume()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    folder = tmp_path / "postgres"
    own = OwnServer(folder)
    try:
        yield own
    finally:
        own.server.stop()
        local_postgres.discard(folder)


def test_a_database_that_is_paused_costs_no_answer_and_no_row(model_dir: Path, own_server, tmp_path: Path) -> None:
    with running(model_dir, own_server.stable, tmp_path) as scorer:
        scorer.score(50)
        wait_for(lambda: scorer.rows("written") == 50)
        with own_server.paused():
            scorer.score(100)
            wait_for(lambda: scorer.rows("spooled") > 0)
            scorer.score(100)
        wait_for(lambda: scorer.rows("replayed") == scorer.rows("spooled"))
        assert scorer.end() == 0
    assert stored(own_server.server.dsn()) == scorer.answered


def test_a_database_that_is_killed_and_comes_back_has_every_row_once(
    model_dir: Path, own_server, tmp_path: Path
) -> None:
    with running(model_dir, own_server.stable, tmp_path) as scorer:
        scorer.score(50)
        own_server.crash()
        scorer.score(100)
        wait_for(lambda: scorer.rows("spooled") > 0)
        own_server.come_back()
        scorer.score(50)
        wait_for(lambda: scorer.rows("written") + scorer.rows("replayed") == 200)
        assert scorer.end() == 0
    assert stored(own_server.server.dsn()) == scorer.answered


def test_what_comes_at_once_beyond_the_limit_is_refused_and_has_a_row(
    model_dir: Path, database, tmp_path: Path
) -> None:
    requests = b"".join(load.request(json.dumps(EVENT).encode(), entity=f"e-{number}") for number in range(10))
    with running(model_dir, database.dsn("shadow"), tmp_path, MAX_CONCURRENCY="3", ROLE="shadow") as scorer:
        with socket.create_connection(("127.0.0.1", scorer.client.base_url.port), timeout=10) as connection:
            connection.sendall(requests)
            connection.shutdown(socket.SHUT_WR)
            answers = connection.makefile("rb").read()
        assert scorer.end() == 0
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 503")) == (3, 7)
    assert answers.count(b"retry-after: 1\r\n") == 7
    with psycopg.connect(database.owner) as connection:
        rows = connection.execute("select status, count(*) from predictions group by status order by status").fetchall()
    assert rows == [(200, 3), (503, 7)]


def test_the_access_log_tells_of_each_request_without_entity_or_payload(model_dir: Path, tmp_path: Path) -> None:
    with running(model_dir, "postgresql://nobody@127.0.0.1:1/none", tmp_path, ACCESS_LOG="all") as scorer:
        scorer.client.post("/score", json={**EVENT, "entity_id": "customer-17"}, headers={"x-request-id": "r-1"})
        scorer.client.post("/score", json={**EVENT, "hour": 99}, headers={"x-request-id": "r-2"})
        assert scorer.end() == 0
    text = (tmp_path / "scorer.log").read_text()
    answered, refused = (json.loads(line) for line in text.splitlines() if '"scorer.request"' in line)
    assert (answered["request_id"], answered["status"], answered["role"]) == ("r-1", 200, "stable")
    assert 0 <= answered["score"] <= 1
    assert (refused["request_id"], refused["status"], refused["score"]) == ("r-2", 422, None)
    assert "customer-17" not in text
    assert "249.9" not in text
