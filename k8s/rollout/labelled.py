"""The label gate: is the candidate's PR-AUC worse, now that labels are known? Pure; looks are given.

A look is a paired bootstrap over entities of the difference candidate - stable on the same labelled requests. Its sd is
about .023 / .014 / .008 at 100 / 300 / 1,000 positives: that is why a margin needs positives. Looking K times at
alpha/K each keeps alpha (Bonferroni); looks that were not planned don't count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from k8s.rollout.answers import GateNumbers

MARGINS: Final = ((1000, 0.02), (300, 0.03))
"""From so many positives on, a difference of so much is seen."""
FEWEST_POSITIVES: Final = MARGINS[-1][0]


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look. Differences are candidate - stable, in PR-AUC."""

    number: int
    """From 1 on."""
    positives: int
    difference: float
    lower: float
    """The difference is below it with probability beta at most."""
    upper: float
    """The difference is above it with probability alpha/K at most: see `level`."""


def level(alpha: float, looks: int) -> float:
    """The error that one of so many planned looks may make. Raises ValueError when none is planned."""
    if looks < 1:
        raise ValueError(f"{looks} looks are planned; expected 1 at least")
    return alpha / looks


def margin(positives: int) -> float | None:
    """The loss of PR-AUC that so many positives can exclude; None: they are too few for any."""
    return next((margin for fewest, margin in MARGINS if positives >= fewest), None)


def label_gate(looks: Sequence[Look], planned: int) -> GateNumbers:
    """'failed' once any planned look shows a loss; 'ok' when the last one excludes the margin; 'not evaluated' before.

    Without labels the gate is not evaluated, and shown as such: it never lets anything pass by being silent.
    """
    counted = [look for look in looks if 1 <= look.number <= planned and margin(look.positives) is not None]
    if worse := next((look for look in counted if look.upper < 0), None):
        return _numbers(worse, planned, "failed")
    if counted and counted[-1].lower > -(margin(counted[-1].positives) or 0.0):
        return _numbers(counted[-1], planned, "ok")
    if counted:
        return _numbers(counted[-1], planned, "gathering")
    positives = max((look.positives for look in looks), default=0)
    missing = f"{positives} labelled positives, {FEWEST_POSITIVES} are needed" if positives else "no labels yet"
    return GateNumbers("labels", "not evaluated", missing, missing_units=float(FEWEST_POSITIVES - positives))


def _numbers(look: Look, planned: int, state: str) -> GateNumbers:
    detail = (
        f"PR-AUC {look.difference:+.4f} ({look.lower:+.4f} to {look.upper:+.4f}) at {look.positives} positives, "
        f"look {look.number} of {planned}"
    )
    counts = (("positives", float(look.positives)), ("difference", look.difference))
    if state == "failed":
        return GateNumbers("labels", "failed", detail, counts=counts)
    wanted = next((fewest for fewest, _ in reversed(MARGINS) if fewest > look.positives), None)
    missing = None if state == "ok" or wanted is None else float(wanted - look.positives)
    return GateNumbers("labels", "ok" if state == "ok" else "gathering", detail, counts=counts, missing_units=missing)
