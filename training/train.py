"""A data set to a trained model: everything that a model folder holds. Same data, same options, same model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.risk_scorer.calibration import Calibration
from bentos.risk_scorer.model_files import SelfTest, TrainingData
from bentos.risk_scorer.policy import Costs, Policy
from bentos.risk_scorer.reference import Reference
from monitoring.evaluation import Evaluation, Split, ThresholdChoice, Training, Tried

from . import baseline, booster, calibrate, costs, evaluate, reference_days, search, splits, thresholds
from .booster import TreeOptions
from .costs import CostOptions
from .datasets import Dataset, require_enough
from .evaluate import Background, Candidate
from .reference_days import Answers
from .thresholds import Kept

_SELF_TEST_ROWS: Final = 16
Progress = Callable[[str], None]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrainOptions:
    """What may be varied of a training run. The seed also draws the split of data without times, and the resamples.

    `review_capacity` is the largest share of events that people can review (None: any), `search` the number of
    candidates that a search for hyper-parameters may try (0: none, the options stand).
    """

    trees: TreeOptions = field(default_factory=TreeOptions)
    costs: CostOptions = field(default_factory=CostOptions)
    review_capacity: float | None = None
    search: int = 0

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

    Raises NotEnoughDataError when the data, or one of its three parts, has too few rows or too few of one class, and
    DataError when the monotone directions contradict each other.
    """
    require_enough(dataset)
    parts = splits.three_parts(dataset, options.seed)
    progress(f"split by {_split_by(parts)}: {len(parts.train)} / {len(parts.calibration)} / {len(parts.test)} rows")
    matrices = _Matrices(parts.train.matrix(), parts.calibration.matrix(), parts.test.matrix())
    grown = _grow(matrices.train, parts.train.labels, options, progress)
    raw = booster.raw_scores(grown.text, matrices.calibration)
    calibration = calibrate.fit(raw, parts.calibration.labels)
    prices = costs.default_costs(parts.train, options.costs)
    scores, tested = (calibration.many(each) for each in (raw, booster.raw_scores(grown.text, matrices.test)))
    policy, choice = _thresholds(parts.calibration, scores, prices, options.review_capacity)
    progress(f"reviews from {policy.review_from:.4f}, blocks from {policy.block_from:.4f}: bound by {choice.bound_by}")
    evaluation = evaluate.evaluate(
        parts.test,
        Candidate(tested, policy),
        rng=np.random.default_rng(options.seed),
        baseline=_baseline(parts, matrices, prices, options),
        background=Background(_split(parts), _training(grown, choice), _known(parts)),
    )
    progress(f"evaluated on the test part: PR-AUC {evaluation.model.pr_auc.value:.4f}")
    whole = _together(parts)
    all_scores = np.concatenate([np.full(len(parts.train), np.nan), scores, tested])
    held_out = np.arange(len(whole)) >= len(parts.train)
    return TrainedModel(
        booster_text=grown.text,
        calibration=calibration,
        self_test=_self_test(np.concatenate([matrices.train, matrices.calibration, matrices.test]), all_scores),
        trained_on=_trained_on(dataset),
        policy=policy,
        reference=reference_days.build(whole, Answers(all_scores, held_out, policy)),
        evaluation=evaluation,
    )


@dataclass(frozen=True)
class _Matrices:
    """The model's matrix of each part, made once."""

    train: _Floats
    calibration: _Floats
    test: _Floats


@dataclass(frozen=True)
class _Grown:
    """A grown model, the options that it was grown with, and the search that found them."""

    text: str
    trees: TreeOptions
    tried: tuple[Tried, ...]


def _grow(matrix: _Floats, labels: NDArray[np.int8], options: TrainOptions, progress: Progress) -> _Grown:
    rows = booster.Rows(matrix, labels)
    trees = options.trees
    tried: tuple[Tried, ...] = ()
    if options.search:
        trees, tried = search.best(rows, options.trees, options.search)
        progress(f"searched {len(tried)} candidates: {trees.leaves} leaves at a rate of {trees.learning_rate:g}")
    text = booster.fit(rows, trees)
    progress(f"LightGBM grew {booster.tree_count(text)} trees")
    return _Grown(text, trees, tried)


def _thresholds(
    part: Dataset, scores: _Floats, prices: Costs, capacity: float | None
) -> tuple[Policy, ThresholdChoice]:
    return thresholds.choose(Kept(scores, costs.amounts(part), part.labels), prices, capacity)


def _baseline(parts: splits.Parts, matrices: _Matrices, prices: Costs, options: TrainOptions) -> Candidate:
    """Logistic regression, calibrated and with thresholds in the same way: only so is the comparison fair to it."""
    simple = baseline.fit(matrices.train, parts.train.labels)
    raw = baseline.log_odds(simple, matrices.calibration)
    calibration = calibrate.fit(raw, parts.calibration.labels)
    policy, _ = _thresholds(parts.calibration, calibration.many(raw), prices, options.review_capacity)
    return Candidate(calibration.many(baseline.log_odds(simple, matrices.test)), policy)


def _training(grown: _Grown, choice: ThresholdChoice) -> Training:
    return Training(
        thresholds=choice,
        trees=booster.tree_count(grown.text),
        leaves=grown.trees.leaves,
        learning_rate=grown.trees.learning_rate,
        rows_per_leaf=grown.trees.rows_per_leaf,
        l2=grown.trees.l2,
        monotone=dict(grown.trees.monotone),
        search=grown.tried,
    )


def _known(parts: splits.Parts) -> NDArray[np.bool_] | None:
    """The test rows whose entity is in the training part; None when the data has no entities."""
    if not parts.test.has_entities:
        return None
    seen = parts.train.frame["entity_id"].dropna().unique()
    return parts.test.frame["entity_id"].isin(seen).to_numpy()


def _split(parts: splits.Parts) -> Split:
    return Split(
        by=_split_by(parts),
        train=evaluate.data_part(parts.train),
        calibration=evaluate.data_part(parts.calibration),
        test=evaluate.data_part(parts.test),
    )


def _together(parts: splits.Parts) -> Dataset:
    """All rows, in the order of the parts."""
    frames = [part.frame for part in (parts.train, parts.calibration, parts.test)]
    return Dataset(pd.concat(frames, ignore_index=True), parts.train.notes)


def _split_by(parts: splits.Parts) -> Literal["time", "random"]:
    return "time" if parts.by_time else "random"


def _self_test(matrix: _Floats, scores: _Floats) -> SelfTest:
    """Rows spread over the range of scores, and as many with missing values, where there are any. NaN: not scored."""
    by_score = np.argsort(scores, kind="stable")[: len(scores) - int(np.isnan(scores).sum())]
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
