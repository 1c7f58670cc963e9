"""Fairness floors: no slice may fall far behind the whole in what is caught, nor far beyond it in who is troubled.

A floor that doesn't hold is reported, not refused: slices such as a device's risk level differ by nature, and only a
person can say which difference is unjust. What a slice says needs enough rows of the class.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from monitoring.evaluation import Floor, Metrics, Slice

RECALL_SLACK: Final = 0.10
"""A slice's recall may be this much below the whole's: one more positive in ten missed is what people notice."""

FALSE_POSITIVE_SLACK: Final = 0.05
"""A slice's share of flagged negatives may be this much above the whole's: one more good customer in twenty."""

FEWEST: Final = 100
"""Positives (for recall) or negatives (for false positives) without which a slice is not judged: at 100, a recall's
standard error is at most .05."""


def check(whole: Metrics, slices: Iterable[Slice]) -> tuple[Floor, ...]:
    """Both floors of every slice."""
    return tuple(floor for each in slices for floor in _of(whole, each))


def _of(whole: Metrics, part: Slice) -> Iterator[Floor]:
    limit = round(whole.recall.value - RECALL_SLACK, 6)
    enough = part.recall is not None and part.positives >= FEWEST
    yield Floor(
        field=part.field,
        band=part.band,
        figure="recall",
        value=part.recall,
        limit=limit,
        held=part.recall.value >= limit if enough and part.recall else None,
        clear=bool(enough and part.recall and part.recall.high < limit),
    )
    ceiling = round(whole.false_positive_share.value + FALSE_POSITIVE_SLACK, 6)
    troubled = part.false_positive_share
    enough = troubled is not None and part.rows - part.positives >= FEWEST
    yield Floor(
        field=part.field,
        band=part.band,
        figure="false_positive_share",
        value=troubled,
        limit=ceiling,
        held=troubled.value <= ceiling if enough and troubled else None,
        clear=bool(enough and troubled and troubled.low > ceiling),
    )
