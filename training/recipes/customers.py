"""Honest customers, and what they do when all is well."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import channel_weights, chosen, chosen_by_row, log_normal, runs, since_first
from .made import Made
from .parameters import CHANNELS, Customers
from .window import DAY_MS, HOUR_MS, Window

_IN_STORE = CHANNELS.index("in_store")


@dataclass(frozen=True)
class Population:
    """The customers, an array each."""

    activity: NDArray[np.float64]
    scale: NDArray[np.float64]
    """Median amount of each, before the channel's factor."""

    opened: NDArray[np.int64]
    """When the account was opened, in ms since the window's start; mostly before it."""

    guest: NDArray[np.bool_]
    private: NDArray[np.bool_]
    session_mean: NDArray[np.float64]
    later_ms: NDArray[np.int64]
    """How much later than the others each comes."""

    channels: NDArray[np.float64]
    """Share of each channel of CHANNELS, shape (customers, channels)."""

    def __len__(self) -> int:
        return len(self.scale)


def population(rng: np.random.Generator, settings: Customers, count: int, window: Window) -> Population:
    """Customers with habits of their own."""
    frequent = rng.random(count) < settings.frequent_share
    scale = log_normal(rng, settings.amount_median, settings.amount_sigma_between, count)
    later = rng.normal(0.0, settings.habit_hours, count)
    later += settings.night_hours * (rng.random(count) < settings.night_share)
    opened = _opened(rng, settings, count, window)
    left = 1.0 - np.maximum(opened, 0) / window.length
    likes = rng.standard_gamma(settings.channel_habit * channel_weights(settings.channels), (count, len(CHANNELS)))
    return Population(
        activity=left * log_normal(rng, 1.0, settings.activity_sigma, count),
        scale=np.where(frequent, settings.frequent_amount_factor * scale, scale),
        opened=opened,
        guest=rng.random(count) < settings.guest_share,
        private=rng.random(count) < settings.privacy_share,
        session_mean=np.where(frequent, settings.frequent_session_mean, settings.session_mean),
        later_ms=np.round(later * HOUR_MS).astype(np.int64),
        channels=likes / likes.sum(axis=1, keepdims=True),
    )


def ordinary(rng: np.random.Generator, settings: Customers, people: Population, count: int, window: Window) -> Made:
    """`count` honest events: sessions of one customer, device and channel each."""
    # A frequent customer's session has more events, so he has fewer sessions: activity counts events.
    who = chosen(rng, people.activity / people.session_mean, count)
    session, first = runs(rng, people.session_mean[who], count, count)
    begins = np.flatnonzero(first)
    number = np.cumsum(first) - 1
    who = who[session[begins]]
    start = _starts(rng, settings, people, who, window)
    channel = chosen_by_row(rng, people.channels[who])
    device = _devices(rng, settings, people, who, start, channel)
    gaps = rng.exponential(settings.gap_seconds * 1000.0, count)
    entity, channel = who[number], channel[number]
    factor = channel_weights(settings.amount_by_channel)[channel]
    return Made(
        # What runs past the end stands still there: far less than one event in ten thousand.
        time=np.minimum(start[number] + since_first(gaps, first).astype(np.int64), window.length - 1),
        entity=entity,
        amount=log_normal(rng, people.scale[entity] * factor, settings.amount_sigma_within, count),
        device=device[number],
        channel=channel,
        fraud=np.zeros(count, dtype=bool),
    )


def _opened(rng: np.random.Generator, settings: Customers, count: int, window: Window) -> NDArray[np.int64]:
    """When the accounts were opened; those inside of the window at the beginning of a day."""
    opened = np.floor(window.length - rng.exponential(settings.age_mean_days * DAY_MS, count)).astype(np.int64)
    return np.where(opened > 0, opened // DAY_MS * DAY_MS, opened)


def _starts(
    rng: np.random.Generator, settings: Customers, people: Population, who: NDArray[np.int64], window: Window
) -> NDArray[np.int64]:
    """When each session begins: by weekday and hour, by the customer's habit, and never before he joined."""
    days = np.array(settings.weekday_weights)[window.weekdays()] * rng.lognormal(0.0, settings.day_sigma, window.days)
    place = chosen(rng, np.outer(days, settings.hour_weights).ravel(), len(who))
    day, hour = np.divmod(place, len(settings.hour_weights))
    clock = (hour * HOUR_MS + rng.integers(0, HOUR_MS, len(who)) + people.later_ms[who]) % DAY_MS
    joined = np.maximum(people.opened[who], 0) // DAY_MS
    day = joined + day * (window.days - joined) // window.days  # squeezed into the days since he joined
    return np.maximum(window.at(day, clock), people.opened[who])


def _devices(
    rng: np.random.Generator,
    settings: Customers,
    people: Population,
    who: NDArray[np.int64],
    start: NDArray[np.int64],
    channel: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Risk of each session's device. In a store the terminal is the device, and it is known."""
    age_days = (start - people.opened[who]) / DAY_MS
    at_first = settings.new_device_share_at_first * np.exp(-age_days / settings.new_device_days)
    suspicious = np.where(people.private[who], settings.privacy_suspicious_share, settings.suspicious_device_share)
    chance = rng.random(len(who))
    new = chance < suspicious + settings.new_device_share + at_first
    risk = np.where(chance < suspicious, 2.0, np.where(new, 1.0, 0.0))
    return np.where(channel == _IN_STORE, 0.0, risk)
