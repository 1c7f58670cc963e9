"""Bentos in an artifact store: what is pulled is what was published, or there is an error that says why."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import boto3
import pytest
from moto.server import ThreadedMotoServer

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

    @property
    def key(self) -> str:
        return f"{identity.NAME}/{self.version}.bento"


@pytest.fixture(scope="module")
def built(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("home")
    return Built(package.build(model_dir, home), home)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3-compatible server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Store":
    """An artifact store in which the Bento is published."""
    if request.param == "file":
        made: Store = Folder(tmp_path / "a store")
    else:
        use_s3(monkeypatch, request.getfixturevalue("s3"))
        made = Bucket(f"vigil-{tmp_path.name.replace('_', '-')}"[:60])
    publish(built.tag, made.url, built.home)
    return made


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


class Store(Protocol):
    """A store as a test mistreats it, behind the back of the code."""

    url: str

    def keys(self) -> list[str]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, content: bytes) -> None: ...


class Folder:
    def __init__(self, folder: Path) -> None:
        self._folder, self.url = folder, folder.as_uri()

    def keys(self) -> list[str]:
        return [path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()]

    def read(self, key: str) -> bytes:
        return (self._folder / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        (self._folder / key).write_bytes(content)


class Bucket:
    def __init__(self, bucket: str) -> None:
        self._s3, self._bucket, self.url = boto3.client("s3"), bucket, f"s3://{bucket}/some/prefix"
        self._s3.create_bucket(Bucket=bucket)

    def keys(self) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        return [each["Key"].removeprefix("some/prefix/") for each in found]

    def read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=f"some/prefix/{key}")["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=f"some/prefix/{key}", Body=content)


def test_what_is_pulled_has_the_content_that_its_tag_names(built: Built, store: Store, tmp_path: Path) -> None:
    folder = pull(built.tag, store.url, tmp_path / "home")
    assert identity.content_version(folder / "src" / "bentos" / identity.NAME) == built.version
    assert pull(built.tag, store.url, tmp_path / "home") == folder


def test_publishing_again_changes_nothing(built: Built, store: Store) -> None:
    store.write(built.key, b"left alone")
    publish(built.tag, store.url, built.home)
    assert store.keys() == [built.key]
    assert store.read(built.key) == b"left alone"


@pytest.mark.parametrize("size", [0, 5_000])
def test_half_an_artifact_is_refused(built: Built, store: Store, tmp_path: Path, size: int) -> None:
    store.write(built.key, store.read(built.key)[:size])
    with pytest.raises(AlteredError, match="publish"):
        pull(built.tag, store.url, tmp_path / "home")
    assert not (tmp_path / "home" / "bentos" / identity.NAME / built.version).exists()


def test_an_artifact_that_bentoml_did_not_write_is_refused(built: Built, store: Store, tmp_path: Path) -> None:
    rewrite(store, built, {}, compression="gz")
    with pytest.raises(AlteredError, match="no whole Bento"):
        pull(built.tag, store.url, tmp_path / "home")


def test_an_altered_artifact_is_refused_and_not_kept(built: Built, store: Store, tmp_path: Path) -> None:
    rewrite(store, built, {"src/bentos/risk_scorer/model/policy.json": b"{}"})
    with pytest.raises(AlteredError, match="has the content of version"):
        pull(built.tag, store.url, tmp_path / "home")
    assert not (tmp_path / "home" / "bentos" / identity.NAME / built.version).exists()


def test_another_version_under_this_name_is_refused_the_same_way_each_time(
    built: Built, store: Store, tmp_path: Path
) -> None:
    wrong = identity.tag("aaaaaaaaaaaa")
    store.write(built.key.replace(built.version, "aaaaaaaaaaaa"), store.read(built.key))
    for _ in range(2):
        with pytest.raises(AlteredError, match=f"is {built.tag}: publish it again"):
            pull(wrong, store.url, tmp_path / "home")
    assert pull(built.tag, store.url, tmp_path / "home").is_dir()


def test_an_artifact_that_would_write_elsewhere_is_refused(built: Built, store: Store, tmp_path: Path) -> None:
    rewrite(store, built, {}, more="../../outside.txt")
    with pytest.raises(AlteredError, match=r"outside\.txt"):
        pull(built.tag, store.url, tmp_path / "home")
    assert not list(tmp_path.rglob("outside.txt"))


def test_what_was_altered_after_it_was_pulled_is_refused(built: Built, store: Store, tmp_path: Path) -> None:
    folder = pull(built.tag, store.url, tmp_path / "home")
    (folder / "src" / "bentos" / "risk_scorer" / "app.py").write_text("other code")
    with pytest.raises(AlteredError):
        pull(built.tag, store.url, tmp_path / "home")


@pytest.mark.parametrize(
    "tag",
    ["risk_scorer:0000000000aa", "risk_scorer:latest", f"risk_scorer:{'a' * 400}", "other:0123456789ab", "risk_scorer"],
)
def test_a_tag_that_is_not_there_is_named(store: Store, tmp_path: Path, tag: str) -> None:
    with pytest.raises(NotFoundError, match=tag):
        pull(tag, store.url, tmp_path / "home")


@pytest.mark.parametrize(
    "url", ["/a/path", "file://host/path", "file:relative", "ftp://host/x", "", "file://[bad", "file:///a%00b"]
)
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
    built: Built, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "home")
    assert artifacts.main(["pull", built.tag, "--from", store.url, "--home", home]) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()
    assert artifacts.main(["pull", "risk_scorer:0000000000aa", "--from", store.url, "--home", home]) == 3
    assert "risk_scorer:0000000000aa is not in the store" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["s3://no-such-bucket", "s3://no-such-bucket/prefix"])
def test_a_bucket_that_is_not_there_is_an_error(
    built: Built, s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    use_s3(monkeypatch, s3)
    with pytest.raises(UnreachableError, match="no-such-bucket"):
        publish(built.tag, url, built.home)
    with pytest.raises(NotFoundError, match="no-such-bucket"):
        pull(built.tag, url, tmp_path / "home")


def test_an_s3_that_does_not_answer_is_an_error(built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_s3(monkeypatch, "http://127.0.0.1:1")
    for attempt in (lambda: publish(built.tag, "s3://b", built.home), lambda: pull(built.tag, "s3://b", tmp_path)):
        with pytest.raises(UnreachableError, match="AWS_ENDPOINT_URL_S3"):
            attempt()


def rewrite(store: Store, built: Built, changed: dict[str, bytes], more: str = "", compression: str = "xz") -> None:
    """Write the archive again with other content in some members, and one member more."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(store.read(built.key))) as old,
        tarfile.open(fileobj=made, mode=f"w:{compression}") as new,
    ):
        for member in old.getmembers():
            content = old.extractfile(member)
            data = next((changed[name] for name in changed if member.name.endswith(name)), None)
            data = content.read() if data is None and content is not None else data
            member.size = len(data or b"")
            new.addfile(member, None if data is None else io.BytesIO(data))
        if more:
            new.addfile(tarfile.TarInfo(more), io.BytesIO(b""))
    store.write(built.key, made.getvalue())
