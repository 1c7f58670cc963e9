"""Events while a recipe makes them: one array a column."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Made:
    """Events: `time` in ms since the window's start, `entity` a number, `channel` a place in CHANNELS."""

    time: NDArray[np.int64]
    entity: NDArray[np.int64]
    amount: NDArray[np.float64]
    device: NDArray[np.float64]
    """0, 1, 2, or NaN where it can't be told."""

    channel: NDArray[np.int64]
    fraud: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)

    def having(self, **columns: NDArray[Any]) -> "Made":
        """The same events with other columns."""
        return dataclasses.replace(self, **columns)

    def where(self, chosen: NDArray[np.bool_], other: "Made") -> "Made":
        """These events, and in the rows that are not chosen those of `other`."""
        return Made(
            *(np.where(chosen, mine, theirs) for mine, theirs in zip(_columns(self), _columns(other), strict=True))
        )

    def in_order(self) -> "Made":
        """The events from the oldest to the newest."""
        order = np.argsort(self.time, kind="stable")
        return Made(*(column[order] for column in _columns(self)))


def together(one: Made, other: Made) -> Made:
    """The events of both."""
    return Made(*(np.concatenate(pair) for pair in zip(_columns(one), _columns(other), strict=True)))


def none() -> Made:
    """No events."""
    whole, real = np.empty(0, dtype=np.int64), np.empty(0)
    return Made(time=whole, entity=whole, amount=real, device=real, channel=whole, fraud=np.empty(0, dtype=bool))


def _columns(made: Made) -> list[NDArray[Any]]:
    return [getattr(made, each.name) for each in dataclasses.fields(made)]
