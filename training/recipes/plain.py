"""The recipe `plain`: one rule that a tree model can learn without error."""

from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .window import DAY_MS, Window, as_utc, numbered

COLUMNS: Final = (
    "event_id",
    "entity_id",
    "occurred_at",
    "amount",
    "hour",
    "device_risk",
    "velocity_5m",
    "account_age_days",
    "channel",
    "label",
)
DAYS: Final = 42
"""Six weeks: after the split by time, the newest four weeks still make a whole reference."""

_ROWS_PER_ENTITY: Final = 20
_ACTIVITY_SIGMA: Final = 1.2
"""Log-normal spread of the entities' activity: the busiest tenth makes about half of the events."""

_MISSING_SHARE: Final = 0.03
"""Share of the events whose account age is not known; the same, independently, for the channel."""

_MEDIAN_AGE_DAYS: Final = np.array([600.0, 420.0, 120.0, 60.0, 30.0])
"""Median age of the account where 0, 1, 2, 3 or 4 of the label's conditions hold."""

_AGE_SIGMA: Final = 1.0
_CHANNELS: Final = np.array(["in_store", "recurring", "online", "in_app", "phone", "transfer"], dtype=object)
_CHANNEL_SHARES: Final = np.array(
    [
        [0.34, 0.18, 0.26, 0.16, 0.02, 0.04],
        [0.30, 0.15, 0.29, 0.17, 0.03, 0.06],
        [0.14, 0.06, 0.38, 0.18, 0.08, 0.16],
        [0.08, 0.03, 0.38, 0.17, 0.12, 0.22],
        [0.05, 0.02, 0.36, 0.15, 0.15, 0.27],
    ]
)
"""Shares of the channels (columns as in `_CHANNELS`) where 0 to 4 of the label's conditions hold."""


def plain(rows: int, seed: int, end: datetime, days: int = DAYS) -> pd.DataFrame:
    """Events with one plain rule: the label is 1 where at least two of four conditions hold (about 27 % of them).

    The conditions: amount > 200, device_risk == 2, velocity_5m >= 6, hour 0 to 3. Amounts are exponential with mean
    50, the rest is uniform, and no field depends on another. Account age and channel follow the number of
    conditions that hold, so they carry signal of their own. Entities differ in how active they are, not in risk.
    """
    rng = np.random.default_rng(seed)
    occurred_at = _times(rng, rows, end, days)
    hour = occurred_at.astype("datetime64[h]").astype(np.int64) % 24
    amount = np.round(rng.exponential(50.0, rows), 2)
    device_risk = rng.integers(0, 3, rows)
    velocity_5m = rng.integers(0, 11, rows)
    holding = (amount > 200).astype(np.int64) + (device_risk == 2) + (velocity_5m >= 6) + (hour <= 3)
    columns: dict[str, Any] = {
        "event_id": numbered(f"s{seed}-", np.arange(rows)),
        "entity_id": _entities(rng, rows),
        "occurred_at": as_utc(occurred_at),
        "amount": amount,
        "hour": hour,
        "device_risk": device_risk,
        "velocity_5m": velocity_5m,
        "account_age_days": _account_ages(rng, holding),
        "channel": _channels(rng, holding),
        "label": (holding >= 2).astype(np.int64),
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _times(rng: np.random.Generator, rows: int, end: datetime, days: int) -> NDArray[np.datetime64]:
    """Uniform times in [end - days, end), to the millisecond, in order, as datetime64[ms] in UTC."""
    if rows < 1:
        raise ValueError(f"rows must be at least 1; got {rows}")
    window = Window(end, days)
    before = rng.integers(1, days * DAY_MS, rows, endpoint=True)
    return np.sort(window.moments(window.length - before))


def _entities(rng: np.random.Generator, rows: int) -> NDArray[Any]:
    """One pseudonym a row; how often an entity comes is log-normal."""
    count = max(50, rows // _ROWS_PER_ENTITY)
    reach = np.cumsum(rng.lognormal(0.0, _ACTIVITY_SIGMA, count))
    chosen = np.searchsorted(reach, rng.random(rows) * reach[-1], side="right")
    names: NDArray[Any] = numbered("e-", np.arange(count))[np.minimum(chosen, count - 1)]
    return names


def _account_ages(rng: np.random.Generator, holding: NDArray[np.int64]) -> NDArray[np.float64]:
    """Whole days, log-normal around the median for the number of conditions that hold; NaN where not known."""
    ages = np.floor(_MEDIAN_AGE_DAYS[holding] * rng.lognormal(0.0, _AGE_SIGMA, len(holding)))
    ages[rng.random(len(holding)) < _MISSING_SHARE] = np.nan
    return np.minimum(ages, 30_000.0)


def _channels(rng: np.random.Generator, holding: NDArray[np.int64]) -> NDArray[Any]:
    """A channel a row, drawn with the shares for the number of conditions that hold; None where not known."""
    reach = np.cumsum(_CHANNEL_SHARES, axis=1)[:, :-1]
    chosen = (rng.random(len(holding))[:, None] >= reach[holding]).sum(axis=1)
    channels: NDArray[Any] = _CHANNELS[chosen]
    channels[rng.random(len(holding)) < _MISSING_SHARE] = None
    return channels
