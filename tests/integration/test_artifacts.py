"""Bentos in an artifact store: what is pulled is what was published, or there is an error that says why."""

import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from bentos import artifacts
from bentos.artifacts import AlteredError, NotFoundError, UnreachableError, publish, pull
from bentos.risk_scorer import identity
from training import package


@dataclass(frozen=True)
class Built:
    tag: str
    home: Path

    @property
    def version(self) -> str:
        return self.tag.partition(":")[2]


@pytest.fixture(scope="module")
def built(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("home")
    return Built(package.build(model_dir, home), home)


@pytest.fixture
def store(built: Built, tmp_path: Path) -> str:
    url = (tmp_path / "a store").as_uri()
    publish(built.tag, url, built.home)
    return url


def archive(store: str, built: Built) -> Path:
    return Path(store.removeprefix("file://").replace("%20", " ")) / identity.NAME / f"{built.version}.bento"


def test_what_is_pulled_has_the_content_that_its_tag_names(built: Built, store: str, tmp_path: Path) -> None:
    folder = pull(built.tag, store, tmp_path / "home")
    assert identity.content_version(folder / "src" / "bentos" / identity.NAME) == built.version
    assert pull(built.tag, store, tmp_path / "home") == folder


def test_publishing_again_changes_nothing(built: Built, store: str) -> None:
    before = archive(store, built).stat()
    publish(built.tag, store, built.home)
    assert archive(store, built).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in archive(store, built).parent.iterdir()] == [f"{built.version}.bento"]


@pytest.mark.parametrize("size", [0, 5_000])
def test_half_an_artifact_is_refused(built: Built, store: str, tmp_path: Path, size: int) -> None:
    file = archive(store, built)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(AlteredError, match="publish"):
        pull(built.tag, store, tmp_path / "home")
    assert not (tmp_path / "home" / "bentos" / identity.NAME / built.version).exists()


def test_an_artifact_that_bentoml_did_not_write_is_refused(built: Built, store: str, tmp_path: Path) -> None:
    rewrite(archive(store, built), {}, compression="gz")
    with pytest.raises(AlteredError, match="no whole Bento"):
        pull(built.tag, store, tmp_path / "home")


def test_an_altered_artifact_is_refused_and_not_kept(built: Built, store: str, tmp_path: Path) -> None:
    rewrite(archive(store, built), {"src/bentos/risk_scorer/model/policy.json": b"{}"})
    with pytest.raises(AlteredError, match="has the content of version"):
        pull(built.tag, store, tmp_path / "home")
    assert not (tmp_path / "home" / "bentos" / identity.NAME / built.version).exists()


def test_an_artifact_that_would_write_elsewhere_is_refused(built: Built, store: str, tmp_path: Path) -> None:
    rewrite(archive(store, built), {}, more="../../outside.txt")
    with pytest.raises(AlteredError, match=r"outside\.txt"):
        pull(built.tag, store, tmp_path / "home")
    assert not list(tmp_path.rglob("outside.txt"))


def test_what_was_altered_after_it_was_pulled_is_refused(built: Built, store: str, tmp_path: Path) -> None:
    folder = pull(built.tag, store, tmp_path / "home")
    (folder / "src" / "bentos" / "risk_scorer" / "app.py").write_text("other code")
    with pytest.raises(AlteredError):
        pull(built.tag, store, tmp_path / "home")


@pytest.mark.parametrize("tag", ["risk_scorer:0000000000aa", "risk_scorer:latest", "other:0123456789ab", "risk_scorer"])
def test_a_tag_that_is_not_there_is_named(store: str, tmp_path: Path, tag: str) -> None:
    with pytest.raises(NotFoundError, match=tag):
        pull(tag, store, tmp_path / "home")


@pytest.mark.parametrize("url", ["/a/path", "file://host/path", "file:relative", "ftp://host/x", ""])
def test_a_store_that_is_none_is_refused(built: Built, tmp_path: Path, url: str) -> None:
    with pytest.raises(UnreachableError, match="file:///an/absolute/path"):
        pull(built.tag, url, tmp_path / "home")


def test_what_was_never_built_cannot_be_published(built: Built, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="training package"):
        publish("risk_scorer:0000000000aa", tmp_path.as_uri(), built.home)


def test_a_store_that_cannot_be_written_is_an_error(built: Built, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(UnreachableError, match="store"):
        publish(built.tag, (tmp_path / "store").as_uri(), built.home)


def test_the_command_says_what_happened_by_its_exit_code(
    built: Built, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "home")
    assert artifacts.main(["pull", built.tag, "--from", store, "--home", home]) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()
    assert artifacts.main(["pull", "risk_scorer:0000000000aa", "--from", store, "--home", home]) == 3
    assert built.version in capsys.readouterr().err


def rewrite(file: Path, changed: dict[str, bytes], more: str = "", compression: str = "xz") -> None:
    """Write the archive again with other content in some members, and one member more."""
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    with tarfile.open(copy) as old, tarfile.open(file, f"w:{compression}") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            data = next((changed[name] for name in changed if member.name.endswith(name)), None)
            data = content.read() if data is None and content is not None else data
            member.size = len(data or b"")
            new.addfile(member, None if data is None else io.BytesIO(data))
        if more:
            new.addfile(tarfile.TarInfo(more), io.BytesIO(b""))
    copy.unlink()
