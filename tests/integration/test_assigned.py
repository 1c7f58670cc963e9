"""A pod's scorer starts with the very Bento that it was assigned, or not at all, and says why."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bentos import artifacts
from bentos.assigned import UNASSIGNED, Assignment, bring
from bentos.risk_scorer import identity
from tests.waiting import wait_for
from training import package

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tag, and the URL of the artifact store that has it."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("store")
    tag = package.build(model_dir, home)
    artifacts.publish(tag, folder.as_uri(), home)
    return tag, folder.as_uri()


def _run(home: Path, url: str, tag: str | None) -> "subprocess.Popen[str]":
    environment = {"PATH": "", "ASSIGNED_ARTIFACTS": url, "ASSIGNED_HOME": str(home), "HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "bentos.assigned"],
        cwd=ROOT,
        env=environment | ({} if tag is None else {"ASSIGNED_TAG": tag}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_assigned_code_is_where_the_scorer_looks_for_it(store, tmp_path: Path) -> None:
    tag, url = store
    link = bring(Assignment(tag=tag, artifacts=url, home=tmp_path))
    assert link == tmp_path / "current"
    assert identity.tag(identity.content_version(link / "bentos" / identity.NAME)) == tag
    assert not link.readlink().is_absolute(), "the volume may be mounted elsewhere"


def test_a_container_that_is_begun_again_brings_it_again(store, tmp_path: Path) -> None:
    tag, url = store
    for _ in range(2):
        bring(Assignment(tag=tag, artifacts=url, home=tmp_path))
    assert (tmp_path / "current" / "bentos" / identity.NAME / "app.py").is_file()


@pytest.mark.parametrize("tag", ["risk_scorer:000000000000", "no tag at all"])
def test_a_wrong_tag_ends_with_the_reason_as_its_last_line(store, tmp_path: Path, tag: str) -> None:
    process = _run(tmp_path, store[1], tag)
    _, said = process.communicate(timeout=60)
    assert process.returncode == artifacts.NotFoundError.exit_code
    assert said.startswith("no such artifact: ")
    assert tag in said.splitlines()[-1]
    assert not (tmp_path / "current").exists()


def test_an_altered_artifact_is_refused(store, tmp_path: Path) -> None:
    tag, url = store
    other = tmp_path / "store" / identity.NAME
    other.mkdir(parents=True)
    whole = Path(url.removeprefix("file://"), identity.NAME, f"{tag.split(':')[1]}.bento").read_bytes()
    (other / f"{tag.split(':')[1]}.bento").write_bytes(whole[: len(whole) // 2])
    process = _run(tmp_path, other.parent.as_uri(), tag)
    _, said = process.communicate(timeout=60)
    assert process.returncode == artifacts.AlteredError.exit_code
    assert "publish it again" in said


@pytest.mark.parametrize("tag", [None, ""])
def test_without_a_version_it_waits_until_the_pod_ends(store, tmp_path: Path, tag: str | None) -> None:
    process = _run(tmp_path, store[1], tag)
    assert process.stderr is not None
    assert "no version assigned" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: process.poll() is not None)
    assert process.returncode == UNASSIGNED
    process.communicate()


def test_without_a_store_it_names_the_variable(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "bentos.assigned"], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "ASSIGNED_ARTIFACTS" in process.stderr
