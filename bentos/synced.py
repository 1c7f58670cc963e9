"""Serves the assigned Bento with files of its code replaced by newer ones: `python -m bentos.synced`.

For development only, and used by the kind overlay only: `skaffold dev` copies an edited file into the folder of synced
files, and the scorer starts again with it a second later. Its tag then ends with `.dev`, so that nobody takes its rows
for the Bento's own.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_LOOK_SECONDS: Final = 0.3
_SERVE: Final = (sys.executable, "-m", "bentos.risk_scorer", "serve")

State = dict[str, tuple[int, int]]
"""Time of change and size by path, of each synced file."""


class Folders(BaseSettings):
    """Where the code is."""

    model_config = SettingsConfigDict(env_prefix="SYNCED_", frozen=True)

    bento: Path = Field(Path("/bento/current"), description="The assigned Bento's code.")
    files: Path = Field(Path("/synced"), description="Synced files, laid out as in the repository.")
    merged: Path = Field(Path("/merged"), description="Where both are put together; emptied at each start.")
    tag: str = Field("", validation_alias="ASSIGNED_TAG", description="The assigned tag.")


def state(files: Path) -> State:
    """What is synced now."""
    found: State = {}
    for path in sorted(files.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[path.relative_to(files).as_posix()] = (status.st_mtime_ns, status.st_size)
    return found


def merge(folders: Folders) -> dict[str, str]:
    """The environment in which to serve: the Bento as it is, or merged with the synced files and marked `.dev`."""
    if not state(folders.files):
        return {**os.environ, "PYTHONPATH": str(folders.bento)}
    for old in folders.merged.iterdir():
        shutil.rmtree(old)
    shutil.copytree(folders.bento, folders.merged / "src")
    shutil.copytree(folders.files, folders.merged / "src", dirs_exist_ok=True)
    return {**os.environ, "PYTHONPATH": str(folders.merged / "src"), "SCORER_TAG_IN_DEVELOPMENT": f"{folders.tag}.dev"}


def serve(folders: Folders, ending: threading.Event) -> int:
    """Serve, and again whenever a file is synced; the exit code of the server that was the last."""
    while True:
        before = state(folders.files)
        server = subprocess.Popen(_SERVE, env=merge(folders))  # noqa: S603 - our own interpreter and arguments
        while not ending.wait(_LOOK_SECONDS) and state(folders.files) == before:
            # A server that ended by itself has said why. It stays so until a file changes, if one was ever synced.
            if server.poll() is not None and not before:
                return server.returncode
        server.terminate()
        code = server.wait()
        if ending.is_set():
            return code


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    return serve(Folders(), ending)


if __name__ == "__main__":
    sys.exit(main())
