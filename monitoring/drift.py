"""Counts of a day to a verdict: does the live data still look like what the stable model was made with?

Pure: `calibrated(reference)` learns from the reference's own days how far a day is from the days of other weeks, and
`judge(window, baseline)` compares a day with it. The verdicts, in the order in which they are tried:

    MISSING_DATA       no row at all
    INSUFFICIENT_DATA  fewer than 500 rows
    DATA_FAULT         a share of missing, unseen or refused values is above the reference's worst day by a margin
    DRIFT              the PSI of a watched field, of the score or of the decision is above its threshold
    OK

A data fault hides drift, on purpose: a broken producer must be repaired, and must never become training data.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from bentos.risk_scorer.reference import Reference, ReferenceField

EMPTY: Final = 1e-4
"""A share below this counts as this in a PSI: an empty bin has a logarithm, and one row of ten million in it says no
more than none. The zero-bin epsilon of Evidently is the same, but for empty bins alone."""

LEAST_THRESHOLD: Final = 0.05
"""No PSI below this is drift, however alike the reference's days are."""

WEEK: Final = 7
"""Fewer reference days than this have not seen the rhythm of a week; then `CUSTOMARY` is the least threshold."""

CUSTOMARY: Final = 0.25
"""The PSI that credit scoring calls a significant shift (Siddiqi, 2006): for a reference without days of its own."""

LEAST_ROWS: Final = 500
"""A window with fewer is not judged."""

LEAST_MARGIN: Final = 0.02
MARGIN: Final = 0.5
"""A share is a fault above the reference's worst day + max(LEAST_MARGIN, MARGIN x that day)."""

_SURPRISE: Final = 3.719
"""Standard normal quantile of 1 - 1e-4: how improbable a PSI must be without drift."""


class Verdict(StrEnum):
    """What a day is, from 'nothing can be said' to 'nothing has changed'."""

    MISSING_DATA = "MISSING_DATA"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    DATA_FAULT = "DATA_FAULT"
    DRIFT = "DRIFT"
    OK = "OK"


class State(StrEnum):
    """What one field of a day is. `MISSING` and `UNSEEN` are faults; `UNJUDGED` has no value on one of the sides."""

    MISSING = "missing"
    UNSEEN = "unseen"
    DRIFT = "drift"
    OK = "ok"
    UNJUDGED = "unjudged"


_FAULTS: Final = (State.MISSING, State.UNSEEN)


@dataclass(frozen=True)
class FieldCounts:
    """One field's values in a window: those in each bin of the reference, and those in none.

    `bins` has the length and the order of the reference's bins; any sequence of whole numbers will do. `refused` is
    for information: how many refused requests had something wrong in this field.
    """

    bins: Sequence[int]
    missing: int = 0
    unseen: int = 0
    refused: int = 0

    @property
    def known(self) -> int:
        return int(sum(self.bins))

    @property
    def rows(self) -> int:
        return self.known + self.missing + self.unseen


@dataclass(frozen=True)
class Window:
    """A whole UTC day: its rows of stable and canary, and their fields (`score` and `decision` among them).

    `rows` and `refused` are all there were, also where the fields were counted on a sample. `late_rows` came during
    this window, for days that were closed by then; they are in no verdict.
    """

    day: date
    rows: int
    fields: Mapping[str, FieldCounts] = field(default_factory=dict)
    refused: int = 0
    late_rows: int = 0


