import shutil
from pathlib import Path

import pytest

from bentos.risk_scorer.identity import CODE, content_version


@pytest.fixture
def code(tmp_path: Path) -> Path:
    copy = tmp_path / "risk_scorer"
    shutil.copytree(CODE, copy, ignore=shutil.ignore_patterns("__pycache__", "model"))
    (copy / "model").mkdir()
    (copy / "model" / "model.txt").write_text("tree")
    return copy


def test_the_same_content_has_the_same_version_wherever_it_lies(code: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(code / "model", elsewhere)
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "app.py").write_text("compiled")
    assert content_version(code) == content_version(code, model=elsewhere)


@pytest.mark.parametrize("name", ["app.py", "requirements.lock", "model/model.txt"])
def test_any_change_of_code_lock_or_model_changes_the_version(code: Path, name: str) -> None:
    before = content_version(code)
    path = code / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert content_version(code) != before


def test_moving_bytes_between_two_files_changes_the_version(code: Path) -> None:
    (code / "model" / "a.json").write_text("12")
    (code / "model" / "b.json").write_text("3")
    before = content_version(code)
    (code / "model" / "a.json").write_text("1")
    (code / "model" / "b.json").write_text("23")
    assert content_version(code) != before
