"""Who may use a port, and who a state folder."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s.local.errors import AlreadyRunningError, PortTakenError
from k8s.local.ports import free_ports, get, refuse_taken
from k8s.local.state import State, StateLock, owner

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_free_ports_are_different_and_can_be_bound() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        refuse_taken(port)


@pytest.mark.parametrize("option", [None, "SO_REUSEADDR", "SO_REUSEPORT"])
def test_a_port_that_somebody_listens_on_is_refused(option: str | None) -> None:
    with socket.socket() as other:
        if option:
            other.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port}"):
            refuse_taken(port)


def test_nobody_answers_on_a_free_port() -> None:
    assert get(free_ports(1)[0], "/readyz") is None


def test_the_second_start_says_who_was_first(tmp_path: Path) -> None:
    state = State(tmp_path / "deep" / "state")
    with StateLock(state, NOW) as lock:
        lock.announce("http://127.0.0.1:1")
        with pytest.raises(AlreadyRunningError) as caught, StateLock(state, NOW):
            pass
    assert f"process {os.getpid()}, since 2026-03-02T10:00:00+00:00, http://127.0.0.1:1" in str(caught.value)
    assert caught.value.exit_code == 6
    with StateLock(state, NOW):
        pass


def test_others_learn_where_the_stack_listens_while_it_runs(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert owner(state) is None
    with StateLock(state, NOW) as lock:
        found = owner(state)
        assert found is not None
        assert found.url is None
        lock.announce("http://127.0.0.1:1")
        found = owner(state)
        assert found is not None
        assert (found.pid, found.url) == (os.getpid(), "http://127.0.0.1:1")
    assert owner(state) is None


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    state = State(tmp_path)
    code = (
        "import sys, time; from datetime import UTC, datetime; from pathlib import Path\n"
        "from k8s.local.state import State, StateLock\n"
        "with StateLock(State(Path(sys.argv[1])), datetime.now(UTC)): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        found = owner(state)
        assert found is not None
        assert found.pid == other.pid
        other.send_signal(signal.SIGKILL)
    assert owner(state) is None
    with StateLock(state, NOW):
        pass
