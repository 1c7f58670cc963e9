"""The numbers of a report: what the prediction store says, beside what was checked and what was promised.

`collect` asks the store and assembles; the words and the drawings are made elsewhere (captions, plots, page).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from sklearn.metrics import average_precision_score, precision_recall_curve

from bentos.risk_scorer.policy import Decision

from . import store
from .errors import InputError, NothingError
from .migrations import Connection

_STEPS: Final = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400)
"""Seconds that one interval of the timeline may last: those a person would choose."""

_INTERVALS: Final = 120
"""At most so many intervals in the timeline: more than a screen can tell apart is noise."""

_BINS: Final = 61
"""Bins of score differences, odd so that 'no difference' lies in the middle of one."""

_NARROWEST: Final = 1e-6
"""Reach of the histogram where no difference is larger: below that, it is rounding that one would look at."""

_CURVE_POINTS: Final = 200


@dataclass(frozen=True)
class Check:
    """Something that had to hold, whether it did, and the numbers that say so."""

    name: str
    held: bool
    detail: str


@dataclass(frozen=True)
class Comparison:
    """One role's scores against another's on the same requests."""

    left: store.Role
    right: store.Role
    pairs: store.Pairs
    bins: tuple[store.DifferenceBin, ...]
    flips: dict[tuple[Decision, Decision], int]


class Interval(BaseModel):
    """A figure and its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class CurvePoint(BaseModel):
    """The best precision at this recall or a higher one."""

    model_config = ConfigDict(frozen=True)

    recall: float
    precision: float


class PromisedQuality(BaseModel):
    """The part of an evaluation's metrics that the page shows."""

    model_config = ConfigDict(frozen=True)

    pr_auc: Interval
    curve: tuple[CurvePoint, ...]


class Evaluation(BaseModel):
    """The part of an evaluation.json that the page shows; the file has more. `baseline` is null when it met none."""

    model_config = ConfigDict(frozen=True)

    base_rate: float
    model: PromisedQuality
    baseline: PromisedQuality | None = None


@dataclass(frozen=True)
class Quality:
    """How well a model ranks fraud first. `pr_auc` is the average precision; None when only one class is there."""

    pr_auc: float | None
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class LiveQuality:
    """A model on the live events whose label is known."""

    tag: str
    events: int
    positives: int
    quality: Quality

    @property
    def base_rate(self) -> float:
        """The PR-AUC of a model that knows nothing."""
        return self.positives / self.events


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    title: str
    made_at: datetime
    checks: tuple[Check, ...]
    traffic: tuple[store.Traffic, ...]
    step: timedelta
    timeline: tuple[store.Instant, ...]
    statuses: tuple[store.StatusCount, ...]
    decisions: tuple[store.DecisionCount, ...]
    latencies: tuple[store.Latency, ...]
    latency_buckets: tuple[store.LatencyBucket, ...]
    stickiness: store.Stickiness
    comparisons: tuple[Comparison, ...]
    versions: tuple[store.Version, ...]
    live: tuple[LiveQuality, ...]
    evaluations: dict[str, Evaluation]
    """By tag."""

    @property
    def first(self) -> datetime:
        return min(each.first for each in self.traffic)

    @property
    def last(self) -> datetime:
        return max(each.last for each in self.traffic)

    @property
    def broken(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.held)


def collect(
    connection: Connection,
    made_at: datetime,
    window: store.Window = store.ALWAYS,
    *,
    title: str = "Live traffic report",
    checks: Sequence[Check] = (),
    evaluations: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """The report on the rows of a window. Raises NothingError when there are none.

    `evaluations` are the contents of evaluation.json by tag. Raises InputError when one is not that.
    """
    traffic = store.traffic(connection, window)
    if not traffic:
        raise NothingError("there are no predictions in that window: nothing to report")
    lasted = max(each.last for each in traffic) - min(each.first for each in traffic)
    versions = store.versions(connection, window)
    return Report(
        title=title,
        made_at=made_at,
        checks=tuple(checks),
        traffic=traffic,
        step=(step := timeline_step(lasted)),
        timeline=store.timeline(connection, step, window),
        statuses=store.statuses(connection, window),
        decisions=store.decisions(connection, window),
        latencies=store.latencies(connection, window),
        latency_buckets=store.latency_buckets(connection, window),
        stickiness=store.stickiness(connection, window),
        comparisons=_comparisons(connection, window),
        versions=versions,
        live=tuple(_live(connection, window, versions)),
        evaluations={tag: evaluation(tag, content) for tag, content in (evaluations or {}).items()},
    )


def timeline_step(lasted: timedelta) -> timedelta:
    """The shortest interval of `_STEPS` that cuts a time into at most `_INTERVALS`; the longest if none does."""
    seconds = next((step for step in _STEPS if lasted.total_seconds() <= step * _INTERVALS), _STEPS[-1])
    return timedelta(seconds=seconds)


def quality(labelled: store.Labelled) -> Quality:
    """Average precision, and the best precision at each recall or higher, thinned to `_CURVE_POINTS`."""
    if len(np.unique(labelled.labels)) < 2:
        return Quality(pr_auc=None, curve=())
    precision, recall, _ = precision_recall_curve(labelled.labels, labelled.scores)
    best = np.maximum.accumulate(precision)  # recall falls along the arrays
    last = np.flatnonzero(np.diff(recall, append=-1.0))  # of equal recalls, the last has the best precision
    kept = last[np.unique(np.linspace(0, len(last) - 1, _CURVE_POINTS).astype(int))]
    points = zip(recall[kept].tolist(), best[kept].tolist(), strict=True)
    pr_auc = float(average_precision_score(labelled.labels, labelled.scores))
    return Quality(pr_auc, tuple(CurvePoint(recall=recall, precision=precision) for recall, precision in points))


def evaluation(tag: str, content: Mapping[str, Any]) -> Evaluation:
    """The part of an evaluation.json that the page shows. Raises InputError."""
    try:
        return Evaluation.model_validate(content)
    except ValidationError as error:
        raise InputError(f"the evaluation of {tag} is not what `python -m training train` writes: {error}") from error


def difference_edges(pairs: store.Pairs) -> list[float]:
    """Edges of `_BINS` equal bins that lie around zero and hold every difference."""
    reach = max(abs(pairs.low), abs(pairs.high), _NARROWEST)
    edges: list[float] = np.linspace(-reach, reach, _BINS + 1).tolist()
    return edges


def _comparisons(connection: Connection, window: store.Window) -> tuple[Comparison, ...]:
    compared = (_compare(connection, "stable", "shadow", window), _compare(connection, "canary", "shadow", window))
    return tuple(each for each in compared if each is not None)


def _compare(connection: Connection, left: store.Role, right: store.Role, window: store.Window) -> Comparison | None:
    pairs = store.pairs(connection, left, right, window)
    if pairs is None:
        return None
    bins = store.differences(connection, left, right, difference_edges(pairs), window)
    return Comparison(left, right, pairs, bins, store.flips(connection, left, right, window))


def _live(connection: Connection, window: store.Window, versions: Sequence[store.Version]) -> list[LiveQuality]:
    """Each model that scored events whose label is known."""
    found = []
    for tag in dict.fromkeys(version.tag for version in versions):
        labelled = store.labelled(connection, tag, window)
        if labelled.labels.size:
            positives = int(labelled.labels.sum())
            found.append(LiveQuality(tag, int(labelled.labels.size), positives, quality(labelled)))
    return found
