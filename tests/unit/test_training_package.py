import shutil
from datetime import UTC, datetime

import pytest

from bentos.risk_scorer import identity, model_files
from training import datasets, model_folder, package, synthesize
from training.booster import TreeOptions
from training.errors import ArtifactError
from training.train import TrainOptions, train


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    data = datasets.from_frame(synthesize.plain(1_000, 2, datetime(2026, 11, 1, tzinfo=UTC)))
    folder = tmp_path_factory.mktemp("model")
    model_folder.write(train(data, TrainOptions(TreeOptions(trees=5))), folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def tag(model_dir, home):
    return package.build(model_dir, home)


@pytest.fixture
def code(tmp_path):
    """A copy of the scorer's code, to be altered."""
    copied = tmp_path / "bentos" / identity.NAME
    shutil.copytree(identity.CODE, copied, ignore=shutil.ignore_patterns("__pycache__", "model"))
    shutil.copyfile(identity.CODE.parent / "__init__.py", copied.parent / "__init__.py")
    return copied


def bento(home, tag):
    return home / "bentos" / tag.replace(":", "/")


def test_the_bento_is_the_code_and_the_model_named_by_their_content(model_dir, home, tag):
    packed = bento(home, tag) / "src" / "bentos" / identity.NAME
    assert tag == identity.tag(identity.content_version(packed))
    assert {path.name for path in (packed / "model").iterdir()} == set(model_files.FILES)
    assert (packed / "service.py").read_bytes() == (identity.CODE / "service.py").read_bytes()
    assert (packed / "model" / "model.txt").read_bytes() == (model_dir / "model.txt").read_bytes()
    assert not list(bento(home, tag).rglob("__pycache__"))
    assert not (bento(home, tag) / "src" / "training").exists()


def test_the_same_input_is_not_built_again(model_dir, home, tag):
    before = (bento(home, tag) / "bento.yaml").stat().st_mtime_ns
    assert package.build(model_dir, home) == tag
    assert (bento(home, tag) / "bento.yaml").stat().st_mtime_ns == before


def test_another_home_gives_the_same_tag(model_dir, tmp_path, tag, code):
    (code / "model").mkdir()
    (code / "model" / "policy.json").write_text("a developer's left-over")
    assert package.build(model_dir, tmp_path / "home", code) == tag


def test_an_altered_file_gives_another_tag(model_dir, tmp_path, home, tag):
    altered = tmp_path / "model"
    shutil.copytree(model_dir, altered)
    policy = altered / model_files.POLICY
    policy.write_text(policy.read_text() + "\n")
    other = package.build(altered, home)
    assert other != tag
    assert bento(home, other).is_dir()
    assert bento(home, tag).is_dir()


def test_what_an_interrupted_build_left_is_built_again(model_dir, tmp_path, home, tag):
    half = bento(tmp_path, tag)
    shutil.copytree(bento(home, tag), half)
    (half / "src" / "bentos" / identity.NAME / "service.py").unlink()
    assert package.build(model_dir, tmp_path) == tag
    assert identity.content_version(half / "src" / "bentos" / identity.NAME) == tag.split(":")[1]


def test_a_failed_build_says_why_and_leaves_nothing(model_dir, tmp_path, code):
    (code / "service.py").write_text("raise RuntimeError('the service is broken')\n")
    with pytest.raises(ArtifactError, match="the service is broken"):
        package.build(model_dir, tmp_path / "home", code)
    assert not list((tmp_path / "home").rglob("bento.yaml"))
    assert not list((tmp_path / "home").glob(f"bentos/{identity.NAME}/*/"))


def test_a_bento_that_is_not_what_was_staged_is_removed(model_dir, tmp_path, code):
    with (code / "service.py").open("a") as service:
        service.write(
            "\nimport pathlib\n\npathlib.Path(__file__).with_name('written_by_the_build.txt').write_text('')\n"
        )
    with pytest.raises(ArtifactError, match="not what was staged"):
        package.build(model_dir, tmp_path / "home", code)
    assert not list((tmp_path / "home").rglob("bento.yaml"))


def test_a_model_for_another_environment_is_refused(model_dir, tmp_path, code):
    with (code / identity.LOCK.name).open("a") as lock:
        lock.write("one-more==1\n")
    with pytest.raises(ArtifactError, match="another lock file"):
        package.build(model_dir, tmp_path / "home", code)
    assert not (tmp_path / "home").exists()


def test_an_incomplete_model_folder_is_refused(model_dir, tmp_path):
    shutil.copyfile(model_dir / model_files.MODEL, tmp_path / model_files.MODEL)
    with pytest.raises(ArtifactError, match=r"lacks model\.txt, policy\.json"):
        package.build(tmp_path, tmp_path / "home")
