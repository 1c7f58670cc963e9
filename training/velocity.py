"""How many events an entity had shortly before each of its events: `velocity_5m`, counted from a history."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW: Final = np.timedelta64(5, "m")


def counts(
    entities: NDArray[np.int64], times: NDArray[np.datetime64], window: np.timedelta64 = WINDOW
) -> NDArray[np.int64]:
    """For each event, the number of the same entity's events in [its time - window, its time).

    `entities` are codes >= 0, one a row; rows may stand in any order. Events of the same moment do not count each
    other. Takes O(n log n): times become ranks, so that an entity's span is two places in one sorted array.
    """
    ordered = np.sort(times)
    width = len(times) + 1
    now = np.searchsorted(ordered, times, side="left")
    since = np.searchsorted(ordered, times - window, side="left")
    keys = np.sort(entities * width + now)
    first, past = (np.searchsorted(keys, entities * width + rank, side="left") for rank in (since, now))
    found: NDArray[np.int64] = (past - first).astype(np.int64)
    return found
