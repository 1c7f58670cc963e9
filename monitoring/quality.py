"""What labels say of a model: the figures of its evaluation, measured again on a week of live events.

The same code measures both (`figures`), so their numbers may be laid side by side. What is judged stands in
`quality_rule`. All of a report is about events whose label is known. Who is labelled is not chosen by chance: what was
blocked often never shows what it would have been, and a review makes a label where an approval makes none. `decisions`
says how much of each is labelled; where that differs much, `notes` say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from . import decision_costs, figures, slices
from .evaluation import Evaluation, Interval, Metrics, Slice
from .figures import Scored, rounded
from .label_coverage import Coverage, coverage, notes
from .label_delays import Delays, Waited, delays
from .matured import Count, Days, Sample
from .quality_rule import Basis, Judged, Verdict, Week, judge
from .resampling import Resamples

ENOUGH: Final = 100
"""Positives that a slice needs to be compared with its evaluation."""
SLICE_MARGIN: Final = 0.05
"""A slice's recall is worse when its interval ends by so much below what was evaluated, as a candidate's may not be."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelledByAge(_Part):
    """Share of all events with a label by that age, and of positives among those labels."""

    hours: int
    share: float
    positives_among: float | None


class QualityReport(_Part):
    """All that a run found. Figures are null where too few events are labelled for any."""

    tag: str
    made_at: datetime
    window_from: date
    window_end: date = Field(description="The day after the last one.")
    verdict: Verdict
    reason: str
    limit: float | None
    events: int
    labelled: int
    positives: int
    pr_auc: Interval | None = Field(description="At the evaluation's share of positives: what the verdict rests on.")
    metrics: Metrics | None = Field(description="As in evaluation.json, on the labelled events as they are.")
    evaluated_pr_auc: Interval
    evaluated_base_rate: float
    slices: tuple[Slice, ...] = ()
    worse_slices: tuple[str, ...] = ()
    days: tuple[Coverage, ...] = ()
    decisions: tuple[Coverage, ...] = ()
    delay_hours: dict[str, int | None] = Field(
        description="By share of all events: hours by which it has a label; null: later than could be watched."
    )
    watched_hours: int
    by_age: tuple[LabelledByAge, ...] = ()
    sampled: float = Field(default=1.0, description="Share of the entities that the figures are made of.")
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """What was asked: whose events, of which days, as known when."""

    tag: str
    days: Days
    made_at: datetime


@dataclass(frozen=True)
class Limits:
    """What a verdict needs at least."""

    positives: int
    coverage: float


def in_window(counts: Sequence[Count], days: Days) -> list[Count]:
    """The counts of the window's own days; later ones only tell how long labels take."""
    return [each for each in counts if days.first <= each.day < days.end]


def labelled(counts: Sequence[Count]) -> int:
    """Events whose label is known."""
    return sum(each.events for each in counts if each.label is not None)


def report(
    window: Window,
    evaluation: Evaluation,
    *,
    counts: Sequence[Count],
    sample: Sample,
    rng: np.random.Generator,
    limits: Limits,
) -> QualityReport:
    """The report on a window. `counts` also holds the days after it, whose labels are still coming in."""
    own = in_window(counts, window.days)
    measured = _measured(sample, evaluation, rng) if _both_classes(sample) else None
    week = Week(
        events=sum(each.events for each in own),
        labelled=labelled(own),
        positives=sum(each.events for each in own if each.label == 1),
        pr_auc=measured.pr_auc.value if measured else None,
    )
    basis = Basis(evaluation.model.pr_auc.value, evaluation.model.pr_auc.sd, evaluation.tested_on.positives)
    judged = judge(week, basis, limits.positives, limits.coverage)
    return _written(window, evaluation, (own, delays(_waited(counts))), (week, judged), (measured, sample.share))


@dataclass(frozen=True)
class _Measured:
    pr_auc: Interval
    metrics: Metrics
    slices: tuple[Slice, ...]


def _both_classes(sample: Sample) -> bool:
    return 0 < int(sample.labels.sum()) < len(sample.labels)


def _measured(sample: Sample, evaluation: Evaluation, rng: np.random.Generator) -> _Measured:
    amounts = decision_costs.amounts(sample.columns["amount"].astype(np.float64))
    rows, resamples = Scored(sample.labels, sample.scores, amounts, evaluation.policy), Resamples(sample.groups, rng)
    base = evaluation.base_rate
    metrics, _ = figures.measure(rows, resamples)
    drawn = rows.ranking.resampled(resamples).pr_auc_at(base)
    parts = (part for each in slices.dimensions(sample.columns) for part in slices.measure(each, rows, resamples))
    return _Measured(figures.interval(rows.ranking.counts().pr_auc_at(base), drawn), metrics, tuple(parts))


def _written(
    window: Window,
    evaluation: Evaluation,
    labels: tuple[list[Count], Delays],
    judged: tuple[Week, Judged],
    measured: tuple[_Measured | None, float],
) -> QualityReport:
    (own, delayed), (week, verdict), (found, share) = labels, judged, measured
    days = coverage(own, lambda each: each.day.isoformat())
    decisions = coverage(own, lambda each: each.decision)
    return QualityReport(
        tag=window.tag,
        made_at=window.made_at,
        window_from=window.days.first,
        window_end=window.days.end,
        verdict=verdict.verdict,
        reason=verdict.reason,
        limit=None if verdict.limit is None else rounded(verdict.limit),
        events=week.events,
        labelled=week.labelled,
        positives=week.positives,
        pr_auc=found.pr_auc if found else None,
        metrics=found.metrics if found else None,
        evaluated_pr_auc=evaluation.model.pr_auc,
        evaluated_base_rate=evaluation.base_rate,
        slices=found.slices if found else (),
        worse_slices=tuple(_worse(found.slices, evaluation.slices)) if found else (),
        days=days,
        decisions=decisions,
        delay_hours={str(quantile): hours for quantile, hours in delayed.quantiles},
        watched_hours=delayed.watched_hours,
        by_age=tuple(
            LabelledByAge(hours=each.hours, share=rounded(each.share), positives_among=each.positives_among)
            for each in delayed.by_age
        ),
        sampled=share,
        notes=tuple(notes(decisions, days, delayed)),
    )


def _waited(counts: Sequence[Count]) -> list[Waited]:
    return [Waited(each.label if each.known else None, each.hours, each.events) for each in counts]


def _worse(found: Sequence[Slice], evaluated: Sequence[Slice]) -> list[str]:
    """Slices with enough positives on both sides whose recall is worse by more than the margin, for sure."""
    before = {(each.field, each.band): each for each in evaluated}
    worse = []
    for each in found:
        other = before.get((each.field, each.band))
        if other is None or min(each.positives, other.positives) < ENOUGH or not each.recall or not other.recall:
            continue
        if each.recall.high < other.recall.value - SLICE_MARGIN:
            worse.append(
                f"{each.field} {each.band}: recall {each.recall.value:.2f}, {other.recall.value:.2f} when evaluated"
            )
    return worse
