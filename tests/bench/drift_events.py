"""The events of one stream of the drift bench: fields, losses of values, labels and when they become known.

A visit is some events of a payer within minutes. Amounts are log-normal around a payer's scale with a Pareto tail;
recurring payments gather at the beginning of the month; what a producer loses varies from day to day. Whether an event
is fraud depends on the fields by `_odds`, and on `_moved_odds` after the change of concept.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bentos.risk_scorer.events import FEATURES
from tests.bench.drift_people import EVENTS_A_DAY, Calendar, Floats, Ints, People, calendar, people

CHANNELS = next(field.categories for field in FEATURES if field.name == "channel")
NEW_CHANNEL = CHANNELS.index("in_app")
SHARES = {"in_store": 0.46, "online": 0.36, "recurring": 0.1, "transfer": 0.055, "phone": 0.008}
"""Nobody uses the new channel before it comes; phone is rare."""
HABIT = 4.0
DUE = {1: 1.7, 2: 1.2, 15: 1.35}
"""How many more recurring payments there are on these days of the month."""

VISIT_SIZE = 1.25
PROGRAM_VISIT_SIZE = 5.0
GAP_SECONDS = 60.0
FIVE_MINUTES = 300.0

AMOUNT, BETWEEN, WITHIN = 24.0, 0.75, 0.8
TAIL_SHARE, TAIL_EXPONENT = 0.03, 1.7
PAYDAY_AMOUNTS = np.array([1.15, 1.1, 1.04, 1.0])
WEEKEND_AMOUNTS = 1.06
CHANNEL_AMOUNTS = {"in_store": 0.9, "online": 1.1, "in_app": 1.0, "phone": 1.4, "recurring": 0.55, "transfer": 4.0}
CAMPAIGN_DISCOUNT = 0.85
PRICES = np.array([4.99, 9.99, 14.99, 19.99, 29.99, 49.99, 99.99])
PRICED_SHARE = 0.15

NEW_DEVICE, SUSPICIOUS_DEVICE = 0.07, 0.018
LOST = {"amount": 0.002, "device_risk": 0.02, "velocity_5m": 0.01, "account_age_days": 0.035, "channel": 0.006}
LOST_SPREAD = 0.45
"""Share of missing values, and the log-normal spread of it from day to day."""

REFUSED = 0.003

FRAUD = 0.016
FRAUD_SPREAD = 0.2
MOVED_SHARE = 0.85
"""Share of the frauds, of one expected number, that follow the other odds after the change of concept."""
LABEL_DAYS, LATE_SHARE, LATE_DAYS = 1.0, 0.12, 12.0

_HOURS = np.array([3, 2, 1, 1, 1, 3, 8, 16, 22, 24, 25, 27, 33, 30, 26, 25, 27, 33, 38, 36, 30, 22, 13, 6], dtype=float)
_LATE_HOURS = np.array([9, 7, 5, 3, 2, 2, 3, 6, 12, 20, 27, 32, 34, 33, 31, 30, 29, 30, 31, 30, 27, 24, 19, 13], float)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Events:
    """Events in the order of their days, an array each. Fields are floats, NaN where missing; channel is a code."""

    day: Ints
    payer: Ints
    fields: dict[str, Floats]
    label: NDArray[np.int8]
    known: Floats
    """Day (with its fraction) on which the label becomes known."""
    refused: Mask
    """Requests that were answered with 4xx: counted, but neither scored nor stored with values."""

    def __len__(self) -> int:
        return len(self.day)

    def having(self, rows: Mask | slice | Ints) -> Self:
        """Some of the events."""
        fields = {name: values[rows] for name, values in self.fields.items()}
        return replace(
            self,
            day=self.day[rows],
            payer=self.payer[rows],
            fields=fields,
            label=self.label[rows],
            known=self.known[rows],
            refused=self.refused[rows],
        )

    def days(self, first: int, end: int) -> Self:
        """The events of the days from `first` to before `end`."""
        return self.having(slice(*np.searchsorted(self.day, [first, end])))

    def with_fields(self, **changed: Floats) -> Self:
        return replace(self, fields=self.fields | changed)


@dataclass(frozen=True)
class Stream:
    """A stream's days, payers and events, and the chance of fraud of each event by either relation."""

    when: Calendar
    events: Events
    chance: Floats
    moved: Floats
    """The same after the change of concept, which follows other fields."""


