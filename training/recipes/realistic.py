"""The recipe `realistic`: customers with habits, fraud in episodes, labels that come late; on demand, drift."""

from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import velocity

from . import labels
from .customers import ordinary, population
from .drift import Drift, DriftKind, changed
from .fraud import Moved, fraudulent
from .made import Made, together
from .parameters import CHANNELS, Missing, Realistic
from .plain import COLUMNS as PLAIN_COLUMNS
from .plain import DAYS
from .window import DAY_MS, Stream, Window, as_utc, numbered

COLUMNS: Final = (*PLAIN_COLUMNS, "label_known_at", "reviewed")
_FEWEST_CUSTOMERS: Final = 50
_CENT: Final = 0.01


def realistic(  # keyword-only beyond what every recipe takes
    rows: int,
    seed: int,
    end: datetime,
    days: int = DAYS,
    *,
    drift: Drift | None = None,
    settings: Realistic | None = None,
) -> pd.DataFrame:
    """Events like those of a shop with customers and fraud; `parameters.py` has every assumption and its reason.

    Hours are UTC. `velocity_5m` is the count of the entity's events in the five minutes before. `label_known_at` says
    when the label was known, and `reviewed` is 1 where a person looked: only there, and where the label is 1, has
    anyone confirmed it. With drift the rows before its start are the same, to the last bit, as without.

    Raises ValueError for fewer than one row or day, an end without an offset, and a drift that starts outside.
    """
    settings = settings or Realistic()
    if rows < 1:
        raise ValueError(f"rows must be at least 1; got {rows}")
    window = Window(end, days)
    starts = window.since_start(drift.starts) if drift else 0
    made, opened, guests = _all_events(rows, seed, settings, window, _moved(drift, starts))
    if drift:
        made = changed(made, drift.kind, drift.size, starts, Stream.DRIFT.generator(seed))
    return _table(made, opened, guests, seed, settings, window)


def _moved(drift: Drift | None, starts: int) -> Moved | None:
    return Moved(starts, drift.size) if drift and drift.kind is DriftKind.CONCEPT else None


def _all_events(
    rows: int, seed: int, settings: Realistic, window: Window, moved: Moved | None
) -> tuple[Made, NDArray[np.int64], NDArray[np.bool_]]:
    """All events in order; for each entity, when its account was opened and whether it never logs in."""
    count = max(_FEWEST_CUSTOMERS, round(rows / settings.customers.events_each))
    people = population(Stream.CUSTOMERS.generator(seed), settings.customers, count, window)
    bad = round(settings.fraud_share * rows)
    good = ordinary(Stream.TRAFFIC.generator(seed), settings.customers, people, rows - bad, window)
    fraud, opened = fraudulent(seed, settings, people, bad, window, moved)
    guests = np.concatenate([people.guest, np.zeros(len(opened) - count, dtype=bool)])
    return together(good, fraud).in_order(), opened, guests


def _table(
    made: Made,
    opened: NDArray[np.int64],
    guests: NDArray[np.bool_],
    seed: int,
    settings: Realistic,
    window: Window,
) -> pd.DataFrame:
    moments = window.moments(made.time)
    fast = velocity.counts(made.entity, moments)
    age = np.floor((made.time - opened[made.entity]) / DAY_MS)
    suspicious = labels.suspected(made, fast, age)
    known = labels.recorded(Stream.LABELS.generator(seed), settings.labels, made, suspicious)
    lost = _losses(Stream.MISSING.generator(seed), settings.missing, len(made))
    names = numbered("e-", Stream.NAMES.generator(seed).permutation(len(opened)))
    channels = np.array([*CHANNELS, None], dtype=object)
    columns: dict[str, Any] = {
        "event_id": numbered(f"s{seed}-", np.arange(len(made))),
        "entity_id": names[made.entity],
        "occurred_at": as_utc(moments),
        "amount": np.where(lost["amount"], np.nan, np.maximum(np.round(made.amount, 2), _CENT)),
        "hour": moments.astype("datetime64[h]").astype(np.int64) % 24,
        "device_risk": np.where(lost["device_risk"], np.nan, made.device),
        "velocity_5m": np.where(lost["velocity_5m"], np.nan, fast),
        "account_age_days": np.where(lost["account_age_days"] | guests[made.entity], np.nan, age),
        "channel": channels[np.where(lost["channel"], len(CHANNELS), made.channel)],
        "label": known.label.astype(np.int64),
        "label_known_at": as_utc(window.moments(known.known)),
        "reviewed": known.reviewed.astype(np.int64),
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _losses(rng: np.random.Generator, settings: Missing, count: int) -> dict[str, NDArray[np.bool_]]:
    """For each field, the rows that lose it."""
    return {name: rng.random(count) < share for name, share in vars(settings).items()}
