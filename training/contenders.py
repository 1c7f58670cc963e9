"""A model to be compared: a Bento by its tag or its folder, or a model folder, which runs with this checkout's code."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bentos.offline import Program
from bentos.risk_scorer import identity, model_files
from bentos.risk_scorer.policy import Policy
from monitoring.evaluation import Gate

from .comparison import Contender
from .errors import ArtifactError


@dataclass(frozen=True)
class Loaded:
    """A contender, how to run it, its policy, and its own evaluation as the file has it."""

    described: Contender
    program: Program
    policy: Policy
    evaluation: dict[str, Any]


def load(name: str, home: Path | None = None) -> Loaded:
    """The contender that a tag or a folder names. `home` is the BentoML home with the tags (BENTOML_HOME by default).

    Its files are read as JSON, not as this code's classes: the two may have been made by different versions. Raises
    ArtifactError when there is nothing of that name, something is missing, or a Bento is not what its tag says.
    """
    folder = _folder(name, home)
    code = folder / "src" / "bentos" / identity.NAME
    is_bento = code.is_dir()
    model = code / "model" if is_bento else folder
    absent = [each for each in model_files.FILES if not (model / each).is_file()]
    if absent:
        raise ArtifactError(f"{name}: neither a Bento nor a model folder, {model} lacks {', '.join(absent)}")
    tag = identity.tag(identity.content_version(code) if is_bento else identity.content_version(model=model))
    if name.startswith(f"{identity.NAME}:") and name != tag:
        raise ArtifactError(f"{folder} has the content of {tag}, not of {name}: pull it again")
    described, evaluation = _json(model / model_files.MODEL), _json(model / model_files.EVALUATION)
    policy = _policy(model / model_files.POLICY)
    try:
        contender = Contender(
            tag=tag,
            learned_until=_learned_until(described, evaluation),
            trained_rows=described["trained_on"]["rows"],
            columns=tuple(described["columns"]),
            booster_bytes=(model / model_files.BOOSTER).stat().st_size,
            review_from=policy.review_from,
            block_from=policy.block_from,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{model}: its files are not what training writes ({error!r})") from error
    program = Program.of_bento(folder) if is_bento else Program.of_model(model)
    return Loaded(contender, program, policy, evaluation)


def own_gates(challenger: Loaded) -> Gate:
    """Whether the challenger passed the absolute gates when it was trained."""
    name = "absolute gates"
    found = challenger.evaluation.get("gates") or []
    if not found:
        return Gate(name=name, verdict="not evaluated", detail="its evaluation.json has no gates")
    failed = [each["name"] for each in found if each["verdict"] == "failed"]
    forced = bool(challenger.evaluation.get("forced"))
    if failed and not forced:
        return Gate(name=name, verdict="failed", detail=f"in its own evaluation it failed: {', '.join(failed)}")
    detail = (
        f"FORCED by a person although it failed: {', '.join(failed)}" if failed else "none failed in its evaluation"
    )
    return Gate(name=name, verdict="passed", detail=detail)


def _folder(name: str, home: Path | None) -> Path:
    if not name.startswith(f"{identity.NAME}:"):
        return Path(name)
    store = home or Path(os.environ.get("BENTOML_HOME", Path.home() / "bentoml"))
    return store / "bentos" / identity.NAME / name.partition(":")[2]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactError(f"{path}: is no JSON ({error}); train or pull it again") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: is no JSON object; train or pull it again")
    return content


def _policy(path: Path) -> Policy:
    try:
        return Policy.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path}: is no policy that this code knows: {error}") from error


def _learned_until(described: dict[str, Any], evaluation: dict[str, Any]) -> datetime | None:
    """Time of the newest row that trees, calibration or thresholds were made of.

    The test part came after it and taught the model nothing, where the data was cut by time. Otherwise it is the
    newest row of all.
    """
    split = evaluation.get("split") or {}
    by_time = split.get("by") == "time"
    text = split["calibration"]["last"] if by_time else described["trained_on"]["last"]
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