def stream(rng: np.random.Generator, events_a_day: float = EVENTS_A_DAY, unrest: float = 1.0) -> Stream:
    """One stream of DAYS days, each random number from `rng`."""
    when = calendar(rng, unrest)
    who = people(rng, when, events_a_day, VISIT_SIZE, unrest)
    visits, payer, day = _visits(rng, who)
    clean = _fields(rng, when, who, visits, payer, day)
    risk = rng.normal(0, 0.8, len(who))[payer]
    wave = rng.lognormal(0, FRAUD_SPREAD, len(when.weekday))[day]
    usual = _chances(_odds(clean) + risk, wave)
    chance, moved = usual, (1 - MOVED_SHARE) * usual + MOVED_SHARE * _chances(_moved_odds(clean) + risk, wave)
    label = (rng.random(len(day)) < chance).astype(np.int8)
    known = day + rng.random(len(day)) + _delay(rng, len(day))
    events = Events(day, payer, _lossy(rng, day, clean), label, known, rng.random(len(day)) < REFUSED)
    return Stream(when, events, chance, moved)


def _visits(rng: np.random.Generator, who: People) -> tuple[Ints, Ints, Ints]:
    """For each event the number of its visit, its payer and its day, by days."""
    size = np.where(who.program, PROGRAM_VISIT_SIZE, VISIT_SIZE)
    rate = np.where(who.program[:, None], who.visits * VISIT_SIZE / PROGRAM_VISIT_SIZE, who.visits)
    counts = rng.poisson(rate).T
    day, payer = np.nonzero(counts)
    many = counts[day, payer]
    day, payer = np.repeat(day, many), np.repeat(payer, many)
    events = rng.geometric(1 / size[payer])
    visit = np.repeat(np.arange(len(payer)), events)
    return visit, payer[visit], day[visit]


def _fields(
    rng: np.random.Generator, when: Calendar, who: People, visit: Ints, payer: Ints, day: Ints
) -> dict[str, Floats]:
    """Every field of every event, none missing."""
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    channel = _channels(rng, when, len(who), payer[first], day[first])[visit]
    return {
        "amount": _amounts(rng, when, who, payer, day, channel),
        "hour": _hours(rng, when, day[first])[visit],
        "device_risk": _devices(rng, len(who), payer[first], channel[first])[visit],
        "velocity_5m": _velocity(rng, first, visit),
        "account_age_days": np.maximum(0.0, np.floor(day - who.opened[payer])),
        "channel": channel.astype(np.float64),
    }


def _channels(rng: np.random.Generator, when: Calendar, count: int, payer: Ints, day: Ints) -> Ints:
    """The channel of each visit: payers have habits, and recurring payments fall due."""
    mean = np.array([SHARES.get(name, 0.0) for name in CHANNELS])
    likes = rng.standard_gamma(HABIT * mean, (count, len(CHANNELS))) + 1e-12 * (mean > 0)
    weights = likes[payer]
    due = np.array([DUE.get(int(each), 1.0) for each in when.month_day])
    weights[:, CHANNELS.index("recurring")] *= due[day]
    weights[:, CHANNELS.index("online")] *= when.campaign[day]
    reach = np.cumsum(weights, axis=1)
    return np.asarray((rng.random(len(payer)) * reach[:, -1])[:, None] >= reach[:, :-1]).sum(axis=1)


def _amounts(rng: np.random.Generator, when: Calendar, who: People, payer: Ints, day: Ints, channel: Ints) -> Floats:
    scale = AMOUNT * rng.lognormal(0, BETWEEN, len(who))
    scale[who.program] *= 0.3
    spread = np.where(who.program, 0.2, WITHIN)
    amount = scale[payer] * np.exp(spread[payer] * rng.standard_normal(len(payer)))
    amount *= np.array([CHANNEL_AMOUNTS[name] for name in CHANNELS])[channel]
    by_day = when.amounts * PAYDAY_AMOUNTS[np.minimum(when.since_payday, 3)]
    amount *= (by_day * np.where(when.weekend, WEEKEND_AMOUNTS, 1.0))[day]
    amount[(channel == CHANNELS.index("online")) & (when.campaign[day] > 1)] *= CAMPAIGN_DISCOUNT
    tail = rng.random(len(payer)) < TAIL_SHARE
    amount[tail] *= 1 + rng.pareto(TAIL_EXPONENT, int(tail.sum()))
    priced = rng.random(len(payer)) < PRICED_SHARE
    nearest = PRICES[np.abs(np.log(amount[priced])[:, None] - np.log(PRICES)).argmin(axis=1)]
    amount[priced] = nearest
    return np.maximum(0.01, np.round(amount, 2))


