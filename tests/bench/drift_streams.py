"""One stream of the drift bench, run through every rule: what each says of each day.

A stream is drawn once and its model fitted once; a change only costs the days from which on it changes something.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.reference import Reference
from monitoring import drift
from tests.bench import drift_events, drift_judges, drift_model
from tests.bench.drift_events import Events, Stream
from tests.bench.drift_judges import Categories, Judge, Labelled, Numbers
from tests.bench.drift_model import Evaluated, Model
from tests.bench.drift_people import DAYS, REFERENCE_DAYS, Floats
from tests.bench.drift_scenarios import ONSETS, Scenario, World


@dataclass(frozen=True)
class Days:
    """What the rules say of consecutive days: our verdicts, the fields that drifted, and whether another rule flags."""

    verdicts: tuple[str, ...]
    drifted: tuple[tuple[str, ...], ...]
    quality: tuple[str, ...]
    flags: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Case:
    """A stream with its model, and what days are compared with."""

    key: tuple[int, ...]
    stream: Stream
    model: Model
    reference: Reference
    baseline: drift.Baseline
    columns: dict[str, Numbers | Categories]
    evaluated: Evaluated
    served: Events
    """The live days' events that were not refused."""
    scores: Floats
    """Theirs."""


def case(world: World, seed: int, number: int) -> Case:
    """The stream of this number in a world; the same for every scenario."""
    key = (seed, number, *world.name.encode())
    rng = np.random.default_rng(key)
    stream = drift_events.stream(rng, world.events_a_day, world.unrest)
    model = drift_model.fit(stream.events)
    scores = model.scores(stream.events)
    made = drift_model.reference(stream.events, scores, model)
    seen = stream.events.days(0, REFERENCE_DAYS)
    known = np.where(seen.day >= model.held_out_from, scores[: len(seen)], np.nan)
    live = np.flatnonzero((stream.events.day >= REFERENCE_DAYS) & ~stream.events.refused)
    return Case(
        key=key,
        stream=stream,
        model=model,
        reference=made,
        baseline=drift.calibrated(made),
        columns=drift_judges.columns(seen, known, made),
        evaluated=drift_model.evaluate(model, stream.events, scores, rng),
        served=stream.events.having(live),
        scores=scores[live],
    )


def run(each: Case, scenario: Scenario, judge: Judge) -> Days:
    """What the rules say of a scenario's days: of all live days, or of those from the change on."""
    if scenario.unchanged:
        span = REFERENCE_DAYS, DAYS
        return _judged(each, judge, each.stream.events.days(*span), span)
    rng = np.random.default_rng((*each.key, *scenario.name.encode()))
    onset = REFERENCE_DAYS + int(rng.integers(ONSETS[0], ONSETS[1], endpoint=True))
    span = onset, onset + scenario.days
    return _judged(each, judge, scenario.change(rng, each.stream, onset, each.stream.events.days(*span)), span)


def _judged(each: Case, judge: Judge, events: Events, span: tuple[int, int]) -> Days:
    served = events.having(~events.refused)
    scores = each.model.scores(served)
    first, days = span[0], span[1] - span[0]
    rows, refused = (np.bincount(some.day - first, minlength=days) for some in (served, events.having(events.refused)))
    counted = drift_model.count(served, scores, each.reference, each.model, span)
    reports = [judge(window, each.baseline) for window in drift_judges.windows(counted, rows, refused, first)]
    before = Labelled(each.served.day, each.served.label, each.served.known, each.scores)
    labelled = before.followed_by(Labelled(served.day, served.label, served.known, scores))
    return Days(
        verdicts=tuple(report.verdict.value for report in reports),
        drifted=tuple(report.drifted for report in reports),
        quality=drift_judges.quality_verdicts(labelled, each.evaluated, span),
        flags=drift_judges.row_flags(served, scores, each.columns, span)
        | {drift_judges.PSI: drift_judges.psi_flags(counted, each.baseline)},
    )


def triggers(flagged: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The days by which two of the last three windows were flagged."""
    given = np.asarray(flagged, dtype=np.int64)
    padded = np.concatenate([[0, 0], given])
    return np.asarray(padded[2:] + padded[1:-1] + padded[:-2] >= 2)


def starts(active: NDArray[np.bool_]) -> int:
    """How many times it began: a trigger that stays is one."""
    return int((active & ~np.concatenate([[False], active[:-1]])).sum())


def first_day(active: NDArray[np.bool_]) -> int | None:
    """The number of the first active window, from 1 on."""
    return int(np.argmax(active)) + 1 if active.any() else None
