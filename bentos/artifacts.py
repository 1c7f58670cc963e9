"""Publish a Bento to an artifact store, and pull one from it, verified: `python -m bentos.artifacts {publish,pull}`.

    ArtifactError              `exit_code` is the command's
    ├── NotFoundError     (3)  the tag is not in the store
    ├── AlteredError      (4)  what is there is not what the tag names
    └── UnreachableError  (5)  the store can't be read or written

A store (`artifact_stores.py`) has `risk_scorer/<version>.bento` for each version, as BentoML exports it. A version is
derived from the content, so a pulled Bento is proved by computing it again. Exit code 2: a wrong call.
"""

import argparse
import lzma
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .artifact_stores import AlteredError, ArtifactError, NotFoundError, UnreachableError, open_store
from .risk_scorer import identity

__all__ = ["AlteredError", "ArtifactError", "NotFoundError", "UnreachableError", "publish", "pull"]

_BROKEN: Final = (tarfile.TarError, lzma.LZMAError, EOFError)
"""What reading an archive raises when it is not whole."""


def publish(tag: str, url: str, home: Path | None = None) -> str:
    """Put a built Bento into the artifact store at `url`; the URL of what is there now.

    `home` is the BentoML home that holds it (BENTOML_HOME by default). What is there already is left alone: the same
    tag is the same content. An artifact appears whole or not at all. Raises ArtifactError.
    """
    import bentoml  # noqa: PLC0415 - takes seconds, and pulls in what a scorer never needs

    store, key = open_store(url), _key(tag)
    if not store.has(key):
        try:
            with tempfile.TemporaryDirectory(prefix="vigil-publish-") as folder:
                made = bentoml.export_bento(tag, str(Path(folder, "exported.bento")), **_home_store(home))
                store.put(key, Path(made))
        except bentoml.exceptions.NotFound as error:
            raise NotFoundError(
                f"{tag} is not in the BentoML store: build it with `python -m training package`"
            ) from error
        except OSError as error:
            raise UnreachableError(f"can't export {tag}: {error.strerror or error}") from error
    return store.url(key)


def pull(tag: str, url: str, home: Path) -> Path:
    """Bring a Bento from the artifact store into the BentoML home `home`; its folder there, with its code in `src`.

    A Bento that is there already is verified again. Raises ArtifactError, and then leaves none under that tag.
    """
    store, key = open_store(url), _key(tag)
    folder = home / "bentos" / identity.NAME / _version(tag)
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="vigil-pull-") as temporary:
            archive = Path(temporary) / "pulled.bento"
            try:
                store.get(key, archive)
            except NotFoundError as error:
                raise NotFoundError(f"{tag} is not in the store: {error}") from error
            _import(archive, tag, home)
    found = identity.content_version(folder / "src" / "bentos" / identity.NAME)
    if found != _version(tag):
        shutil.rmtree(folder, ignore_errors=True)
        raise AlteredError(f"what is stored as {tag} at {url} has the content of version {found}: publish it again")
    return folder


def _import(archive: Path, tag: str, home: Path) -> None:
    import bentoml  # noqa: PLC0415 - as above

    _refuse_unsafe(archive, tag)
    home.mkdir(parents=True, exist_ok=True)
    try:
        # Beside the others, and moved there once it has the right name: one of another name must not stay.
        with tempfile.TemporaryDirectory(prefix="pulling-", dir=home) as folder:
            found = bentoml.import_bento(str(archive), **_home_store(Path(folder)))
            if str(found.tag) != tag:
                raise AlteredError(f"what is stored as {tag} is {found.tag}: publish it again")
            kept = home / "bentos" / identity.NAME / _version(tag)
            kept.parent.mkdir(parents=True, exist_ok=True)
            Path(found.path).rename(kept)
    except (bentoml.exceptions.BentoMLException, *_BROKEN, ValueError) as error:
        raise AlteredError(f"what is stored as {tag} is no whole Bento ({error}): publish it again") from error
    except OSError as error:
        raise UnreachableError(f"can't bring {tag} to {home}: {error.strerror or error}") from error


def _refuse_unsafe(archive: Path, tag: str) -> None:
    """Refuse an archive that is cut short, or with members that would land outside of their folder or are links."""
    try:
        with tarfile.open(archive) as content:
            members = content.getmembers()
    except (*_BROKEN, OSError) as error:
        raise AlteredError(f"what is stored as {tag} is no whole Bento ({error}): publish it again") from error
    for member in members:
        parts = Path(member.name).parts
        if not (member.isfile() or member.isdir()) or ".." in parts or member.name.startswith("/"):
            raise AlteredError(f"{tag} holds {member.name!r}, which no Bento of ours has: publish it again")


def _home_store(home: Path | None) -> dict[str, Any]:
    """The keyword with which BentoML takes a store other than the one of BENTOML_HOME."""
    if home is None:
        return {}
    from bentoml._internal.bento import BentoStore  # noqa: PLC0415 - as above

    folder = home / "bentos"
    folder.mkdir(parents=True, exist_ok=True)
    return {"_bento_store": BentoStore(str(folder))}


def _version(tag: str) -> str:
    name, _, version = tag.partition(":")
    if name != identity.NAME or not re.fullmatch("[0-9a-f]{12}", version):
        raise NotFoundError(f"{tag!r} is no tag of ours: they look like {identity.tag('0123456789ab')}")
    return version


def _key(tag: str) -> str:
    return f"{identity.NAME}/{_version(tag)}.bento"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bentos.artifacts", description="Publish and pull Bentos.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, place in (("publish", "--to"), ("pull", "--from")):
        command = commands.add_parser(name)
        command.add_argument("tag", help="risk_scorer:<version>")
        command.add_argument(place, dest="url", required=True, help="file:///absolute/path or s3://bucket/prefix")
        command.add_argument("--home", type=Path, default=None, help="BentoML home; BENTOML_HOME by default")
    given = parser.parse_args(arguments)
    home = given.home or Path(os.environ.get("BENTOML_HOME", Path.home() / "bentoml"))
    try:
        done = publish(given.tag, given.url, home) if given.command == "publish" else pull(given.tag, given.url, home)
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
