"""Rules that say of each day whether it drifted: ours as production calls it, and what people use instead.

`Evidently's preset` is the default of its DataDriftPreset: half of the columns drifted, each by its default test for a
reference of more than 1,000 rows (Wasserstein distance over the reference's sd, or Jensen-Shannon distance, above .1).
It is written again here, because the preset takes seconds a window; a test holds it against the real one.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from bentos.risk_scorer.reference import DECISION, SCORE, Reference
from monitoring import drift, quality_rule
from monitoring.drift import Baseline, FieldCounts, Report, Window
from monitoring.ranking import Ranking
from tests.bench.drift_events import Events
from tests.bench.drift_model import FIRST_DATE, Counted, Evaluated
from tests.bench.drift_people import Floats, Ints

OURS, EVIDENTLY, KS, PSI = "ours", "Evidently's preset", "any KS p < .05", "daily PSI > .1"
ALWAYS_OK = "always OK"
DRIFT, FAULT = drift.Verdict.DRIFT.value, drift.Verdict.DATA_FAULT.value
INSUFFICIENT = drift.Verdict.INSUFFICIENT_DATA.value
LOSS = quality_rule.Verdict.QUALITY_LOSS.value

DRIFTED_SHARE, DISTANCE, FEW_VALUES = 0.5, 0.1, 5
SIGNIFICANT = 0.05
CUSTOMARY_PSI = 0.1
MATURES, WEEK = 3, 7
RUN_AT = 1.25
"""Days after a day's beginning at which it is judged: six hours after its end."""

Judge = Callable[[Window, Baseline], Report]


def always_ok(window: Window, baseline: Baseline) -> Report:
    """What a rule would say that never says anything."""
    return replace(drift.judge(window, baseline), verdict=drift.Verdict.OK)


JUDGES: dict[str, Judge] = {OURS: drift.judge, ALWAYS_OK: always_ok}


def windows(counted: Mapping[str, Counted], rows: Ints, refused: Ints, first: int) -> Iterator[Window]:
    """Each counted day as the drift job would have it. Refused requests left no rows."""
    start: date = FIRST_DATE.astype(object)
    for day in range(len(rows)):
        fields = {name: FieldCounts(each.bins[day], int(each.missing[day])) for name, each in counted.items()}
        yield Window(start + timedelta(days=first + day), int(rows[day]), fields, refused=int(refused[day]))


def psi_flags(counted: Mapping[str, Counted], baseline: Baseline) -> NDArray[np.bool_]:
    """The days on which the PSI of any field or of the score is above .1, whatever the reference's days did."""
    flags = np.zeros(len(counted[SCORE].missing), dtype=bool)
    for each in baseline.fields:
        if each.name != DECISION:
            indices = [drift.psi(day, each.counts) if day.sum() else 0.0 for day in counted[each.name].bins]
            flags |= np.array(indices) > CUSTOMARY_PSI
    return flags


@dataclass(frozen=True)
class Numbers:
    """One numeric column of a reference's rows, as Evidently and a KS test compare with it: both leave NaN out."""

    values: Floats
    """Sorted."""
    reach: Floats
    """Their sums from the lowest on, beginning with 0."""
    spread: float

    def wasserstein(self, sorted_day: Floats) -> float:
        """The distance between the two samples: the area between their quantile functions, summed exactly."""
        size, count = len(self.values), len(sorted_day)
        cuts = np.arange(count + 1) * (size / count)
        split = np.clip(np.searchsorted(self.values, sorted_day), cuts[:-1], cuts[1:])
        low, middle, high = (np.interp(at, np.arange(size + 1), self.reach) for at in (cuts[:-1], split, cuts[1:]))
        below = sorted_day * (split - cuts[:-1]) - (middle - low)
        above = (high - middle) - sorted_day * (cuts[1:] - split)
        return float((below + above).sum() / size)

    def ks(self, sorted_day: Floats) -> float:
        """The asymptotic p-value of the two-sample Kolmogorov-Smirnov test."""
        size, count = len(self.values), len(sorted_day)
        steps = np.unique(sorted_day)
        ends = np.searchsorted(sorted_day, steps, "right") / count
        begins = np.searchsorted(sorted_day, steps, "left") / count
        over = ends - np.searchsorted(self.values, steps, "right") / size
        under = np.searchsorted(self.values, steps, "left") / size - begins
        furthest = max(float(over.max()), float(under.max()))
        return float(kolmogorov(furthest * np.sqrt(size * count / (size + count))))

    def drifted(self, sorted_day: Floats) -> bool:
        return self.wasserstein(sorted_day) / max(self.spread, 0.001) >= DISTANCE


