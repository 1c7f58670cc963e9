"""How much of what was answered has a label, by day and by decision, and what a person should know of that. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from .label_delays import Delays
from .matured import Count

ENOUGH: Final = 100
"""Events that a decision needs to be compared with another."""
UNEVEN: Final = 2.0
"""Coverage, or speed of labels, that differs by this factor is said aloud."""


class Coverage(BaseModel):
    """Events, and those of them whose label is known: of a day, or of a decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    events: int
    labelled: int
    positives: int

    @property
    def share(self) -> float:
        return self.labelled / self.events if self.events else 0.0


def coverage(counts: Sequence[Count], name: Callable[[Count], str]) -> tuple[Coverage, ...]:
    """Counts under the names that they get, in the names' order."""
    events: Counter[str] = Counter()
    known: Counter[str] = Counter()
    positives: Counter[str] = Counter()
    for each in counts:
        events[name(each)] += each.events
        known[name(each)] += each.events if each.label is not None else 0
        positives[name(each)] += each.events if each.label == 1 else 0
    return tuple(
        Coverage(name=each, events=events[each], labelled=known[each], positives=positives[each])
        for each in sorted(events)
    )


def notes(decisions: Sequence[Coverage], days: Sequence[Coverage], delays: Delays) -> Iterator[str]:
    """What a person should know of the labels, one sentence each."""
    yield from _feedback(decisions)
    yield from _early_class(delays)
    yield from _still_coming(days)


def _feedback(decisions: Sequence[Coverage]) -> Iterator[str]:
    seen = [each for each in decisions if each.events >= ENOUGH]
    most = max(seen, key=lambda each: each.share, default=None)
    least = min(seen, key=lambda each: each.share, default=None)
    if most and least and most.share > UNEVEN * least.share:
        yield (
            f"labels cover {most.share:.0%} of '{most.name}' and {least.share:.0%} of '{least.name}': what the model "
            "decides changes what is known of it, and every figure here is about the labelled events alone"
        )


def _early_class(delays: Delays) -> Iterator[str]:
    """One class that is known earlier makes young events look worse, or better, than they are."""
    told = [(each.hours, each.positives_among) for each in delays.by_age if each.positives_among]
    shares = [share for _, share in told if share]
    if told and max(shares) > UNEVEN * min(shares):
        (first, early), (last, late) = told[0], told[-1]
        yield (
            f"of the labels known after {first} h {early:.1%} are positive, after {last} h {late:.1%}: one class is "
            "known earlier, so cost, precision and calibration are biased; the judged PR-AUC is not moved by that"
        )


def _still_coming(days: Sequence[Coverage]) -> Iterator[str]:
    if len(days) > 1 and days[-1].share < days[0].share / UNEVEN:
        yield (
            f"labels cover {days[0].share:.0%} of {days[0].name} and {days[-1].share:.0%} of {days[-1].name}: they "
            "still come in; raise --matures"
        )
