"""The supervisor, with real processes: whatever happens, nothing is left running."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s.local.errors import NotReadyError, ProcessDiedError
from k8s.local.interrupts import Interrupted, Interrupts
from k8s.local.processes import Command, Supervisor, how_it_ended

SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    with Interrupts() as found:
        yield found


def _python(folder: Path, code: str, name: str = "child", **more: object) -> Command:
    environment = {"PATH": os.defpath}
    return Command(name, (sys.executable, "-c", code), folder, folder / f"{name}.log", environment, **more)  # type: ignore[arg-type]


def _ready(command: Command) -> Callable[[], bool]:
    return lambda: "ready" in command.log.read_text()


def _gone(pid: int) -> bool:
    """Ended, and reaped by whoever had to: a zombie has ended too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def _wait(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_child_runs_in_its_folder_with_its_environment_and_its_log(tmp_path: Path, interrupts: Interrupts) -> None:
    code = (
        "import os; print(os.getcwd(), sorted(os.environ.items()), 'ready', flush=True); import time; time.sleep(600)"
    )
    command = Command("child", (sys.executable, "-c", code), tmp_path, tmp_path / "logs" / "a.log", {"A": "1"})
    with Supervisor(interrupts) as supervisor:
        child = supervisor.start(command)
        supervisor.wait_ready(child, _ready(command), 20)
    said = command.log.read_text()
    assert said.startswith(f"{tmp_path} [('A', '1')")


def test_the_end_of_the_block_ends_the_children_the_last_one_first(tmp_path: Path, interrupts: Interrupts) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        f"    with open({str(tmp_path / 'order')!r}, 'a') as file: file.write(sys.argv[1])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); time.sleep(600)"
    )
    with Supervisor(interrupts) as supervisor:
        for name in "abc":
            command = _python(tmp_path, code, name)
            command = Command(name, (*command.arguments, name), tmp_path, command.log, command.environment)
            supervisor.wait_ready(supervisor.start(command), _ready(command), 20)
        pids = [child.pid for child in supervisor.children]
    assert (tmp_path / "order").read_text() == "cba"
    assert all(_gone(pid) for pid in pids)
    assert supervisor.children == ()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("print('my last words'); raise SystemExit(3)", "ended with exit code 3"),
        ("print('my last words', flush=True); import os; os.abort()", "was ended by SIGABRT"),
        ("print('my last words')", "ended with exit code 0"),
    ],
)
def test_a_child_that_dies_while_it_starts_is_noticed_at_once(
    tmp_path: Path, interrupts: Interrupts, code: str, how: str
) -> None:
    with Supervisor(interrupts) as supervisor:
        other = supervisor.start(_python(tmp_path, SLEEPER, "other"))
        child = supervisor.start(_python(tmp_path, code, "gateway"))
        with pytest.raises(ProcessDiedError) as caught:
            supervisor.wait_ready(child, lambda: False, 600)
    assert str(caught.value).startswith(f"gateway {how}. The end of {tmp_path}/gateway.log:")
    assert "my last words" in str(caught.value)
    assert (caught.value.name, caught.value.exit_code) == ("gateway", 5)
    assert _gone(other.pid)


def test_a_child_that_is_killed_later_is_noticed_by_the_next_check(tmp_path: Path, interrupts: Interrupts) -> None:
    command = _python(tmp_path, SLEEPER, "scorer")
    with Supervisor(interrupts) as supervisor:
        child = supervisor.start(command)
        supervisor.wait_ready(child, _ready(command), 20)
        supervisor.check()
        os.kill(child.pid, signal.SIGKILL)
        _wait(lambda: not child.alive)
        with pytest.raises(ProcessDiedError, match="scorer was ended by SIGKILL"):
            supervisor.check()


def test_a_child_that_is_never_ready_ends_the_wait_and_is_stopped(tmp_path: Path, interrupts: Interrupts) -> None:
    with Supervisor(interrupts) as supervisor:
        child = supervisor.start(_python(tmp_path, SLEEPER))
        with pytest.raises(NotReadyError, match=r"child was not ready within 0\.05 s"):
            supervisor.wait_ready(child, lambda: False, 0.05)
        assert child.alive
    assert _gone(child.pid)