@dataclass(frozen=True)
class Categories:
    """One column of few values in a reference's rows."""

    keys: Floats
    shares: Floats

    def jensen_shannon(self, day: Floats) -> float:
        """The distance of the shares of each value, with natural logarithms."""
        found, counts = np.unique(day, return_counts=True)
        keys = np.union1d(self.keys, found)
        p, q = np.zeros(len(keys)), np.zeros(len(keys))
        p[np.searchsorted(keys, self.keys)] = self.shares
        q[np.searchsorted(keys, found)] = counts / len(day)
        middle = (p + q) / 2
        parts = (each[each > 0] * np.log(each[each > 0] / middle[each > 0]) for each in (p, q))
        return float(np.sqrt(max(0.0, sum(float(part.sum()) for part in parts) / 2)))

    def drifted(self, sorted_day: Floats) -> bool:
        return self.jensen_shannon(sorted_day) >= DISTANCE


def columns(events: Events, scores: Floats, made: Reference) -> dict[str, Numbers | Categories]:
    """The watched fields and the score of a reference's rows; NaN where the model learned from a row."""
    found: dict[str, Numbers | Categories] = {}
    for name, field in made.fields.items():
        if name != DECISION:
            values = scores if name == SCORE else events.fields[name]
            known = np.sort(values[~np.isnan(values)])
            keys, counts = np.unique(known, return_counts=True)
            if field.kind == "category" or len(keys) <= FEW_VALUES:
                found[name] = Categories(keys, counts / len(known))
            else:
                found[name] = Numbers(known, np.concatenate([[0.0], np.cumsum(known)]), float(known.std()))
    return found


def row_flags(
    events: Events, scores: Floats, compared: Mapping[str, Numbers | Categories], span: tuple[int, int]
) -> dict[str, NDArray[np.bool_]]:
    """What Evidently's preset and KS tests say of each day of a span."""
    first, end = span
    bounds = np.searchsorted(events.day, np.arange(first, end + 1))
    drifted, different = np.zeros(end - first), np.zeros(end - first, dtype=bool)
    for name, column in compared.items():
        values = scores if name == SCORE else events.fields[name]
        for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
            day = values[start:stop]
            day = np.sort(day[~np.isnan(day)])
            if len(day):
                drifted[number] += column.drifted(day)
                if isinstance(column, Numbers):
                    different[number] |= column.ks(day) < SIGNIFICANT
    return {EVIDENTLY: drifted / len(compared) >= DRIFTED_SHARE, KS: different}


@dataclass(frozen=True)
class Labelled:
    """What the quality rule needs of events in the order of their days."""

    day: Ints
    label: NDArray[np.int8]
    known: Floats
    scores: Floats

    def followed_by(self, later: "Labelled") -> "Labelled":
        """These events before the later ones' first day, and then those."""
        cut = int(np.searchsorted(self.day, later.day[0]))
        pairs = ((getattr(self, name)[:cut], getattr(later, name)) for name in ("day", "label", "known", "scores"))
        return Labelled(*(np.concatenate(pair) for pair in pairs))


def quality_verdicts(seen: Labelled, evaluated: Evaluated, span: tuple[int, int]) -> tuple[str, ...]:
    """The quality rule's verdict on the week that has matured by each day of a span, as known then."""
    verdicts = []
    for day in range(*span):
        now = day + RUN_AT
        end = int(now - MATURES)
        rows = slice(*np.searchsorted(seen.day, [end - WEEK, end]))
        known = seen.known[rows] <= now
        label, scored = seen.label[rows][known], seen.scores[rows][known]
        positives = int(label.sum())
        both = 0 < positives < len(label)
        area = float(Ranking(label, scored).counts().pr_auc_at(evaluated.base_rate)) if both else None
        week = quality_rule.Week(len(known), len(label), positives, area)
        verdicts.append(quality_rule.judge(week, evaluated.basis).verdict.value)
    return tuple(verdicts)