@dataclass(frozen=True)
class FieldBaseline:
    """What one field is compared with. `psis` are the reference's days, each against the other half, oldest first.

    `threshold` is None where the reference has no values: there is nothing to compare with.
    """

    name: str
    counts: tuple[int, ...]
    psis: tuple[float, ...]
    threshold: float | None
    missing_limit: float
    unseen_limit: float

    @property
    def known(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Baseline:
    """What days are compared with: each watched field of the reference, the score, and the decision."""

    fields: tuple[FieldBaseline, ...]
    refused_limit: float


@dataclass(frozen=True)
class FieldReport:
    """One field of a judged day. Shares are of the field's rows, `psi` of its known values; None: nothing to compare.

    `threshold` is the one that this day's PSI was held against: calibrated, or higher for a day with few values.
    """

    name: str
    state: State
    psi: float | None
    threshold: float | None
    rows: int
    missing_share: float
    missing_limit: float
    unseen_share: float
    unseen_limit: float
    refused: int


@dataclass(frozen=True)
class Report:
    """A judged day: the verdict, why in a sentence, and every field's numbers."""

    day: date
    verdict: Verdict
    reason: str
    rows: int
    late_rows: int
    refused: int
    refused_share: float
    refused_limit: float
    fields: tuple[FieldReport, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the fields whose PSI is above its threshold, the furthest first."""
        found = [each for each in self.fields if each.state is State.DRIFT]
        return tuple(each.name for each in sorted(found, key=_excess, reverse=True))


def calibrated(reference: Reference) -> Baseline:
    """What the reference's own days say about how far a day may be from the others, and still be one of them."""
    return Baseline(
        fields=tuple(_field_baseline(name, each) for name, each in reference.fields.items()),
        refused_limit=_limit(0.0),
    )


def judge(window: Window, baseline: Baseline) -> Report:
    """The verdict on a window. A field that the window lacks has no rows there, and is not judged."""
    none = FieldCounts(())
    fields = tuple(_judge_field(window.fields.get(each.name, none), each) for each in baseline.fields)
    refused_share = _share(window.refused, window.rows + window.refused)
    verdict, reason = _verdict(window, fields, refused_share, baseline.refused_limit)
    return Report(
        day=window.day,
        verdict=verdict,
        reason=reason,
        rows=window.rows,
        late_rows=window.late_rows,
        refused=window.refused,
        refused_share=refused_share,
        refused_limit=baseline.refused_limit,
        fields=fields,
    )


def psi(counts: Sequence[int], expected: Sequence[int]) -> float:
    """The population stability index of two histograms over the same bins: sum of (p - q) ln(p / q).

    Symmetric, 0 or more, and indifferent to how many values there are. Both must have some.
    """
    index = 0.0
    for p, q in zip(_shares(counts), _shares(expected), strict=True):
        index += (p - q) * math.log(p / q)
    return index


def _shares(counts: Sequence[int]) -> list[float]:
    """The bins' shares, none below `EMPTY`, and together 1 again."""
    total = float(sum(counts))
    shares = [max(float(count) / total, EMPTY) for count in counts]
    whole = sum(shares)
    return [share / whole for share in shares]


def sampling_noise(known: int, expected: int, bins: int) -> float:
    """The PSI that two samples of one distribution exceed once in ten thousand times: (1/n + 1/m) chi2(bins - 1).

    A window of 500 values in 10 bins is beyond 0.05 now and then by chance alone; from about 700 on this is below
    `LEAST_THRESHOLD`, and says nothing any more.
    """
    if bins < 2 or known == 0 or expected == 0:
        return 0.0
    return (1 / known + 1 / expected) * (bins - 1) * _surprising(bins - 1)


def _surprising(freedom: int) -> float:
    """How many times its mean a chi2 is once in ten thousand times (Wilson and Hilferty, 1931)."""
    spread = 2 / (9 * freedom)
    return float((1 - spread + _SURPRISE * math.sqrt(spread)) ** 3)


def _field_baseline(name: str, reference: ReferenceField) -> FieldBaseline:
    """A day without any value of the field tells nothing about it: for the score, one that the model learned from."""
    days = [day for day in reference.daily if sum(day)]
    counts = tuple(sum(column) for column in zip(*reference.daily, strict=True))
    psis = tuple(_each_against_the_other_half(days))
    missing = max((_share(none, none + sum(day)) for day, none in _days(reference)), default=0.0)
    return FieldBaseline(
        name=name,
        counts=counts,
        psis=psis,
        threshold=_threshold(psis, sum(1 for count in counts if count)) if days else None,
        missing_limit=_limit(missing),
        unseen_limit=_limit(0.0),
    )


def _days(reference: ReferenceField) -> Iterator[tuple[tuple[int, ...], int]]:
    return zip(reference.daily, reference.missing, strict=True)


def _each_against_the_other_half(days: Sequence[Sequence[int]]) -> Iterator[float]:
    """A day is as far from the other half as a live day may be from the reference: neighbouring days share payers."""
    middle = len(days) // 2
    earlier, later = days[:middle], days[middle:]
    if earlier:
        for half, other in ((earlier, later), (later, earlier)):
            total = [sum(column) for column in zip(*other, strict=True)]
            yield from (psi(day, total) for day in half)


def _threshold(psis: Sequence[float], bins: int) -> float:
    """max(.05, largest, what a chi2 with their mean exceeds once in ten thousand times) of the reference's own days.

    PSIs of days without drift are about a multiple of chi2(bins - 1); the multiple is more than sampling says, as one
    payer's events are alike, and is taken from the days (as Rao and Scott, 1981, correct a chi2 test for clusters). At
    least the customary mark for less than a week.
    """
    least = LEAST_THRESHOLD if len(psis) >= WEEK else CUSTOMARY
    if len(psis) < 2 or bins < 2:
        return least
    return max(least, statistics.fmean(psis) * _surprising(bins - 1), *psis)


def _limit(worst: float) -> float:
    return worst + max(LEAST_MARGIN, MARGIN * worst)


def _judge_field(counts: FieldCounts, baseline: FieldBaseline) -> FieldReport:
    known, rows = counts.known, counts.rows
    index, threshold = None, baseline.threshold
    if known and threshold is not None:
        index = psi(counts.bins, baseline.counts)
        filled = sum(1 for count in baseline.counts if count)
        threshold = max(threshold, sampling_noise(known, baseline.known, filled))
    missing_share, unseen_share = _share(counts.missing, rows), _share(counts.unseen, rows)
    state = State.OK
    if missing_share > baseline.missing_limit:
        state = State.MISSING
    elif unseen_share > baseline.unseen_limit:
        state = State.UNSEEN
    elif index is None or threshold is None:
        state = State.UNJUDGED
    elif index > threshold:
        state = State.DRIFT
    return FieldReport(
        name=baseline.name,
        state=state,
        psi=index,
        threshold=threshold,
        rows=rows,
        missing_share=missing_share,
        missing_limit=baseline.missing_limit,
        unseen_share=unseen_share,
        unseen_limit=baseline.unseen_limit,
        refused=counts.refused,
    )


def _verdict(
    window: Window, fields: Sequence[FieldReport], refused_share: float, refused_limit: float
) -> tuple[Verdict, str]:
    if window.rows == 0:
        return Verdict.MISSING_DATA, _without_rows(window)
    if window.rows < LEAST_ROWS:
        return Verdict.INSUFFICIENT_DATA, f"{window.rows} rows; a day needs {LEAST_ROWS}"
    if faults := list(_faults(fields, refused_share, refused_limit)):
        return Verdict.DATA_FAULT, "; ".join(faults)
    drifted = sorted((each for each in fields if each.state is State.DRIFT), key=_excess, reverse=True)
    if drifted:
        return Verdict.DRIFT, "; ".join(
            f"{each.name}: PSI {each.psi:.3f}, above {each.threshold:.3f}" for each in drifted
        )
    return Verdict.OK, "every field is within its threshold"


def _without_rows(window: Window) -> str:
    return f"no row was scored, {window.refused} were refused" if window.refused else "no row was scored"


def _faults(fields: Sequence[FieldReport], refused_share: float, refused_limit: float) -> Iterator[str]:
    """What is wrong with the data, a clause each."""
    if refused_share > refused_limit:
        worst = max(fields, key=lambda each: each.refused, default=None)
        named = f", mostly for {worst.name}" if worst is not None and worst.refused else ""
        yield f"{refused_share:.1%} of the requests were refused{named}, above {refused_limit:.1%}"
    for each in fields:
        if each.state is State.MISSING:
            yield f"{each.name}: {each.missing_share:.1%} missing, above {each.missing_limit:.1%}"
        elif each.state is State.UNSEEN:
            yield f"{each.name}: {each.unseen_share:.1%} unseen values, above {each.unseen_limit:.1%}"


def _excess(report: FieldReport) -> float:
    """How many times its threshold a field's PSI is."""
    return (report.psi or 0.0) / (report.threshold or 1.0)


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
