"""Where artifacts are kept: a folder (`file:///path`) or an S3-compatible bucket (`s3://bucket/prefix`).

S3's credentials, region and endpoint are found as boto3 finds them everywhere: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3, a role of the pod, a profile.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

_GONE: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket"})


class ArtifactError(Exception):
    """The message says what, where and what to do."""

    exit_code = 1


class NotFoundError(ArtifactError):
    exit_code = 3


class AlteredError(ArtifactError):
    exit_code = 4


class UnreachableError(ArtifactError):
    exit_code = 5


class ArtifactStore(Protocol):
    """Files by key (`folder/name`). A file appears whole or not at all, and is never changed."""

    def has(self, key: str) -> bool:
        """Whether there is a file of that key. Raises UnreachableError."""

    def put(self, key: str, source: Path) -> None:
        """Keep a copy of a file. Raises UnreachableError."""

    def get(self, key: str, target: Path) -> None:
        """Write the file to `target`. Raises NotFoundError, UnreachableError."""

    def url(self, key: str) -> str:
        """The address of a file, for people."""


def open_store(url: str) -> ArtifactStore:
    """The store of a URL. Raises UnreachableError for a URL of no kind that is known."""
    parts = _parts(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"))
    raise UnreachableError(f"{url!r} is no artifact store: give file:///an/absolute/path or s3://bucket/prefix")


def _content_type(key: str) -> dict[str, str]:
    """What a browser must be told to show a page rather than save it."""
    return {"ContentType": "text/html; charset=utf-8"} if key.endswith(".html") else {}


def _parts(url: str) -> SplitResult:
    """The parts of a URL; empty ones for what is none."""
    try:
        return urlsplit("" if "%00" in url or "\0" in url else url)
    except ValueError:
        return urlsplit("")


class FolderStore:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, key: str) -> bool:
        return (self._folder / key).is_file()

    def put(self, key: str, source: Path) -> None:
        target = self._folder / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".publishing-") as folder:
                copy = Path(folder, target.name)
                shutil.copyfile(source, copy)
                with copy.open("rb") as file:
                    os.fsync(file.fileno())
                copy.replace(target)
        except OSError as error:
            raise UnreachableError(f"{target}: {error.strerror or error}") from error

    def get(self, key: str, target: Path) -> None:
        try:
            shutil.copyfile(self._folder / key, target)
        except FileNotFoundError as error:
            there = sorted(path.stem for path in (self._folder / key).parent.glob("*.bento"))
            raise NotFoundError(
                f"there is no {self._folder / key}; versions there: {', '.join(there) or 'none'}"
            ) from error
        except OSError as error:
            raise UnreachableError(f"{self._folder / key}: {error.strerror or error}") from error

    def url(self, key: str) -> str:
        return (self._folder / key).as_uri()


class S3Store:
    """A bucket, or a part of one. S3 shows an object only when it was sent whole, and checks its sum on the way."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3  # noqa: PLC0415 - a second that a folder's users need not wait
        from botocore.config import Config  # noqa: PLC0415 - as above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._client_error, self._errors = ClientError, (BotoCoreError, ClientError, OSError)
        config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3})
        try:
            self._s3: Any = boto3.client("s3", config=config)
        except BotoCoreError as error:
            raise UnreachableError(f"s3://{bucket}: {error}") from error

    def has(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except self._errors as error:
            if self._is_gone(error) and self._has_bucket():
                return False
            raise self._unreachable(key, error) from error
        return True

    def put(self, key: str, source: Path) -> None:
        try:
            with source.open("rb") as file:
                self._s3.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=file, **_content_type(key))
        except self._errors as error:
            raise self._unreachable(key, error) from error

    def get(self, key: str, target: Path) -> None:
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"]
            with target.open("wb") as file:
                shutil.copyfileobj(body, file)
        except self._errors as error:
            if self._is_gone(error):
                raise NotFoundError(
                    f"there is no {self.url(key)}: publish it, or name a version that is there"
                ) from error
            raise self._unreachable(key, error) from error

    def url(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def _has_bucket(self) -> bool:
        try:
            self._s3.head_bucket(Bucket=self._bucket)
        except self._client_error as error:
            return not self._is_gone(error)
        return True

    def _is_gone(self, error: Exception) -> bool:
        return isinstance(error, self._client_error) and error.response["Error"]["Code"] in _GONE

    def _unreachable(self, key: str, error: Exception) -> UnreachableError:
        return UnreachableError(f"{self.url(key)}: {error}. Check the bucket, AWS_ENDPOINT_URL_S3 and the credentials")