def _hours(rng: np.random.Generator, when: Calendar, day: Ints) -> Floats:
    shapes = np.cumsum(np.stack([_HOURS / _HOURS.sum(), _LATE_HOURS / _LATE_HOURS.sum()]), axis=1)
    chance, late = rng.random(len(day)), when.weekend[day]
    hour = np.where(late, np.searchsorted(shapes[1], chance), np.searchsorted(shapes[0], chance))
    return np.minimum(hour, 23).astype(np.float64)


def _devices(rng: np.random.Generator, count: int, payer: Ints, channel: Ints) -> Floats:
    """Level of each visit: a few payers look suspicious mostly, a shop's terminal is known."""
    private = rng.random(count) < 0.015
    chance = rng.random(len(payer))
    suspicious = np.where(private[payer], 0.6, SUSPICIOUS_DEVICE)
    level = np.where(chance < suspicious, 2.0, np.where(chance < suspicious + NEW_DEVICE, 1.0, 0.0))
    return np.where(channel == CHANNELS.index("in_store"), 0.0, level)


def _velocity(rng: np.random.Generator, first: Ints, visit: Ints) -> Floats:
    """Events of the same visit in the five minutes before each."""
    gaps = np.cumsum(rng.exponential(GAP_SECONDS, len(visit)))
    since = gaps - gaps[first][visit]
    far = float(since.max(initial=0)) + 2 * FIVE_MINUTES  # visits can't see each other
    at = visit * far + since
    return np.asarray(np.arange(len(visit)) - np.searchsorted(at, at - FIVE_MINUTES), dtype=np.float64)


def _odds(field: dict[str, Floats]) -> Floats:
    """Log-odds of fraud, up to a constant."""
    channel = field["channel"].astype(np.int64)
    by_channel = {"online": 0.7, "in_app": 0.5, "transfer": 1.1, "phone": 0.9, "recurring": -1.5}
    return np.asarray(
        np.array([0.0, 2.0, 3.8])[field["device_risk"].astype(np.int64)]
        + 0.5 * np.minimum(field["velocity_5m"], 6)
        + 0.6 * np.log(field["amount"] / AMOUNT)
        - 0.35 * np.log1p(field["account_age_days"])
        + 0.9 * (field["hour"] < 6)
        + np.array([by_channel.get(name, 0.0) for name in CHANNELS])[channel]
    )


def _moved_odds(field: dict[str, Floats]) -> Floats:
    """Another relation: old accounts on known devices, taken over and used by day for ordinary sums."""
    channel = field["channel"].astype(np.int64)
    by_channel = {"recurring": 1.0, "in_store": 1.2, "transfer": 0.3}
    return np.asarray(
        -0.6 * field["device_risk"]
        - 0.3 * np.minimum(field["velocity_5m"], 6)
        - 0.3 * np.abs(np.log(field["amount"] / AMOUNT))
        + 0.35 * np.log1p(field["account_age_days"])
        + np.array([by_channel.get(name, 0.0) for name in CHANNELS])[channel]
    )


def _chances(odds: Floats, wave: Floats) -> Floats:
    """Chances of these log-odds, moved so that FRAUD of the events are expected to be fraud before the days' waves."""
    sample = odds[:: max(1, len(odds) // 20_000)]
    low, high = -25.0, 10.0
    for _ in range(30):
        middle = (low + high) / 2
        mean = float((1 / (1 + np.exp(-(sample + middle)))).mean())
        low, high = (low, middle) if mean > FRAUD else (middle, high)
    return np.asarray(np.minimum(1.0, wave / (1 + np.exp(-(odds + low)))))


def _lossy(rng: np.random.Generator, day: Ints, clean: dict[str, Floats]) -> dict[str, Floats]:
    """The fields as they arrive: some values lost, more on some days than on others."""
    days = int(day.max()) + 1
    arrived = {}
    for name, values in clean.items():
        shares = LOST.get(name, 0.0) * rng.lognormal(0, LOST_SPREAD, days)
        arrived[name] = np.where(rng.random(len(day)) < shares[day], np.nan, values)
    return arrived


def _delay(rng: np.random.Generator, count: int) -> Floats:
    """Days until a label is known: most within three, some after weeks."""
    late = rng.random(count) < LATE_SHARE
    return np.where(late, 2 + rng.exponential(LATE_DAYS, count), rng.exponential(LABEL_DAYS, count))
