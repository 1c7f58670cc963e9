"""A champion against a challenger: on labelled rows that neither has learned from, and on what is sent to them live.

Each scores by its own code in its own process, so that a difference in code is seen as it would be live.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos import offline
from bentos.offline import Answers
from monitoring import figures
from monitoring.evaluation import Comparison, Gate, Metrics, Slice
from monitoring.resampling import Resamples

from . import evaluate, event_rows, gates, live_prediction, splits
from .comparison import ModelComparison, Prediction, Rows, Verdict
from .contenders import Loaded, own_gates
from .datasets import Dataset
from .errors import ArtifactError, DataError, NotEnoughDataError
from .evaluate import Candidate
from .gates import Mode
from .live_prediction import Inputs

RESAMPLES: Final = 1000
"""A gate at a share of .05 needs more resamples than an interval: at 1000 its standard error is .007."""

MOST_ROWS: Final = 200_000
"""Of more rows the newest are taken: with 1 % positives these are 2,000, and more would change no verdict."""

LARGEST_SIZE_RATIO: Final = 10.0
FEWEST_SCORES: Final = 10

_SECOND: Final = timedelta(seconds=1)
"""Times in a model's files are cut to the second: what it learned from may be up to that much newer."""


@dataclass(frozen=True)
class Live:
    """Logged inputs, in the order of their time: each one's features, and what is known of them all."""

    events: Sequence[Mapping[str, Any]]
    inputs: Inputs


@dataclass(frozen=True)
class Request:
    """What to compare. `vouched`: a person says that neither model learned from the rows, where no time can tell."""

    champion: Loaded
    challenger: Loaded
    mode: Mode = "non-inferior"
    vouched: bool = False


@dataclass(frozen=True)
class _OnLabels:
    """What the labelled rows say; pairs are (champion, challenger)."""

    rows: Rows
    metrics: tuple[Metrics, Metrics]
    slices: tuple[tuple[Slice, ...], tuple[Slice, ...]]
    comparison: Comparison
    scores: NDArray[np.float64]


def compare(
    request: Request, labelled: Dataset, live: Live | None, *, now: datetime, rng: np.random.Generator
) -> ModelComparison:
    """The comparison, with its verdict.

    Raises DataError when nobody can tell which rows a model learned from, NotEnoughDataError when too few rows are
    left to measure anything, ArtifactError when a model can't score.
    """
    champion, challenger = request.champion, request.challenger
    measured = _measured(request, labelled, rng)
    prediction = _predicted(champion, challenger, live)
    found = (
        gates.enough_positives(measured.rows.positives),
        *gates.relative(measured.comparison, *measured.metrics, request.mode),
        own_gates(challenger),
        _scores_differ(measured.scores),
        *_live_gates(prediction, asked=live is not None),
        *gates.slice_recalls(*measured.slices),
    )
    approvals = (*changes(champion, challenger), *(live_prediction.approvals(prediction) if prediction else ()))
    verdict, why = judged(found, approvals)
    return ModelComparison(
        made_at=now,
        mode=request.mode,
        champion=champion.described,
        challenger=challenger.described,
        rows=measured.rows,
        resamples=RESAMPLES,
        champion_metrics=measured.metrics[0],
        challenger_metrics=measured.metrics[1],
        comparison=measured.comparison,
        gates=found,
        prediction=prediction,
        approvals=approvals,
        verdict=verdict,
        why=why,
    )


def judged(found: Iterable[Gate], approvals: Iterable[str]) -> tuple[Verdict, str]:
    """The verdict of gates and of what needs approval, and what it rests on.

    Too little data comes first: other gates would be chance. A gate that was not evaluated holds nothing up.
    """
    failed = {gate.name: gate.detail for gate in found if gate.verdict == "failed"}
    lacking = [name for name in failed if name.startswith("enough ")]
    if lacking:
        return "not enough data", "; ".join(f"{name}: {failed[name]}" for name in lacking)
    if failed:
        return "not good enough", "; ".join(f"{name}: {detail}" for name, detail in failed.items())
    if sentences := tuple(approvals):
        return "needs approval", "; ".join(sentences)
    return "accepted", "every gate that could be evaluated passed, and the expected change is acceptable"


