"""The second reason to retrain: what labels say of a week of the model, against what its evaluation promised. Pure.

The figure is the area under precision and recall, at the evaluation's share of positives (`Counts.pr_auc_at`): a raw
one rises and falls with that share, and with which class is labelled first, whatever the model does.

It is a loss below min(base - 3 sd, .85 base). Both conditions: three standard deviations, so that chance seldom does
it; and 15 %, so that a week with a hundred thousand positives does not call a loss what nobody would feel. `base` is
the evaluation's figure; `sd` that of the difference between the two: the evaluation's own, and the same for a week with
its number of positives (it falls with the square root of that).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

DEVIATIONS: Final = 3.0
LARGEST_SHARE: Final = 0.85
FEWEST_POSITIVES: Final = 100
LEAST_COVERAGE: Final = 0.5
"""Below this share of labelled events the figure is one of those that somebody chose to look at, not of the traffic."""


class Verdict(StrEnum):
    MISSING_DATA = "MISSING_DATA"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    QUALITY_LOSS = "QUALITY_LOSS"
    OK = "OK"


@dataclass(frozen=True)
class Basis:
    """What the evaluation measured: its PR-AUC with the sd over its resamples, on how many positives."""

    pr_auc: float
    sd: float
    positives: int


@dataclass(frozen=True)
class Week:
    """What the window shows. `pr_auc` is at the evaluation's share of positives; None without both classes."""

    events: int
    labelled: int
    positives: int
    pr_auc: float | None

    @property
    def coverage(self) -> float:
        """Share of the events whose label is known."""
        return self.labelled / self.events if self.events else 0.0


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    limit: float | None
    """None: nothing was compared."""
    reason: str


def limit(basis: Basis, positives: int) -> float:
    """Below it, a week with so many positives shows a loss."""
    weekly = basis.sd * sqrt(basis.positives / max(positives, 1))
    return min(basis.pr_auc - DEVIATIONS * sqrt(basis.sd**2 + weekly**2), LARGEST_SHARE * basis.pr_auc)


def judge(week: Week, basis: Basis, fewest: int = FEWEST_POSITIVES, least_coverage: float = LEAST_COVERAGE) -> Judged:
    """The verdict on a week, with a sentence that says what it rests on."""
    if problem := _unjudged(week, fewest, least_coverage):
        return problem
    lowest = limit(basis, week.positives)
    found = f"PR-AUC {week.pr_auc:.4f} on {week.positives:,} positives, {basis.pr_auc:.4f} when it was evaluated"
    if (week.pr_auc or 0.0) < lowest:
        return Judged(Verdict.QUALITY_LOSS, lowest, f"{found}: below the limit of {lowest:.4f}")
    return Judged(Verdict.OK, lowest, f"{found}; the limit is {lowest:.4f}")


def _unjudged(week: Week, fewest: int, least_coverage: float) -> Judged | None:
    if not week.events:
        return Judged(Verdict.MISSING_DATA, None, "the model answered nothing in the window")
    if not week.labelled:
        return Judged(Verdict.MISSING_DATA, None, f"none of {week.events:,} events has a label; import some")
    if week.positives < fewest:
        reason = f"{week.positives:,} labelled positives, {fewest:,} are needed"
    elif week.coverage < least_coverage:
        reason = f"labels cover {week.coverage:.0%} of the events, {least_coverage:.0%} are needed"
    elif week.pr_auc is None:
        reason = "no event is known to be good; see --negatives-after"
    else:
        return None
    return Judged(Verdict.INSUFFICIENT_DATA, None, reason)
