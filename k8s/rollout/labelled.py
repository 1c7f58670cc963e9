"""The label gate: is the candidate's PR-AUC worse, now that labels are known? Pure; looks are given.

A look is a paired bootstrap over entities of the difference candidate - stable on the same labelled requests. Its sd is
about .023 / .014 / .008 at 100 / 300 / 1,000 positives: that is why a margin needs positives. Looking K times at
alpha/K and beta/K each keeps alpha and beta (Bonferroni); looks that were not planned don't count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from k8s.rollout.answers import GateNumbers, GateState
from k8s.rollout.plan import FEWEST_POSITIVES, Plan

MARGINS: Final = ((1000, 0.02), (FEWEST_POSITIVES, 0.03))
"""From so many positives on, a difference of so much is seen."""


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look. Differences are candidate - stable, in PR-AUC."""

    number: int
    """From 1 on."""
    positives: int
    difference: float
    lower: float
    """The difference is below it with probability beta/K at most: see `level`."""
    upper: float
    """The difference is above it with probability alpha/K at most."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What labels say so far: the looks that were made, and the labelled pairs that there are by now."""

    looks: tuple[Look, ...] = ()
    pairs: int = 0
    positives: int = 0
    problem: str = ""
    """Why they can't be read now; what was looked at before stays known."""


def level(error: float, looks: int) -> float:
    """The error that one of so many planned looks may make. Raises ValueError when none is planned."""
    if looks < 1:
        raise ValueError(f"{looks} looks are planned; expected 1 at least")
    return error / looks


def margin(positives: int) -> float | None:
    """The loss of PR-AUC that so many positives can exclude; None: they are too few for any."""
    return next((margin for fewest, margin in MARGINS if positives >= fewest), None)


def due(planned: Sequence[int], positives: int, made: Sequence[Look]) -> int | None:
    """Number of the look that is due: the last one whose positives are there; None when it, or a later one, was made.

    Of looks that became due at once only the last is made: its bounds are the narrowest.
    """
    number = sum(positives >= fewest for fewest in planned)
    return number if number > max((look.number for look in made), default=0) else None


def label_gate(labelled: Labelled, planned: Sequence[int]) -> GateNumbers:
    """'failed' once any planned look shows a loss; 'ok' when the last one excludes the margin; 'not evaluated' before.

    Without labels the gate is not evaluated, and shown as such: it never lets anything pass by being silent.
    `planned`: the positives at which it is looked, rising.
    """
    looks = labelled.looks
    counted = [look for look in looks if 1 <= look.number <= len(planned) and margin(look.positives) is not None]
    if worse := next((look for look in counted if look.upper < 0), None):
        return _numbers(worse, planned, "failed")
    if counted and counted[-1].lower > -(margin(counted[-1].positives) or 0.0):
        return _numbers(counted[-1], planned, "ok")
    if counted:
        return _numbers(counted[-1], planned, "gathering")
    return _not_evaluated(labelled, planned)


def judged(labelled: Labelled | None, plan: Plan) -> GateNumbers | None:
    """The gate's answer; None where the plan has no looks, or there is nothing to look at."""
    return label_gate(labelled, plan.labels.looks) if labelled is not None and plan.labels is not None else None


def missing(labels: GateNumbers | None, plan: Plan) -> str:
    """Why the plan's labels hold a rollout, as a sentence; empty when they don't. Without a gate nobody looks."""
    if labels is None or labels.state == "ok" or not plan.requires_labels:
        return ""
    return f"The plan requires labels: {labels.detail}."


def shown_loss(labels: GateNumbers | None) -> str:
    """What the labels show, when they show that the candidate is worse; else empty."""
    return f"labels show that it ranks worse: {labels.detail}" if labels and labels.state == "failed" else ""


def _not_evaluated(labelled: Labelled, planned: Sequence[int]) -> GateNumbers:
    detail, found = "no labels yet", labelled.positives
    if labelled.problem:
        detail = labelled.problem
    elif labelled.pairs:
        detail = f"{found} positives among {labelled.pairs} labelled pairs, {planned[0]} are needed"
    missing = float(planned[0] - found) if found < planned[0] else None
    return GateNumbers("labels", "not evaluated", detail, missing_units=missing)


def _numbers(look: Look, planned: Sequence[int], state: GateState) -> GateNumbers:
    detail = (
        f"PR-AUC {look.difference:+.4f} ({look.lower:+.4f} to {look.upper:+.4f}) at {look.positives} positives, "
        f"look {look.number} of {len(planned)}"
    )
    counts = (("positives", float(look.positives)), ("difference", look.difference))
    following = planned[look.number :]
    missing = float(following[0] - look.positives) if state == "gathering" and following else None
    return GateNumbers("labels", state, detail, counts=counts, missing_units=missing)
