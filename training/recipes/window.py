"""The span of time that a recipe fills, and what its random numbers are drawn from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True)
class Window:
    """The `days` days before `end`. Inside of a recipe a time is an integer: milliseconds since the window's start."""

    end: datetime
    days: int

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError(f"days must be at least 1; got {self.days}")
        if self.end.tzinfo is None:
            raise ValueError(f"the end needs an offset, such as UTC; got {self.end.isoformat()}")

    @property
    def length(self) -> int:
        """In milliseconds."""
        return self.days * DAY_MS

    @property
    def start(self) -> np.datetime64:
        """Its first moment, UTC, as datetime64[ms]."""
        newest = np.datetime64(self.end.astimezone(UTC).replace(tzinfo=None), "ms")
        return newest - np.timedelta64(self.length, "ms")

    def weekdays(self) -> NDArray[np.int64]:
        """The weekday on which each of the days begins; Monday is 0."""
        since_epoch = self.start.astype("datetime64[D]").astype(np.int64) + np.arange(self.days)
        weekdays: NDArray[np.int64] = (since_epoch + 3) % 7  # 1970-01-01 was a Thursday
        return weekdays

    def at(self, day: NDArray[np.int64], clock_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """The moments at these times of day (UTC) in the window's days, counted from 0."""
        midnight = self.start.astype("datetime64[D]").astype("datetime64[ms]")
        began = int((self.start - midnight).astype(np.int64))
        return (day * DAY_MS + clock_ms - began) % self.length

    def since_start(self, moment: datetime) -> int:
        """A moment as milliseconds since the start. Raises ValueError where it lies outside of the window."""
        if moment.tzinfo is None:
            raise ValueError(f"a moment needs an offset, such as UTC; got {moment.isoformat()}")
        given = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ms")
        inside = int((given - self.start).astype(np.int64))
        if not 0 <= inside < self.length:
            raise ValueError(f"{moment.isoformat()} is not in the {self.days} days before {self.end.isoformat()}")
        return inside

    def moments(self, times: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Times as datetime64[ms] in UTC."""
        return self.start + times.astype("timedelta64[ms]")


class Stream(IntEnum):
    """Each thing that is drawn has random numbers of its own, so that a change of one leaves the others as they are."""

    CUSTOMERS = 0
    TRAFFIC = 1
    EPISODES = 2
    FRAUD = 3
    MOVED_FRAUD = 4
    MISSING = 5
    LABELS = 6
    DRIFT = 7
    NAMES = 8

    def generator(self, seed: int) -> np.random.Generator:
        """The random generator of this stream."""
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(self),)))


def numbered(prefix: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
    """Names such as e-007, all of one length."""
    digits = len(str(int(numbers.max(initial=0))))
    return np.array([f"{prefix}{number:0{digits}d}" for number in numbers.tolist()], dtype=object)


def as_utc(times: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    """Times in UTC as pandas has them."""
    return pd.DatetimeIndex(times).tz_localize(UTC)
