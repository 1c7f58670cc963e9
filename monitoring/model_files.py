"""The files of published models, by tag, out of the artifact store: what live days are compared with."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from bentos import artifacts
from bentos.risk_scorer import identity, model_files
from bentos.risk_scorer.reference import Reference

from .errors import ArtifactsError, InputError
from .evaluation import Evaluation


def published_reference(tag: str, url: str) -> Reference:
    """The reference in the Bento of that tag, which is verified on the way. Raises ArtifactsError, InputError."""
    with _model(tag, url) as folder:
        return reference(folder / model_files.REFERENCE)


def published_evaluation(tag: str, url: str) -> Evaluation:
    """The evaluation in the Bento of that tag, in the same way. Raises ArtifactsError, InputError."""
    with _model(tag, url) as folder:
        return evaluation(folder / model_files.EVALUATION)


@contextlib.contextmanager
def _model(tag: str, url: str) -> Iterator[Path]:
    """The folder of a published model's files, for a while."""
    with tempfile.TemporaryDirectory(prefix="vigil-model-") as home:
        try:
            bento = artifacts.pull(tag, url, Path(home))
        except artifacts.ArtifactError as error:
            raise ArtifactsError(f"nothing of {tag} to compare with: {error}") from error
        yield bento / "src" / "bentos" / identity.NAME / "model"


def reference(file: Path) -> Reference:
    """The reference in a file. Raises InputError."""
    try:
        return Reference.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{file} is no reference.json as `python -m training train` writes it: {error}") from error


def evaluation(file: Path) -> Evaluation:
    """The evaluation in a file. Raises InputError."""
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{file} is no evaluation.json as `python -m training train` writes it: {error}") from error
