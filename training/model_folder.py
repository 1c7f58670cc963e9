"""A trained model as a folder of files, written whole or not at all; the same model gives the same bytes."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bentos.risk_scorer import identity, model_files
from bentos.risk_scorer.features import COLUMNS
from bentos.risk_scorer.model_files import ModelFile
from monitoring.evaluation import Evaluation

from .errors import ArtifactError
from .train import TrainedModel


def write(model: TrainedModel, path: Path, lock: Path = identity.LOCK) -> None:
    """Write the folder of a model; one that is already there is replaced, anything else is left alone.

    `lock` is the lock file of the environment that will run the model; its hash ties the two together. Raises
    ArtifactError when the lock file is absent, or `path` is something that is no model folder.
    """
    if not lock.is_file():
        raise ArtifactError(f"{lock}: there is no lock file of the scorer's environment; restore it with `make lock`")
    if path.exists() and not _is_replaceable(path):
        raise ArtifactError(f"{path}: this is no model folder and is not overwritten; name another one")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as holder:
        fresh, old = Path(holder) / "fresh", Path(holder) / "old"
        fresh.mkdir()
        for name, text in _texts(model, identity.file_sha256(lock)).items():
            (fresh / name).write_text(text, encoding="utf-8")
        if path.exists():
            path.rename(old)
        fresh.rename(path)


def read_model_file(path: Path) -> ModelFile:
    """The model.json of a model folder.

    Raises ArtifactError when the folder is absent, incomplete, unreadable or made for other columns than the code has.
    """
    absent = [name for name in model_files.FILES if not (path / name).is_file()]
    if absent:
        raise ArtifactError(f"{path}: this is no complete model folder, it lacks {', '.join(absent)}; train one first")
    try:
        model = ModelFile.model_validate_json((path / model_files.MODEL).read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path / model_files.MODEL}: can't be read: {error}; train the model again") from error
    if model.columns != COLUMNS:
        raise ArtifactError(
            f"{path}: the model was trained on the columns {', '.join(model.columns)}, but this code makes "
            f"{', '.join(COLUMNS)}; train it again"
        )
    return model


def read_evaluation(path: Path) -> Evaluation:
    """The evaluation.json of a model folder. Raises ArtifactError when it is absent or of another version."""
    file = path / model_files.EVALUATION
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{file}: can't be read: {error.strerror or error}; train a model first") from error
    except ValidationError as error:
        raise ArtifactError(f"{file}: can't be read: {error}; train the model again") from error


def copy(source: Path, target: Path) -> None:
    """Copy the files of a model folder, and nothing else that lies there, into a new folder."""
    target.mkdir(parents=True)
    for name in model_files.FILES:
        shutil.copyfile(source / name, target / name)


def _is_replaceable(path: Path) -> bool:
    """Whether it is an empty folder, or one that holds files of a model and nothing else."""
    return path.is_dir() and {each.name for each in path.iterdir()} <= set(model_files.FILES)


def _texts(model: TrainedModel, lock_sha256: str) -> dict[str, str]:
    described = ModelFile(
        booster_sha256=hashlib.sha256(model.booster_text.encode()).hexdigest(),
        columns=COLUMNS,
        calibration=model.calibration,
        self_test=model.self_test,
        trained_on=model.trained_on,
        lock_sha256=lock_sha256,
    )
    return {
        model_files.BOOSTER: model.booster_text,
        model_files.MODEL: _json(described),
        model_files.POLICY: _json(model.policy),
        model_files.REFERENCE: _json(model.reference),
        model_files.EVALUATION: _json(model.evaluation),
    }


def _json(content: BaseModel) -> str:
    """Strict JSON with sorted keys; numbers as Python's shortest text that reads back to the same bits."""
    return json.dumps(content.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False) + "\n"
