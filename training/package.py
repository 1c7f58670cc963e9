"""A model folder to a Bento in the local BentoML store: the scorer's code and the model, named by their content.

The Bento is built from a copy in a temporary folder, by BentoML in a process of its own: so nothing of the checkout
but the scorer gets in, and the build imports the very code that it packs. The same input gives the same tag, and a
tag that is already in the store is left as it is.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bentos.risk_scorer import identity

from . import model_folder
from .errors import ArtifactError

_BUILD_SECONDS: Final = 300
"""A build takes a few seconds, most of it imports; this is for a machine that is very busy."""

_BENTOFILE: Final = {
    "name": identity.NAME,
    "service": f"bentos.{identity.NAME}.service:RiskScorer",
    "include": ["bentos/**"],
    "python": {"requirements_txt": f"bentos/{identity.NAME}/{identity.LOCK.name}", "lock_packages": False},
}


def build(model_dir: Path, home: Path | None = None, code: Path = identity.CODE) -> str:
    """The tag of the Bento made of a model folder and the scorer's code; built unless it is in the store.

    `home` is the BentoML home that gets it (by default BENTOML_HOME, else BentoML's own default). Raises ArtifactError
    when the model folder can't be used with this code, or BentoML fails; the store is then as it was.
    """
    model = model_folder.read_model_file(model_dir)
    lock = code / identity.LOCK.name
    if not lock.is_file() or model.lock_sha256 != identity.file_sha256(lock):
        raise ArtifactError(
            f"{model_dir}: the model was trained for another lock file than {lock}; train it again with this one"
        )
    with tempfile.TemporaryDirectory(prefix="vigil-package-") as folder:
        staged = _stage(Path(folder), code, model_dir)
        version = identity.content_version(staged)
        kept = _home(home) / "bentos" / identity.NAME / version
        if not _is_whole(kept, version):
            shutil.rmtree(kept, ignore_errors=True)
            _build(Path(folder), version, kept, _home(home))
    return identity.tag(version)


def _stage(folder: Path, code: Path, model_dir: Path) -> Path:
    """Copy the scorer's package and the model into a folder from which BentoML can build; the copied package."""
    package = folder / "bentos" / identity.NAME
    package.parent.mkdir(parents=True)
    shutil.copyfile(code.parent / "__init__.py", package.parent / "__init__.py")
    shutil.copytree(code, package, ignore=lambda at, names: _left_out(Path(at) == code, names))
    model_folder.copy(model_dir, package / "model")
    (folder / "bentofile.yaml").write_text(json.dumps(_BENTOFILE), encoding="utf-8")  # JSON is YAML
    return package


def _left_out(at_top: bool, names: list[str]) -> set[str]:
    """Compiled files, hidden ones, and a model that a developer left inside of the package."""
    return {name for name in names if name == "__pycache__" or name.startswith(".") or (at_top and name == "model")}


def _is_whole(bento: Path, version: str) -> bool:
    """Whether the store holds that version with all its content; an interrupted build does not."""
    package = bento / "src" / "bentos" / identity.NAME
    return (bento / "bento.yaml").is_file() and package.is_dir() and identity.content_version(package) == version


def _build(folder: Path, version: str, kept: Path, home: Path) -> None:
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag", "."]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and arguments
            command,
            cwd=folder,
            env=_environment(os.environ, home),
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        problem = (done.stderr.strip() or done.stdout.strip())[-2000:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"it took longer than {_BUILD_SECONDS} seconds"
    if not problem and not _is_whole(kept, version):
        problem = "what it put into the store is not what was staged"
    if problem:
        shutil.rmtree(kept, ignore_errors=True)
        raise ArtifactError(f"BentoML could not build {identity.tag(version)}: {problem}")


def _environment(ours: Mapping[str, str], home: Path) -> dict[str, str]:
    """Our environment for BentoML, with its store and without usage reports.

    PYTHONPATH goes, or the checkout's own packages could be imported instead of the copied one.
    """
    kept = {name: value for name, value in ours.items() if name != "PYTHONPATH"}
    return kept | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


def _home(home: Path | None) -> Path:
    """The BentoML home, absolute: the build runs in another folder."""
    return (home or Path(os.environ.get("BENTOML_HOME", Path.home() / "bentoml"))).absolute()
