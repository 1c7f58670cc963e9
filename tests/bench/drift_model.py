"""A stream's model and reference, as training makes them of its first 28 days; scores and counts of any day.

The parts are training's own (60 % to grow, 20 % to calibrate, 20 % to test, by time; scores and decisions of the whole
days that were held out), with fewer and smaller trees than it would grow, and thresholds at shares of the calibration
part. The reference and the evaluation are made of them with the code that the service and the monitoring use.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.calibration import Calibration
from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.features import COLUMNS, derived
from bentos.risk_scorer.policy import Decision
from bentos.risk_scorer.reference import DECISION, SCORE, Reference, ReferenceField, is_number, number_edges
from monitoring.quality_rule import Basis
from monitoring.ranking import Ranking
from monitoring.resampling import Resamples
from tests.bench.drift_events import Events
from tests.bench.drift_people import REFERENCE_DAYS, Floats, Ints
from training import booster, calibrate
from training.splits import CALIBRATION_SHARE, TRAIN_SHARE

TREES = booster.TreeOptions(leaves=15, trees=60, learning_rate=0.1, threads=1)
REVIEWED, BLOCKED = 0.03, 0.006
"""Shares of the calibration part's events from whose score on events are reviewed, and blocked."""

WATCHED = tuple(field for field in FEATURES if field.watch)
FIRST_DATE = np.datetime64("2026-01-05")


@dataclass(frozen=True)
class Model:
    """A grown model, its calibration, and the scores from which it reviews and blocks."""

    text: str
    calibration: Calibration
    thresholds: tuple[float, float]
    held_out_from: int
    """The stream's first day of which the model learned nothing."""
    tested_from: int
    """The row at which the test part begins: what the evaluation is made of."""

    def scores(self, events: Events) -> Floats:
        return np.asarray(self.calibration.many(booster.raw_scores(self.text, matrix(events))))


def matrix(events: Events) -> Floats:
    """The model's matrix: what `features.matrix` would give for these events, from codes instead of names."""
    values = {each.name: _values(events, each.name) for each in FEATURES}
    out = np.empty((len(events), len(COLUMNS)))
    for position, column in enumerate((*values.values(), *derived(values))):
        out[:, position] = column
    return out


def _values(events: Events, name: str) -> Floats:
    """A field's values; one that the generator does not know is missing everywhere."""
    return events.fields[name] if name in events.fields else np.full(len(events), np.nan)


def fit(events: Events) -> Model:
    """The model of the reference's days."""
    seen = events.days(0, REFERENCE_DAYS)
    grown, calibrated = (round(len(seen) * share) for share in (TRAIN_SHARE, TRAIN_SHARE + CALIBRATION_SHARE))
    rows = matrix(seen)
    text = booster.fit(booster.Rows(rows[:grown], seen.label[:grown]), TREES)
    raw = booster.raw_scores(text, rows[grown:calibrated])
    calibration = calibrate.fit(raw, seen.label[grown:calibrated])
    review_from, block_from = np.quantile(calibration.many(raw), [1 - REVIEWED, 1 - BLOCKED])
    held_out_from = int(seen.day[grown - 1]) + 1
    return Model(text, calibration, (float(review_from), float(block_from)), held_out_from, calibrated)


@dataclass(frozen=True)
class Evaluated:
    """What the quality rule compares weeks with."""

    basis: Basis
    base_rate: float


def evaluate(model: Model, events: Events, scores: Floats, rng: np.random.Generator) -> Evaluated:
    """The evaluation's PR-AUC on the test part, with the sd of its resamples by payer."""
    rows = slice(model.tested_from, int(np.searchsorted(events.day, REFERENCE_DAYS)))
    label, groups = events.label[rows], np.unique(events.payer[rows], return_inverse=True)[1]
    ranking = Ranking(label, scores[rows])
    spread = float(np.nanstd(ranking.resampled(Resamples(groups, rng)).pr_auc(), ddof=1))
    basis = Basis(float(ranking.counts().pr_auc()), spread, int(label.sum()))
    return Evaluated(basis, float(label.mean()))


@dataclass(frozen=True)
class Counted:
    """A field's counts of some days: per bin (days, bins) and missing (days,)."""

    bins: Ints
    missing: Ints

    def only_from(self, first: int) -> "Counted":
        """The same with nothing on the days before `first`."""
        late = np.arange(len(self.missing)) >= first
        return Counted(self.bins * late[:, None], self.missing * late)


def reference(events: Events, scores: Floats, model: Model) -> Reference:
    """The reference of the first 28 days, made with the scorer's own bins."""
    seen = events.days(0, REFERENCE_DAYS)
    fields = {}
    for field in WATCHED:
        values = _values(seen, field.name)
        if is_number(field):
            edges = number_edges(values)
            counted = _count(seen.day, values, _bins(values, edges), len(edges) + 1, REFERENCE_DAYS)
            fields[field.name] = ReferenceField(kind="number", edges=edges, **_daily(counted))
        else:
            counted = _count(seen.day, values, values, len(field.categories), REFERENCE_DAYS)
            fields[field.name] = ReferenceField(kind="category", categories=field.categories, **_daily(counted))
    dates = FIRST_DATE + np.arange(REFERENCE_DAYS)
    answered = _answered(seen.day, scores[: len(seen)], model)
    return Reference(days=tuple(str(date) for date in dates), fields=fields | answered)


def _answered(day: Ints, scores: Floats, model: Model) -> dict[str, ReferenceField]:
    """Score and decision, of the days that were held out whole."""
    edges = number_edges(scores[day >= model.held_out_from])
    binned = {SCORE: (_bins(scores, edges), len(edges) + 1), DECISION: (_bins(scores, model.thresholds), 3)}
    counted = {
        name: _count(day, scores, bins, width, REFERENCE_DAYS).only_from(model.held_out_from)
        for name, (bins, width) in binned.items()
    }
    names = tuple(each.value for each in Decision)
    return {
        SCORE: ReferenceField(kind="number", edges=edges, **_daily(counted[SCORE])),
        DECISION: ReferenceField(kind="category", categories=names, **_daily(counted[DECISION])),
    }


def _daily(counted: Counted) -> dict[str, Any]:
    return {"daily": tuple(map(tuple, counted.bins.tolist())), "missing": tuple(counted.missing.tolist())}


def count(events: Events, scores: Floats, made: Reference, model: Model, span: tuple[int, int]) -> dict[str, Counted]:
    """Counts of each field of the reference on the days from span[0] to before span[1]."""
    first, end = span
    found = {}
    for name, field in made.fields.items():
        values = scores if name in {SCORE, DECISION} else _values(events, name)
        if name == DECISION:
            bins = _bins(values, model.thresholds)
        else:
            bins = _bins(values, field.edges) if field.kind == "number" else values
        found[name] = _count(events.day - first, values, bins, field.bins, end - first)
    return found


def _bins(values: Floats, edges: tuple[float, ...]) -> NDArray[Any]:
    return np.searchsorted(np.asarray(edges), values, side="right")


def _count(day: Ints, values: Floats, bins: NDArray[Any], width: int, days: int) -> Counted:
    known = ~np.isnan(values)
    cells = day[known] * width + bins[known].astype(np.int64)
    counts = np.bincount(cells, minlength=days * width).reshape(days, width)
    return Counted(counts, np.bincount(day[~known], minlength=days))