def test_a_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s.local.processes.STOP_SECONDS", 0.1)
    command = _python(tmp_path, DEAF)
    with Supervisor(interrupts) as supervisor:
        child = supervisor.start(command)
        supervisor.wait_ready(child, _ready(command), 20)
    assert _gone(child.pid)


def test_a_second_ctrl_c_while_stopping_kills_at_once_and_leaves_nothing(
    tmp_path: Path, interrupts: Interrupts
) -> None:
    command = _python(tmp_path, DEAF)  # would keep us for STOP_SECONDS
    began = time.monotonic()
    with pytest.raises(Interrupted), Supervisor(interrupts) as supervisor:  # noqa: PT012 - the block is what ends
        first = supervisor.start(_python(tmp_path, SLEEPER, "first"))
        child = supervisor.start(command)
        supervisor.wait_ready(child, _ready(command), 20)
        timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
        timer.start()
    timer.join()
    assert time.monotonic() - began < 8
    assert _gone(child.pid)
    assert _gone(first.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_and_all_children(
    tmp_path: Path, interrupts: Interrupts, number: signal.Signals
) -> None:
    with pytest.raises(Interrupted) as caught, Supervisor(interrupts) as supervisor:  # noqa: PT012 - it ends the block
        child = supervisor.start(_python(tmp_path, SLEEPER))
        threading.Timer(0.1, os.kill, [os.getpid(), number]).start()
        supervisor.wait_ready(child, lambda: False, 600)
    assert caught.value.number == number
    assert _gone(child.pid)


def test_a_signal_during_a_start_waits_until_the_child_is_known(
    tmp_path: Path, interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def interrupted(*arguments: object, **more: object) -> object:
        process = real(*arguments, **more)  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr("k8s.local.processes.subprocess.Popen", interrupted)
    with Supervisor(interrupts) as supervisor:
        with pytest.raises(Interrupted):
            supervisor.start(_python(tmp_path, SLEEPER))
        (child,) = supervisor.children
    assert _gone(child.pid)


def test_children_are_out_of_reach_of_the_terminals_ctrl_c(tmp_path: Path, interrupts: Interrupts) -> None:
    with Supervisor(interrupts) as supervisor:
        child = supervisor.start(_python(tmp_path, SLEEPER))
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


def test_a_thread_may_not_start_children(tmp_path: Path, interrupts: Interrupts) -> None:
    problems: list[BaseException] = []

    def start() -> None:
        try:
            Supervisor(interrupts).start(_python(tmp_path, SLEEPER))
        except RuntimeError as problem:
            problems.append(problem)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(problems[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal to orphans is Linux's")
def test_sigkill_of_the_parent_leaves_nothing(tmp_path: Path) -> None:
    parent_code = f"""
        import sys, time
        from pathlib import Path
        from k8s.local.interrupts import Interrupts
        from k8s.local.processes import Command, Supervisor
        folder = Path({str(tmp_path)!r})
        code = (sys.executable, "-c", {DEAF!r})
        with Interrupts() as interrupts, Supervisor(interrupts) as supervisor:
            for name in ("a", "b"):
                log = folder / f"{{name}}.log"
                child = supervisor.start(Command(name, code, folder, log, {{}}))
                supervisor.wait_ready(child, lambda: "ready" in log.read_text(), 20)
            print(*[child.pid for child in supervisor.children], flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent_code)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(_gone(pid) for pid in pids)
        parent.kill()
    _wait(lambda: all(_gone(pid) for pid in pids))


def test_the_end_of_a_process_in_words() -> None:
    assert how_it_ended(0) == "ended with exit code 0"
    assert how_it_ended(-9) == "was ended by SIGKILL"
    assert how_it_ended(-99) == "was ended by signal 99"


def test_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
