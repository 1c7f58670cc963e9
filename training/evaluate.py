"""Scores and labels to an evaluation. Pure: the random generator is passed in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.policy import Policy
from monitoring import decision_costs, figures, slices
from monitoring.evaluation import Comparison, DataPart, Evaluation, Metrics, Slice, Split, Training
from monitoring.figures import Floats, Resampled, Scored, rounded
from monitoring.resampling import Resamples

from . import costs, floors, gates
from .datasets import Dataset


@dataclass(frozen=True)
class Candidate:
    """A model as an evaluation sees it: one calibrated score a row, and the policy that decides on them."""

    scores: Floats
    policy: Policy


@dataclass(frozen=True)
class Background:
    """What an evaluation knows of how the model was made; nothing, when a finished model meets a new file.

    `known` tells the rows whose entity the model has learned from.
    """

    split: Split | None = None
    training: Training | None = None
    known: NDArray[np.bool_] | None = None


def evaluate(  # keyword-only, and each is a different thing
    dataset: Dataset,
    model: Candidate,
    *,
    rng: np.random.Generator,
    baseline: Candidate | None = None,
    background: Background | None = None,
) -> Evaluation:
    """The evaluation of a model on a data set, beside a baseline when given, with its absolute gates.

    Both classes must be there (`splits.require_classes`).
    """
    background = background or Background()
    resamples = Resamples(dataset.entity_codes, rng)
    rows = scored(dataset, model)
    metrics, drawn = figures.measure(rows, resamples)
    parts = measure_slices(dataset, rows, resamples, background.known)
    simple, simple_drawn = figures.measure(scored(dataset, baseline), resamples) if baseline else (None, None)
    found = Evaluation(
        tested_on=data_part(dataset),
        split=background.split,
        entities=int(dataset.frame["entity_id"].nunique()) if dataset.has_entities else None,
        base_rate=rounded(rows.labels.mean()),
        resampled="entity" if dataset.has_entities else "event",
        resamples=resamples.count,
        policy=model.policy,
        approve_all_cost_per_1000=rounded(1000 * approve_all_costs(rows).mean()),
        model=metrics,
        baseline=simple,
        comparison=compared((metrics, drawn), (simple, simple_drawn)) if simple and simple_drawn else None,
        slices=parts,
        floors=floors.check(metrics, parts),
        training=background.training,
        notes=dataset.notes,
    )
    return found.model_copy(update={"gates": gates.absolute(found)})


def scored(dataset: Dataset, candidate: Candidate) -> Scored:
    """A data set's rows as a candidate scores and decides them."""
    return Scored(dataset.labels, candidate.scores, costs.amounts(dataset), candidate.policy)


def measure_slices(
    dataset: Dataset, rows: Scored, resamples: Resamples, known: NDArray[np.bool_] | None
) -> tuple[Slice, ...]:
    """Every slice of every dimension that has rows."""
    return tuple(
        part
        for dimension in slices.dimensions(columns(dataset), known)
        for part in slices.measure(dimension, rows, resamples)
    )


def columns(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Every feature of a data set by its name."""
    return {field.name: dataset.frame[field.name].to_numpy() for field in FEATURES}


def compared(one: tuple[Metrics, Resampled], other: tuple[Metrics, Resampled]) -> Comparison:
    """One model against another, on the same resamples of the same rows."""
    (metrics, drawn), (their_metrics, their_drawn) = one, other
    difference = drawn.pr_auc - their_drawn.pr_auc
    known = difference[~np.isnan(difference)]
    cost = metrics.cost_per_1000.value - their_metrics.cost_per_1000.value
    return Comparison(
        pr_auc_difference=figures.interval(metrics.pr_auc.value - their_metrics.pr_auc.value, difference),
        better_share=rounded((known > 0).mean() if len(known) else 0.0),
        inferior_share=rounded((known < -gates.INFERIORITY_MARGIN).mean() if len(known) else 1.0),
        cost_difference=figures.interval(cost, drawn.cost_per_1000 - their_drawn.cost_per_1000),
    )


def approve_all_costs(rows: Scored) -> Floats:
    """What each row would cost if everything were approved."""
    losses: Floats = decision_costs.losses(rows.amounts, rows.policy.costs) * rows.labels
    return losses


def data_part(dataset: Dataset) -> DataPart:
    """Size and time span of a data set."""
    first, last = dataset.span() or (None, None)
    return DataPart(rows=len(dataset), positives=dataset.positives, first=first, last=last)
