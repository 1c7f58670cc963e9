"""The files of published models, by tag, out of the artifact store: what live days are compared with."""

import tempfile
from pathlib import Path

from pydantic import ValidationError

from bentos import artifacts
from bentos.risk_scorer import identity, model_files
from bentos.risk_scorer.reference import Reference

from .errors import ArtifactsError, InputError


def published_reference(tag: str, url: str) -> Reference:
    """The reference in the Bento of that tag, which is verified on the way. Raises ArtifactsError, InputError."""
    with tempfile.TemporaryDirectory(prefix="vigil-reference-") as home:
        try:
            bento = artifacts.pull(tag, url, Path(home))
        except artifacts.ArtifactError as error:
            raise ArtifactsError(f"no reference of {tag}: {error}") from error
        return reference(bento / "src" / "bentos" / identity.NAME / "model" / model_files.REFERENCE)


def reference(file: Path) -> Reference:
    """The reference in a file. Raises InputError."""
    try:
        return Reference.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{file} is no reference.json as `python -m training train` writes it: {error}") from error
