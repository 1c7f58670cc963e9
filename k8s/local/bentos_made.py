"""A data set to a Bento that can be run: train, package, publish to the artifact store, pull it from there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bentos import artifacts
from k8s.local.state import State
from monitoring.evaluation import Evaluation
from training import model_folder, package
from training.datasets import Dataset
from training.train import TrainOptions, train


@dataclass(frozen=True)
class Made:
    """A Bento as it was pulled: its tag, its folder, and what its evaluation measured."""

    tag: str
    folder: Path
    evaluation: Evaluation


@dataclass(frozen=True)
class Places:
    """Where a Bento is made and kept: the stack's folders, and the artifact store's folder."""

    state: State
    artifacts: Path


def make(name: str, dataset: Dataset, options: TrainOptions, places: Places, say: Callable[[str], None]) -> Made:
    """A model of `dataset`, all the way to the pulled Bento. `name` is what to call it in the lines of `say`.

    Raises TrainingError and ArtifactError.
    """
    say(f"training the {name} on {len(dataset):,} events")
    model = train(dataset, options)
    state, url = places.state, places.artifacts.absolute().as_uri()
    quality = model.evaluation.model.pr_auc
    model_folder.write(model, state.models / name)
    say(f"packaging the {name} (PR-AUC {quality.value:.3f} on its test part)")
    tag = package.build(state.models / name, state.builds)
    artifacts.publish(tag, url, state.builds)
    folder = artifacts.pull(tag, url, state.bentoml)
    say(f"the {name} is {tag}, published and pulled")
    return Made(tag, folder, model.evaluation)
