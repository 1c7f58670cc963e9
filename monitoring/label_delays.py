"""How long labels take, told from events of which many have none yet. Pure.

An event without a label is not one that never gets any: it was only watched for as long as it is old. Leaving it out
would make labels look fast, because the slow ones are not there yet. So each event counts as waiting for as long as
it was watched, and the share labelled by an age is that of Aalen and Johansen (1978), in hours, with a positive and a
negative label as the two ways in which waiting ends. Where nothing was watched for so long, nothing is said.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = (0.5, 0.9, 0.99)
AGES: Final = (24, 72, 168, 336, 720)
"""Hours: 1, 3, 7, 14 and 30 days."""

FEWEST: Final = 50
"""Events that must have been watched up to an age, for anything to be said of it."""


class Waited(NamedTuple):
    """Events that waited for so many whole hours: until their label (0 or 1), or, without one (None), until now."""

    label: int | None
    hours: int
    events: int


@dataclass(frozen=True)
class Labelled:
    """Shares of all events that have a label by an age: of each class."""

    hours: int
    positive: float
    negative: float

    @property
    def share(self) -> float:
        return self.positive + self.negative

    @property
    def positives_among(self) -> float | None:
        """Share of positives among the labels by then. Where it changes with age, one class is known earlier."""
        return self.positive / self.share if self.share > 0 else None


@dataclass(frozen=True)
class Delays:
    """`quantiles`: hours by which that share of all events has a label; None: not as far as was watched."""

    watched_hours: int
    """The greatest age that can be told of."""
    quantiles: tuple[tuple[float, int | None], ...]
    by_age: tuple[Labelled, ...]


def delays(waited: Iterable[Waited]) -> Delays:
    """The delays that these events show; `watched_hours` is 0 when they are too few for any."""
    positive, negative, open_ = _by_hour(waited)
    total = positive + negative + open_
    at_risk = total[::-1].cumsum()[::-1]
    told = int((at_risk >= FEWEST).sum())  # falls from hour to hour
    by_hour = _incidence(positive[:told], negative[:told], at_risk[:told])
    share = by_hour.sum(axis=0)
    return Delays(
        watched_hours=told,
        quantiles=tuple((each, _first(share >= each)) for each in QUANTILES),
        by_age=tuple(
            Labelled(age, float(by_hour[0, age - 1]), float(by_hour[1, age - 1])) for age in AGES if age <= told
        ),
    )


def _by_hour(waited: Iterable[Waited]) -> NDArray[np.float64]:
    """Events by how their waiting ended (positive, negative, still open) and the hour in which it did."""
    found = list(waited)
    table = np.zeros((3, 1 + max((each.hours for each in found), default=0)))
    for each in found:
        row = 2 if each.label is None else 1 - each.label
        table[row, each.hours] += each.events
    return table


def _incidence(
    positive: NDArray[np.float64], negative: NDArray[np.float64], at_risk: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares labelled positive and negative by the end of each hour, shape (2, hours)."""
    waiting = np.cumprod(1 - (positive + negative) / at_risk)
    before = np.concatenate([[1.0], waiting[:-1]])[: len(at_risk)]
    return np.cumsum(np.stack([positive, negative]) / at_risk * before, axis=1)


def _first(reached: NDArray[np.bool_]) -> int | None:
    """The hours at the end of the first hour in which it is reached."""
    return int(reached.argmax()) + 1 if reached.any() else None
