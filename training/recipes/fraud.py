"""Episodes of fraud: on accounts that were taken over, and on accounts that were opened for it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .customers import Population
from .draws import channel_weights, chosen, clock, log_normal, runs, since_first
from .made import Made, none, together
from .parameters import FraudPattern, Realistic
from .window import DAY_MS, HOUR_MS, Stream, Window

_UNDER_LIMIT: Final = 0.08
_NIGHT: Final = (1.0, 1.0, 1.0, 1.0, 1.0)
_RING_AGE_SIGMA: Final = 1.0


@dataclass(frozen=True)
class Moved:
    """From `starts` on (ms since the window's start), this share of the new episodes follows the moved pattern."""

    starts: int
    share: float


@dataclass(frozen=True)
class _Episodes:
    """The episodes of one pattern, whatever happens in them: an array an episode, and two an event."""

    day: NDArray[np.int64]
    entity: NDArray[np.int64]
    victim: NDArray[np.int64]
    """The customer to whom it happens when it moves; `entity` is the same one, or an account of a ring."""

    chance: NDArray[np.float64]
    """Uniform: the episodes below the share are those that move."""

    of_event: NDArray[np.int64]
    first: NDArray[np.bool_]


def fraudulent(
    seed: int, settings: Realistic, people: Population, count: int, window: Window, moved: Moved | None
) -> tuple[Made, NDArray[np.int64]]:
    """`count` fraudulent events, and when the accounts were opened that are numbered on from the customers."""
    made, opened = none(), people.opened
    plan, draw, other = (stream.generator(seed) for stream in (Stream.EPISODES, Stream.FRAUD, Stream.MOVED_FRAUD))
    for pattern, size in zip(settings.patterns, _sizes(settings.patterns, count), strict=True):
        episodes = _episodes(plan, pattern, people, size, window, first_account=len(opened))
        start = _starts(draw, settings, pattern, episodes, window)
        events = _events(draw, pattern, episodes, episodes.entity, start, window)
        if moved is not None:
            again = np.maximum(_starts(other, settings, settings.moved_pattern, episodes, window), moved.starts)
            instead = _events(other, settings.moved_pattern, episodes, episodes.victim, again, window)
            moves = (start >= moved.starts) & (episodes.chance < moved.share)
            events = instead.where(moves[episodes.of_event], events)
        made = together(made, events)
        if pattern.accounts_in_ring:
            age = log_normal(plan, pattern.age_median_days, _RING_AGE_SIGMA, len(start)) * DAY_MS
            opened = np.concatenate([opened, start - age.astype(np.int64)])
    return made, opened


def _sizes(patterns: tuple[FraudPattern, ...], count: int) -> list[int]:
    """Events of each pattern; together exactly `count`."""
    reach = np.round(np.cumsum([0.0, *(pattern.share for pattern in patterns)]) * count).astype(int)
    sizes: list[int] = np.diff(reach).tolist()
    return sizes


def _episodes(
    rng: np.random.Generator, pattern: FraudPattern, people: Population, count: int, window: Window, first_account: int
) -> _Episodes:
    run, first = runs(rng, pattern.mean_size, count, count)
    episodes = int(first.sum())
    settled = np.flatnonzero(people.opened <= 0)
    victim = settled[rng.integers(0, len(settled), episodes)]
    ring = np.arange(episodes) // max(pattern.accounts_in_ring, 1)
    return _Episodes(
        day=rng.integers(0, window.days, episodes)[ring],
        entity=first_account + np.arange(episodes) if pattern.accounts_in_ring else victim,
        victim=victim,
        chance=rng.random(episodes),
        of_event=run,
        first=first,
    )


def _starts(
    rng: np.random.Generator, settings: Realistic, pattern: FraudPattern, episodes: _Episodes, window: Window
) -> NDArray[np.int64]:
    """When each episode begins; the accounts of a ring strike together."""
    count = len(episodes.day)
    ring = np.arange(count) // max(pattern.accounts_in_ring, 1)
    by_night = (rng.random(count) < pattern.night_share)[ring]
    day_clock = clock(rng, settings.customers.hour_weights, count)[ring]
    start = window.at(episodes.day, np.where(by_night, clock(rng, _NIGHT, count)[ring], day_clock))
    if pattern.accounts_in_ring:
        start = start + rng.exponential(pattern.ring_hours * HOUR_MS, count).astype(np.int64)
    return _folded(start, window)


def _events(
    rng: np.random.Generator,
    pattern: FraudPattern,
    episodes: _Episodes,
    entity: NDArray[np.int64],
    start: NDArray[np.int64],
    window: Window,
) -> Made:
    """The events of the episodes, as the pattern has them."""
    event, count = episodes.of_event, len(episodes.of_event)
    gaps = rng.exponential(pattern.gap_seconds * 1000.0, count)
    time = _folded(start[event] + since_first(gaps, episodes.first).astype(np.int64), window)
    return Made(
        time=np.maximum(time, start[event]),
        entity=entity[event],
        amount=_amounts(rng, pattern, episodes),
        device=_devices(rng, pattern, len(start))[event],
        channel=chosen(rng, channel_weights(pattern.channels), len(start))[event],
        fraud=np.ones(count, dtype=bool),
    )


def _amounts(rng: np.random.Generator, pattern: FraudPattern, episodes: _Episodes) -> NDArray[np.float64]:
    count = len(episodes.of_event)
    amount = log_normal(rng, pattern.amount_median, pattern.amount_sigma, count)
    if pattern.limits:
        limit = np.array(pattern.limits)[rng.integers(0, len(pattern.limits), count)]
        amount = limit * (1.0 - _UNDER_LIMIT * rng.random(count))
    probes = (rng.random(len(episodes.day)) < pattern.probe_share)[episodes.of_event] & episodes.first
    return np.where(probes, pattern.probe_below * (1.0 - rng.random(count)), amount)


def _devices(rng: np.random.Generator, pattern: FraudPattern, count: int) -> NDArray[np.float64]:
    hidden = rng.random(count) < pattern.hidden_device_share
    return np.where(hidden, np.nan, chosen(rng, pattern.devices, count).astype(np.float64))


def _folded(time: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """Times with what lies beyond the window's end mirrored back into it."""
    mirrored = 2 * window.length - 1 - time
    return np.where(time < window.length, time, np.clip(mirrored, 0, window.length - 1))
