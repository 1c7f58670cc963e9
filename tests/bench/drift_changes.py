"""What changes in a stream, from the midnight of its day `onset` on: each a function of the events from there on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.bench.drift_events import CHANNELS, NEW_CHANNEL, Events, Stream

FACTOR = 1.5
DEVICE_SHARE = 0.15
NEW_CHANNEL_SHARE = 0.12
LOSABLE = ("amount", "device_risk", "velocity_5m", "account_age_days", "channel")
LOST_SHARE = 0.2
ZEROABLE = ("amount", "velocity_5m", "account_age_days")
ZERO_SHARE = 0.3
SLOW_DAYS = 21
HOLIDAY_DAYS = 7
LOW_TRAFFIC = 300

Change = Callable[[np.random.Generator, Stream, int, Events], Events]
"""(rng, stream, onset, its events from the onset on) to the changed events."""


def nothing(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    return events


def amounts(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """All amounts times FACTOR, as an inflation or another currency would."""
    return events.with_fields(amount=events.fields["amount"] * FACTOR)


def slowly(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """The same, but growing evenly over SLOW_DAYS days."""
    grown = np.minimum(1.0, (events.day - onset + 1) / SLOW_DAYS)
    return events.with_fields(amount=events.fields["amount"] * FACTOR**grown)


def devices(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """DEVICE_SHARE of the payers' known devices seem new: their browser was updated."""
    level, hit = events.fields["device_risk"], _payers(rng, events, DEVICE_SHARE)
    return events.with_fields(device_risk=np.where(hit & (level == 0), 1.0, level))


def new_channel(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """NEW_CHANNEL_SHARE of the payers move from the web to an app that did not exist."""
    channel, hit = events.fields["channel"], _payers(rng, events, NEW_CHANNEL_SHARE)
    moved = hit & np.isin(channel, [CHANNELS.index("online"), CHANNELS.index("in_store")])
    return events.with_fields(channel=np.where(moved, float(NEW_CHANNEL), channel))


def unknown_channel(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """The same payers, by a name that the service does not know: it refuses them."""
    channel, hit = events.fields["channel"], _payers(rng, events, NEW_CHANNEL_SHARE)
    return replace(events, refused=events.refused | (hit & (channel == CHANNELS.index("online"))))


def concept(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """The fields stay as they are; what makes an event a fraud does not."""
    start = int(np.searchsorted(stream.events.day, onset))
    chance = stream.moved[start : start + len(events)]
    return replace(events, label=(rng.random(len(events)) < chance).astype(np.int8))


def losing(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """A producer loses LOST_SHARE of the values of one field."""
    name = LOSABLE[rng.integers(len(LOSABLE))]
    return events.with_fields(**{name: np.where(rng.random(len(events)) < LOST_SHARE, np.nan, events.fields[name])})


def zeroing(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """A producer, through which ZERO_SHARE of the payers come, sends one field as 0."""
    name = ZEROABLE[rng.integers(len(ZEROABLE))]
    return events.with_fields(**{name: np.where(_payers(rng, events, ZERO_SHARE), 0.0, events.fields[name])})


def holiday(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """One week of more and dearer payments, on borrowed devices; then all is as before."""
    inside = events.day < onset + HOLIDAY_DAYS
    level = events.fields["device_risk"]
    borrowed = inside & (level == 0) & (rng.random(len(events)) < 0.06)
    busier = events.with_fields(
        amount=np.where(inside, 1.3 * events.fields["amount"], events.fields["amount"]),
        device_risk=np.where(borrowed, 1.0, level),
    )
    again = np.where(inside & (events.fields["channel"] != CHANNELS.index("recurring")), 2, 1)
    thinned = np.repeat(np.arange(len(events)), again)
    return busier.having(thinned[(again[thinned] == 1) | (rng.random(len(thinned)) < 0.75)])


def few(rng: np.random.Generator, stream: Stream, onset: int, events: Events) -> Events:
    """LOW_TRAFFIC events a day, drawn at random."""
    order = np.lexsort((rng.random(len(events)), events.day))
    place = np.arange(len(events)) - np.searchsorted(events.day, events.day)
    return events.having(np.sort(order[place < LOW_TRAFFIC]))


def _payers(rng: np.random.Generator, events: Events, share: float) -> NDArray[np.bool_]:
    """The events of a random share of the payers: what happens to a payer happens to all that he does."""
    return np.asarray(rng.random(int(events.payer.max()) + 1) < share)[events.payer]