def changes(champion: Loaded, challenger: Loaded) -> tuple[str, ...]:
    """What of the model itself a person has to approve: other columns, or a file of quite another size."""
    found = []
    theirs, ours = set(champion.described.columns), set(challenger.described.columns)
    if theirs != ours:
        new, gone = (", ".join(sorted(each)) or "none" for each in (ours - theirs, theirs - ours))
        found.append(f"other columns than the champion's: {new} new, {gone} gone")
    ratio = challenger.described.booster_bytes / max(1, champion.described.booster_bytes)
    if not 1 / LARGEST_SIZE_RATIO <= ratio <= LARGEST_SIZE_RATIO:
        found.append(f"a file of {ratio:.2f} times the champion's size, beyond a factor of {LARGEST_SIZE_RATIO:g}")
    return tuple(found)


def _measured(request: Request, labelled: Dataset, rng: np.random.Generator) -> _OnLabels:
    fresh, seen, older = _unseen(request, labelled)
    pair = (request.champion, request.challenger)
    answers = [_score(each, event_rows.known_features(fresh)) for each in pair]
    both = np.flatnonzero(~answers[0].refused & ~answers[1].refused)
    rows = fresh.take(both)
    splits.require_classes(rows, "what both models have not learned from")
    resamples = Resamples(rows.entity_codes, rng, RESAMPLES)
    prices = request.challenger.policy.costs  # both by the newer prices, or their costs could not be compared
    theirs, ours = (
        evaluate.scored(rows, Candidate(answer.scores[both], each.policy.model_copy(update={"costs": prices})))
        for each, answer in zip(pair, answers, strict=True)
    )
    (their_metrics, their_drawn), (metrics, drawn) = (
        figures.measure(theirs, resamples),
        figures.measure(ours, resamples),
    )
    first, last = rows.span() or (None, None)
    return _OnLabels(
        rows=Rows(
            given=len(labelled),
            seen=seen,
            older=older,
            refused=len(fresh) - len(rows),
            compared=len(rows),
            positives=rows.positives,
            first=first,
            last=last,
            vouched=request.vouched,
        ),
        metrics=(their_metrics, metrics),
        slices=(
            evaluate.measure_slices(rows, theirs, resamples, None),
            evaluate.measure_slices(rows, ours, resamples, None),
        ),
        comparison=evaluate.compared((metrics, drawn), (their_metrics, their_drawn)),
        scores=ours.scores,
    )


def _scores_differ(scores: NDArray[np.float64]) -> Gate:
    """The gate on scores that hardly differ: a model that says the same of everything."""
    distinct, low, high = len(np.unique(scores)), float(scores.min()), float(scores.max())
    return Gate(
        name="scores that differ",
        verdict="passed" if distinct >= FEWEST_SCORES else "failed",
        detail=f"{distinct:,} different scores from {low:.4f} to {high:.4f}, at least {FEWEST_SCORES} wanted",
        numbers={"distinct": distinct, "low": low, "high": high},
    )


def _unseen(request: Request, labelled: Dataset) -> tuple[Dataset, int, int]:
    """The newest rows that neither has learned from, how many were dropped as seen, and how many as older."""
    if request.vouched:
        fresh = labelled
    else:
        ends = [each.described.learned_until for each in (request.champion, request.challenger)]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends) or not labelled.has_times:
            what = "the rows have no occurred_at" if not labelled.has_times else "a model's data had no times"
            raise DataError(f"{what}: nobody can tell which rows are unseen; vouch for it with --unseen if you know")
        border = np.datetime64((max(known) + _SECOND).replace(tzinfo=None), "us")
        fresh = labelled.take(np.flatnonzero(labelled.times >= border))
        if len(fresh) == 0:
            raise NotEnoughDataError(f"no row is newer than what both models learned from, which ends at {max(known)}")
    order = np.argsort(fresh.times, kind="stable") if fresh.has_times else np.arange(len(fresh))
    return fresh.take(order[-MOST_ROWS:]), len(labelled) - len(fresh), max(0, len(fresh) - MOST_ROWS)


def _predicted(champion: Loaded, challenger: Loaded, live: Live | None) -> Prediction | None:
    if live is None or not live.events:
        return None
    return live_prediction.predict(live.inputs, _score(champion, live.events), _score(challenger, live.events))


def _live_gates(prediction: Prediction | None, *, asked: bool) -> tuple[Gate, ...]:
    if not asked:
        detail = "no logged inputs were given; the shadow will hold for want of a prediction"
        return (Gate(name="enough logged inputs", verdict="not evaluated", detail=detail),)
    enough = live_prediction.enough_inputs(prediction)
    return (enough, live_prediction.accepts_what_is_sent(prediction)) if prediction else (enough,)


def _score(contender: Loaded, events: Iterable[Mapping[str, Any]]) -> Answers:
    try:
        return offline.score(contender.program, events)
    except offline.OfflineError as error:
        raise ArtifactError(f"{contender.described.tag}: {error}") from error
