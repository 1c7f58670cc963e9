"""A finished model folder on any data file: what its scores are worth there, as the scorer itself would give them."""

from pathlib import Path

import numpy as np

from bentos.risk_scorer import identity, scorer
from bentos.risk_scorer.errors import ScorerError
from monitoring.evaluation import Evaluation

from . import evaluate, model_folder, splits
from .datasets import Dataset
from .errors import ArtifactError
from .evaluate import Candidate


def assess(model_dir: Path, dataset: Dataset, rng: np.random.Generator) -> Evaluation:
    """The evaluation of a model folder on all rows of a data set.

    Raises ArtifactError when the folder can't be loaded, NotEnoughDataError when a class has too few rows.
    """
    splits.require_classes(dataset, "the data")
    model_folder.read_model_file(model_dir)
    try:
        loaded = scorer.load(model_dir, identity.tag(identity.content_version(model=model_dir)))
    except ScorerError as error:
        raise ArtifactError(f"{error}") from error
    return evaluate.evaluate(dataset, Candidate(loaded.score_matrix(dataset.matrix()), loaded.policy), rng=rng)
