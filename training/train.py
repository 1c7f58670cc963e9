"""A data set to a trained model: everything that a model folder holds. Same data, same options, same model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.calibration import Calibration
from bentos.risk_scorer.model_files import SelfTest, TrainingData
from bentos.risk_scorer.policy import Costs, Policy
from bentos.risk_scorer.reference import Reference

from . import baseline, booster, calibrate, evaluate, reference_days, splits
from .booster import TreeOptions
from .datasets import Dataset, require_enough
from .evaluation import Evaluation, Split

REVIEW_SHARE: Final = 0.05
FALSE_BLOCK_SHARE: Final = 0.5
"""Default costs relative to a missed fraud, so that they fit any currency: a review 5 %, a false block 50 %. With them
events are reviewed from a probability of .05 and blocked from .9."""

_SELF_TEST_ROWS: Final = 16
Progress = Callable[[str], None]


@dataclass(frozen=True)
class CostOptions:
    """The price of each outcome in currency; None takes the default that `default_costs` explains."""

    missed: float | None = None
    review: float | None = None
    false_block: float | None = None


@dataclass(frozen=True)
class TrainOptions:
    """What may be varied of a training run. The seed also draws the split of data without times, and the resamples."""

    trees: TreeOptions = field(default_factory=TreeOptions)
    costs: CostOptions = field(default_factory=CostOptions)

    @property
    def seed(self) -> int:
        return self.trees.seed


@dataclass(frozen=True)
class TrainedModel:
    """A model and all that ships with it."""

    booster_text: str
    calibration: Calibration
    self_test: SelfTest
    trained_on: TrainingData
    policy: Policy
    reference: Reference
    evaluation: Evaluation

    def scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The calibrated probability of each row of the model's matrix."""
        return self.calibration.many(booster.raw_scores(self.booster_text, matrix))


def train(dataset: Dataset, options: TrainOptions, progress: Progress = lambda _: None) -> TrainedModel:
    """The model of a data set: LightGBM, calibrated, with its policy, its reference and its evaluation.

    Raises NotEnoughDataError when the data, or one of its three parts, has too few rows or too few of one class.
    """
    require_enough(dataset)
    parts = splits.three_parts(dataset, options.seed)
    progress(f"split by {_split_by(parts)}: {len(parts.train)} / {len(parts.calibration)} / {len(parts.test)} rows")
    text = booster.fit(parts.train.matrix(), parts.train.labels, options.trees)
    progress(f"LightGBM grew {booster.tree_count(text)} trees")
    calibration = calibrate.fit(booster.raw_scores(text, parts.calibration.matrix()), parts.calibration.labels)
    policy = Policy.from_costs(default_costs(parts.train, options.costs))
    evaluation = _evaluated(parts, text, calibration, policy, np.random.default_rng(options.seed))
    progress(f"evaluated on the test part: PR-AUC {evaluation.model.pr_auc.value:.4f}")
    matrix = dataset.matrix()
    scores = calibration.many(booster.raw_scores(text, matrix))
    return TrainedModel(
        booster_text=text,
        calibration=calibration,
        self_test=_self_test(matrix, scores),
        trained_on=_trained_on(dataset),
        policy=policy,
        reference=reference_days.build(dataset, scores),
        evaluation=evaluation,
    )


def default_costs(training: Dataset, options: CostOptions) -> Costs:
    """The costs, with defaults for those that are None.

    A missed fraud costs the mean amount of the training part's positives (1 when no amount is known or it is
    nearer to 0 than that), a review 5 % and a false block 50 % of it.
    """
    amounts = training.frame.loc[training.labels == 1, "amount"].to_numpy()
    known = amounts[~np.isnan(amounts)]
    mean = float(known.mean()) if len(known) else 0.0
    missed = options.missed or round(max(mean, 1.0), 2)
    return Costs(
        missed=missed,
        review=options.review or round(REVIEW_SHARE * missed, 4),
        false_block=options.false_block or round(FALSE_BLOCK_SHARE * missed, 4),
    )


def _evaluated(
    parts: splits.Parts, text: str, calibration: Calibration, policy: Policy, rng: np.random.Generator
) -> Evaluation:
    """The model beside the baseline, which is calibrated in the same way: only so is the same cost rule fair to it."""
    matrix = parts.test.matrix()
    simple = baseline.fit(parts.train.matrix(), parts.train.labels)
    simple_calibration = calibrate.fit(baseline.log_odds(simple, parts.calibration.matrix()), parts.calibration.labels)
    return evaluate.evaluate(
        parts.test,
        calibration.many(booster.raw_scores(text, matrix)),
        policy,
        rng=rng,
        baseline=simple_calibration.many(baseline.log_odds(simple, matrix)),
        split=Split(
            by=_split_by(parts),
            train=evaluate.data_part(parts.train),
            calibration=evaluate.data_part(parts.calibration),
            test=evaluate.data_part(parts.test),
        ),
    )


def _split_by(parts: splits.Parts) -> Literal["time", "random"]:
    return "time" if parts.by_time else "random"


def _self_test(matrix: NDArray[np.float64], scores: NDArray[np.float64]) -> SelfTest:
    """Rows spread over the range of scores, and as many with missing values, where there are any."""
    by_score = np.argsort(scores, kind="stable")
    incomplete = by_score[np.isnan(matrix[by_score]).any(axis=1)]
    rows = np.unique(np.concatenate([_spread(by_score), _spread(incomplete)]))
    return SelfTest(
        rows=tuple(tuple(None if np.isnan(cell) else float(cell) for cell in matrix[row]) for row in rows),
        scores=tuple(scores[rows].tolist()),
    )


def _spread(order: NDArray[np.int64]) -> NDArray[np.int64]:
    half = _SELF_TEST_ROWS // 2
    return order[np.linspace(0, len(order) - 1, half).astype(np.int64)] if len(order) else order


def _trained_on(dataset: Dataset) -> TrainingData:
    first, last = dataset.span() or (None, None)
    return TrainingData(
        sha256=dataset.fingerprint(), rows=len(dataset), positives=dataset.positives, first=first, last=last
    )
