"""Events scored away from any server: what this code and this model would have answered to each.

Used to compare two Bentos on the same events, each by its own code in its own process. Input and output are JSON
lines, so that neither side needs to know the other's classes.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from pydantic import ValidationError

from . import features
from .events import FEATURES, Event
from .scorer import Scorer

T = TypeVar("T")
_CHUNK: Final = 10_000
_UNKNOWN: Final = dict.fromkeys(field.name for field in FEATURES)


def answers(scorer: Scorer, lines: Iterable[str]) -> Iterator[str]:
    """For each line, the JSON of `[score, decision]`, or `null` where the event would have been refused.

    A line is a JSON object of an event's features as the prediction log keeps them: one that is absent is not known.
    Scores are those of a live answer to the last bit.
    """
    for chunk in _chunks(lines, _CHUNK):
        rows = [_row(json.loads(line)) for line in chunk]
        kept = [row for row in rows if row is not None]
        scores = iter(scorer.score_matrix(np.array(kept)).tolist() if kept else [])
        for row in rows:
            if row is None:
                yield "null"
            else:
                score = next(scores)
                yield json.dumps([score, scorer.policy.decide(score)])


def _row(fields: dict[str, Any]) -> list[float] | None:
    """The event as a row of the matrix; None when this code refuses it."""
    try:
        return features.row(Event.model_validate(_UNKNOWN | fields))
    except ValidationError:
        return None


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
