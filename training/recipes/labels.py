"""What a shop gets to know of the truth: a label, when it knows it, and whether a person looked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import log_normal
from .made import Made
from .parameters import CHANNELS, Labels
from .window import DAY_MS, HOUR_MS

_FAST, _LARGE, _YOUNG_DAYS, _YOUNG_AMOUNT = 3, 250.0, 7.0, 80.0
_FARAWAY = tuple(CHANNELS.index(name) for name in ("online", "transfer", "phone"))


@dataclass(frozen=True)
class Recorded:
    """For each event its label, when it was known (ms since the window's start), and whether a person reviewed it."""

    label: NDArray[np.int8]
    known: NDArray[np.int64]
    reviewed: NDArray[np.int8]


def suspected(made: Made, velocity: NDArray[np.int64], age_days: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which events the rules of old send to a person: where two of four signs meet."""
    signs = (
        velocity >= _FAST,
        (made.device > 0) | np.isnan(made.device),
        (made.amount > _LARGE) & np.isin(made.channel, _FARAWAY),
        (age_days < _YOUNG_DAYS) & (made.amount > _YOUNG_AMOUNT),
    )
    found: NDArray[np.bool_] = np.sum(signs, axis=0) >= 2
    return found


def recorded(rng: np.random.Generator, settings: Labels, made: Made, suspicious: NDArray[np.bool_]) -> Recorded:
    """The labels of events: a review's verdict, else a victim's report, else silence, which counts as honest."""
    count = len(made)
    sampled = rng.random(count) < settings.random_review_share
    reviewed = sampled | (suspicious & (rng.random(count) < settings.review_most))
    wrong = rng.random(count) < settings.review_error
    heard = rng.random(count)
    reported = np.where(made.fraud, heard >= settings.unreported_share, heard < settings.false_report_share)
    verdict = log_normal(rng, settings.review_hours, settings.review_sigma, count) * HOUR_MS
    report = log_normal(rng, settings.report_days, settings.report_sigma, count) * DAY_MS
    silence = np.full(count, settings.silence_days * DAY_MS)
    delay = np.where(reviewed, verdict, np.where(reported, report, silence))
    return Recorded(
        label=np.where(reviewed, made.fraud ^ wrong, reported).astype(np.int8),
        known=made.time + np.minimum(delay, settings.most_days * DAY_MS).astype(np.int64),
        reviewed=reviewed.astype(np.int8),
    )
