"""A scorer process that can't answer rightly does not start: each reason has its message and its exit code."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bentos.risk_scorer import boosters, identity, scorer
from bentos.risk_scorer.boosters import LibraryBooster, NativeBooster
from bentos.risk_scorer.errors import ModelError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be spoilt."""
    return Path(shutil.copytree(model_dir, tmp_path / "model"))


def start(**settings: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **{f"SCORER_{name.upper()}": str(value) for name, value in settings.items()}}
    command = (sys.executable, "-m", "bentos.risk_scorer", "serve")
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_without_a_model_it_says_how_to_make_one(tmp_path: Path) -> None:
    ended = start(model_dir=tmp_path / "none")
    assert ended.returncode == 3
    assert "training package" in ended.stderr


@pytest.mark.parametrize("name", ["model.txt", "model.json", "policy.json", "reference.json"])
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    ended = start(model_dir=model)
    assert ended.returncode == 3
    assert name in ended.stderr


def test_a_policy_out_of_range_is_refused(model: Path) -> None:
    change(model / "policy.json", review_from=1.5)
    ended = start(model_dir=model)
    assert ended.returncode == 3
    assert "policy.json: review_from" in ended.stderr


def test_a_model_for_other_columns_is_refused(model: Path) -> None:
    change(model / "model.json", columns=["amount", "hour"])
    ended = start(model_dir=model)
    assert ended.returncode == 3
    assert "trained on the columns amount, hour" in ended.stderr


def test_a_model_file_that_was_cut_or_altered_never_reaches_lightgbm(model: Path) -> None:
    """Its parser reads beyond the end of half a file, and aborts the process."""
    text = (model / "model.txt").read_text()
    for altered in (text[: len(text) // 2], text.replace("leaf_value=", "leaf_value=1", 1)):
        (model / "model.txt").write_text(altered)
        ended = start(model_dir=model)
        assert ended.returncode == 3
        assert "model.txt: not the file" in ended.stderr


def test_a_model_that_does_not_give_its_own_scores_is_refused(model: Path) -> None:
    test = json.loads((model / "model.json").read_text())["self_test"]
    test["scores"][0] += 1e-12
    change(model / "model.json", self_test=test)
    ended = start(model_dir=model)
    assert ended.returncode == 5
    assert "self-test row 1" in ended.stderr


def test_a_bento_locked_for_another_environment_is_refused(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "requirements.lock"
    other.write_text("numpy==1.0\n")
    ended = start(model_dir=model, runtime_lock=other)
    assert ended.returncode == 4
    assert identity.file_sha256(identity.LOCK)[:12] in ended.stderr
    assert identity.file_sha256(other)[:12] in ended.stderr


def test_a_port_in_use_is_refused(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = start(model_dir=model, port=taken.getsockname()[1], runtime_lock=identity.LOCK)
    assert ended.returncode == 6
    assert "SCORER_PORT" in ended.stderr


@pytest.mark.parametrize(("name", "value"), [("role", "boss"), ("port", "0"), ("log_batch_rows", "many")])
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    ended = start(**{name: value})
    assert ended.returncode == 2
    assert f"SCORER_{name.upper()}" in ended.stderr


def test_help_names_every_setting() -> None:
    command = (sys.executable, "-m", "bentos.risk_scorer", "--help")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert "SCORER_MODEL_DIR" in ended.stdout
    assert "Exit codes" in ended.stdout


def test_the_serving_process_imports_none_of_the_heavy_packages(model_dir: Path) -> None:
    program = (
        "import sys; from bentos.risk_scorer import process, settings; process.assemble(settings.Settings());"
        "print(sorted({'lightgbm', 'sklearn', 'pandas', 'scipy', 'bentoml'} & set(sys.modules)))"
    )
    environment = {**os.environ, "SCORER_MODEL_DIR": str(model_dir)}
    ended = subprocess.run(
        (sys.executable, "-c", program),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_the_librarys_own_way_answers_where_the_native_one_cannot(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = scorer.load(model_dir, "t")

    def absent() -> object:
        raise ModelError("no library here")

    monkeypatch.setattr(boosters, "_library", absent)
    fallback = scorer.load(model_dir, "t")
    rows = [list(row) for row in fallback_rows(model_dir)]
    assert (native.native, fallback.native) == (True, False)
    assert isinstance(fallback.booster, LibraryBooster)
    assert [fallback.score_row(row) for row in rows] == [native.score_row(row) for row in rows]


def test_a_native_way_that_is_wrong_by_one_bit_is_not_used(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NativeBooster.raw_row
    monkeypatch.setattr(NativeBooster, "raw_row", lambda self, row: right(self, row) + 1e-9)
    assert not scorer.load(model_dir, "t").native


def fallback_rows(model_dir: Path) -> list[list[float]]:
    rows = json.loads((model_dir / "model.json").read_text())["self_test"]["rows"]
    return [[float("nan") if value is None else value for value in row] for row in rows]
