"""The commands themselves, as one runs them: the demo on a file of one's own, and every exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s.local.ledger import read
from training import datasets, synthesize

CHECKOUT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "k8s.local")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with events in it; what the first demo built there serves the others."""
    place = tmp_path_factory.mktemp("demo")
    events = synthesize.plain(8000, 5, datetime(2026, 3, 2, tzinfo=UTC))
    datasets.write(events, place / "events.csv")
    datasets.write(events.head(50), place / "few.csv")
    datasets.write(events[events["label"] == 0], place / "one-class.csv")
    datasets.write(events.drop(columns="amount"), place / "no-amount.csv")
    return place


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "120"}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=480,
        check=False,
    )


def _running_in(folder: Path) -> list[str]:
    """Command lines of the processes, zombies aside, that were started with a path in the folder or work in it."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_text().replace("\0", " ")
                where = str((process / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in command or where.startswith(str(folder)):
                found.append(command)
    return found


@pytest.mark.timeout(600)
def test_the_demo_on_a_file_of_ones_own_holds_in_everything(folder: Path) -> None:
    """All of it, as `make demo DATA=...` runs it; a file with too few entities is dealt to pseudonyms."""
    done = _run(folder, "demo", "--data", "events.csv")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\nheld") == 23
    assert "every check held" in done.stdout
    for said in (
        "promoted",
        "rolled back by errors",
        "rolled back by over_slo",
        "rolled back by flips",
        "ended with 7",
    ):
        assert said in done.stdout
    page = (folder / ".vigil" / "demo" / "report.html").read_text()
    assert [f"story-{key}" in page for key in ("good", "leak", "tail", "skew")] == [True] * 4
    assert "nobody asks (MISSING_DATA)" in page
    assert "MISSING_DATA" in (folder / ".vigil" / "demo" / "drift" / "index.html").read_text()
    entries = list(read(folder / ".vigil" / "demo" / "ledger.jsonl"))
    assert len({each.model_version for each in entries} - {None}) == 4
    assert _running_in(folder) == []


@pytest.mark.parametrize(
    ("victim", "number"),
    [("envoy", signal.SIGKILL), ("the demo itself", signal.SIGKILL), ("the demo itself", signal.SIGINT)],
)
def test_whoever_is_ended_midway_nothing_is_left(folder: Path, victim: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo", "--data", "events.csv"],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        said = ""
        while "=== A good candidate" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        os.kill(demo.pid if victim == "the demo itself" else _child(demo.pid, victim), number)
        said += demo.stdout.read()
    if victim == "envoy":
        assert (demo.returncode, "Envoy " in said) == (5, True), said
    else:
        assert demo.returncode == (-9 if number == signal.SIGKILL else 130), said
    _wait_for_nobody(folder)


def _child(parent: int, name: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(pid) for pid in children if name in Path(f"/proc/{pid}/comm").read_text())


def _wait_for_nobody(folder: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while left := _running_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_up_serves_what_was_published_until_it_is_asked_to_end(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "up"], cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        assert up.stdout is not None
        curl = next(line for line in up.stdout if line.startswith("curl"))
        answer = json.loads(subprocess.run(["sh", "-c", curl], capture_output=True, check=True, timeout=30).stdout)
        assert answer["decision"] in ("approve", "review", "block")

        second = _run(folder, "up")
        assert (second.returncode, f"process {up.pid}" in second.stdout) == (6, True)
        scored = _run(folder, "score", "--amount", "500", "--hour", "2", "--entity", "me")
        assert (scored.returncode, '"score"' in scored.stdout) == (0, True)
        refused = _run(folder, "score", "--json", '{"amount": -1}')
        assert (refused.returncode, '"status": 422' in refused.stdout) == (3, True)
        load = _run(folder, "traffic", "--rps", "200", "--requests", "300", "--data", "events.csv")
        assert (load.returncode, "300 of 300 requests" in load.stdout) == (0, True)

        up.send_signal(signal.SIGINT)
        up.stdout.read()
    assert up.returncode == 0
    assert _running_in(folder) == []
    later = _run(folder, "up", "--bento", "risk_scorer:000000000000")
    assert (later.returncode, "vigil rollout start" in later.stdout) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["demo", "--data", "few.csv"], 4, "at least 500 rows"),
        (["demo", "--data", "one-class.csv"], 4, "of each class"),
        (["demo", "--data", "no-amount.csv"], 3, "amount"),
        (["demo", "--data", "missing.csv"], 3, "there is no such file"),
        (["demo", "--seed", "-1"], 2, "--seed"),
        (["score", "--amount", "1"], 5, "no stack runs here"),
        (["score", "--url", "http://127.0.0.1:1"], 2, "--json"),
        (["score", "--url", "http://127.0.0.1:1", "--amount", "1"], 5, "does not answer"),
        (["traffic", "--rps", "1", "--seconds", "4000"], 2, "--seconds"),
        (["up", "--state", "other", "--bento", "risk_scorer:000000000000"], 5, "000000000000"),
        (["up", "--state", "other", "--weight", "5"], 2, "--canary"),
    ],
)
def test_what_cannot_be_done_has_its_own_exit_code_and_a_sentence(
    folder: Path, arguments: list[str], code: int, sentence: str
) -> None:
    done = _run(folder, *arguments)
    assert (done.returncode, sentence in done.stdout) == (code, True), done.stdout
    assert "Traceback" not in done.stdout
