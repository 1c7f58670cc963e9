"""Bentos without a model, as if they had been pulled: each runs the stand-in scorer by its own code."""

import shutil
import sys
import tempfile
from pathlib import Path

from bentos.risk_scorer import identity
from k8s.local.state import State

_STAND_IN = Path(__file__).with_name("stand_in_scorer.py")

RUN = (sys.executable, "-m", "bentos.risk_scorer", "serve")
"""The command line of a Bento's scorer."""

_TAG = "os.environ['STAND_IN_TAG'] = pathlib.Path(__file__).with_name('own.tag').read_text()"


def add(state: State, name: str, manner: str = "") -> str:
    """The tag of a stand-in that is now in the BentoML home of a state folder; another name is another tag."""
    home = state.bentoml / "bentos" / identity.NAME
    home.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=home))
    package = draft / "src" / "bentos" / identity.NAME
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "name.py").write_text(f"NAME = {name!r}\n")
    told = f"import os, pathlib\nos.environ['STAND_IN'] = {manner!r}\n{_TAG}\n"
    (package / "__main__.py").write_text(told + _STAND_IN.read_text())
    version = identity.content_version(package)
    (package / "own.tag").write_text(identity.tag(version))  # not counted in its version
    if (home / version).exists():
        shutil.rmtree(draft)
    else:
        draft.rename(home / version)
    return identity.tag(version)
