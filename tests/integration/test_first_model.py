"""The first model of a place is made once, passes its gates, and is named again to whoever asks again."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bentos import artifacts
from training.cli import main
from training.errors import GatesError
from training.first_model import KEY, FirstModel, Wanted, first_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, FirstModel]:
    """An artifact store's URL, a BentoML home, and the first model that was made there."""
    store, home = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("home")
    return store.as_uri(), home, first_model(store.as_uri(), home, Wanted(rows=120_000))


def test_it_is_published_and_has_passed_every_gate(place, tmp_path: Path) -> None:
    url, _, made = place
    assert artifacts.pull(made.tag, url, tmp_path).is_dir()
    assert {gate.verdict for gate in made.gates} == {"passed"}
    assert not made.forced


def test_whoever_asks_again_gets_the_same_one_and_nothing_is_trained(place, monkeypatch: pytest.MonkeyPatch) -> None:
    url, home, made = place
    monkeypatch.setattr("training.first_model.train", None)
    assert first_model(url, home, Wanted(seed=5)) == made


def test_where_a_model_is_stable_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "stable").write_text("risk_scorer:0123456789ab")
    options = {"--to": (tmp_path / "store").as_uri(), "--home": tmp_path, "--out": tmp_path / "out"}
    arguments = [str(part) for pair in options.items() for part in pair]
    done = CliRunner().invoke(main, ["first", *arguments, "--unless", str(tmp_path / "stable")])
    assert done.exit_code == 0
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_the_command_names_the_model_in_a_file(place, tmp_path: Path) -> None:
    url, home, made = place
    out = tmp_path / "model.json"
    done = CliRunner().invoke(main, ["first", "--to", url, "--home", str(home), "--out", str(out)])
    assert done.exit_code == 0
    assert json.loads(out.read_text())["tag"] == made.tag == done.stdout.strip()


def test_a_model_that_fails_a_gate_is_not_published_and_can_be_forced(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    with pytest.raises(GatesError, match="enough positives"):
        first_model(url, tmp_path / "home", Wanted(rows=20_000))
    assert not (tmp_path / "store").exists()
    assert first_model(url, tmp_path / "home", Wanted(rows=20_000, force=True)).forced
    assert (tmp_path / "store" / KEY).is_file()
