"""Who appears in the demo: two models, and Bentos of them that are wrong in a way of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bentos import artifacts, offline
from bentos.risk_scorer import identity
from bentos.risk_scorer.events import FEATURES
from k8s.local import bentos_made, flawed_bentos
from k8s.local.bentos_made import Made, Places
from k8s.local.demo_data import DemoData
from k8s.local.flawed_bentos import Fault
from training import event_rows
from training.booster import TreeOptions
from training.datasets import Dataset
from training.train import TrainOptions

CHAMPION_TREES: Final = TreeOptions(leaves=4, trees=40)
CHALLENGER_TREES: Final = TreeOptions(leaves=15, trees=80)
"""The champion's is the simpler model, so that the two differ on whatever data; a file of more than ten times the
champion's size would be for a person to approve."""

POOL_PER_SECOND: Final = 50.0
POOL_RESERVE: Final = 60
SLOW_ONE_IN: Final = 20
SLOW_SECONDS: Final = 0.2

_TRIED: Final = 1500
"""Live events that the most telling field is looked for on."""


@dataclass(frozen=True)
class Cast:
    """The Bentos by their tags. The faulty ones are the challenger's model with other serving code."""

    champion: Made
    challenger: Made
    leaking: str
    slow: str
    skewed: str
    skewed_field: str
    wrong: Made
    """Trained on labels that were shuffled: wrong offline, too."""

    @property
    def names(self) -> dict[str, str]:
        """What to call each, by its tag."""
        return {
            self.champion.tag: "the champion",
            self.challenger.tag: "the challenger",
            self.leaking: "the challenger with a leaking pool",
            self.slow: "the challenger with a slow tail",
            self.skewed: "the challenger with a skewed feature",
            self.wrong.tag: "a model of shuffled labels",
        }


def make(data: DemoData, places: Places, say: Callable[[str], None]) -> Cast:
    """All of them, published. Raises TrainingError and ArtifactError."""
    champion = bentos_made.make("champion", data.champion, TrainOptions(CHAMPION_TREES), places, say)
    challenger = bentos_made.make("challenger", data.challenger, TrainOptions(CHALLENGER_TREES), places, say)
    wrong = bentos_made.make("wrong-model", _shuffled(data.champion), TrainOptions(CHAMPION_TREES), places, say)
    model = places.state.models / "challenger"
    field = most_telling(model, data.live)
    flaws = (
        flawed_bentos.leaking_pool(POOL_PER_SECOND, POOL_RESERVE),
        flawed_bentos.slow_tail(SLOW_ONE_IN, SLOW_SECONDS),
        flawed_bentos.skewed_feature(field, 0.0),
    )
    leaking, slow, skewed = (_flawed(fault, model, places, say) for fault in flaws)
    return Cast(champion, challenger, leaking, slow, skewed, field, wrong)


def folder(tag: str, places: Places) -> Path:
    """Where a Bento that was made here lies."""
    return places.state.builds / "bentos" / identity.NAME / tag.partition(":")[2]


def most_telling(model: Path, live: Dataset) -> str:
    """The numeric field without which the model decides most events otherwise: as when its source sends zeros."""
    rows = list(event_rows.known_features(live.take(np.arange(min(len(live), _TRIED)))))
    fields = [field.name for field in FEATURES if field.kind != "category"]
    tried = [[row | {name: 0} if name in row else row for row in rows] for name in fields]
    answers = offline.score(offline.Program.of_model(model), [row for each in (rows, *tried) for row in each])
    whole, *without = answers.flagged.reshape(len(fields) + 1, len(rows))
    return max(zip(fields, without, strict=True), key=lambda each: abs(int(each[1].sum()) - int(whole.sum())))[0]


def _flawed(fault: Fault, model: Path, places: Places, say: Callable[[str], None]) -> str:
    tag = flawed_bentos.build(fault, model, places.state.builds)
    artifacts.publish(tag, places.artifacts.absolute().as_uri(), places.state.builds)
    say(f"the challenger with a {fault.name} in its serving code is {tag}, published")
    return tag


def _shuffled(dataset: Dataset) -> Dataset:
    frame = dataset.frame.copy()
    frame["label"] = np.random.default_rng(0).permutation(frame["label"].to_numpy())
    return Dataset(frame, dataset.notes)
