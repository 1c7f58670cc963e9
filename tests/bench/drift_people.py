"""Who the payers of the drift bench are, and when each of them comes: days are not independent of each other.

Nothing here is taken from `training.recipes`, with which the rule's thresholds were found. Payers have spans (most
long, some short), come and go in spells, differ in how busy they are by a Pareto law, and a few programs that pay by
themselves switch on for some days. Traffic has weekdays, pay-days, a slow growth and correlated noise of single days.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REFERENCE_DAYS = 28
LIVE_DAYS = 42
DAYS = REFERENCE_DAYS + LIVE_DAYS
EVENTS_A_DAY = 6000

PAYERS_PER_EVENT = 1.5
SPANS = (40.0, 900.0)
SHORT_SHARE = 0.22
BIRTH_SURPLUS = 1.2
TAIL = 1.6
BUSIEST = 0.012
"""Pareto exponent of how busy payers are; the busiest makes at most this share of a day."""

PROGRAMS = 8
PROGRAM_SHARE = (0.002, 0.012)
PROGRAM_DAYS = (3, 25)
SPELL_ON, SPELL_OFF = 9.0, 5.0

WEEKDAYS = np.array([1.02, 0.97, 0.95, 0.98, 1.1, 1.16, 0.82])
WEEKEND_TASTE = 0.5
GROWTH_A_DAY = 0.002
DAY_NOISE, DAY_MEMORY = 0.06, 0.5
AMOUNT_NOISE = 0.03
CAMPAIGN_STARTS, CAMPAIGN_DAYS = 0.05, 1.8
CAMPAIGN_LIFT = 0.5
"""Days on which the web shop sells more: chance that one begins, its mean length, and how much more it sells."""
PAYDAYS = (1, 25)
PAYDAY_TRAFFIC = np.array([1.22, 1.15, 1.07])
"""Traffic on a pay-day and the two days after it."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Calendar:
    """The days of a stream: weekday (0 is Monday), day of the month, days since the last pay-day, each day's noise of
    traffic and of amounts (factors around 1), and what a campaign adds to sales on the web (a factor, mostly 1)."""

    weekday: Ints
    month_day: Ints
    since_payday: Ints
    traffic: Floats
    amounts: Floats
    campaign: Floats

    @property
    def weekend(self) -> NDArray[np.bool_]:
        return self.weekday >= 5


@dataclass(frozen=True)
class People:
    """The payers: an array each, and the expected number of their visits on each day (payers, days)."""

    opened: Floats
    """Day on which the account was opened, 0 the stream's first; mostly long before."""
    program: NDArray[np.bool_]
    visits: Floats

    def __len__(self) -> int:
        return len(self.opened)


def calendar(rng: np.random.Generator, unrest: float = 1.0, days: int = DAYS) -> Calendar:
    """Days from a random date on; `unrest` times as much noise of single days, and so much larger campaigns."""
    first = np.datetime64("2025-01-01") + int(rng.integers(0, 365))
    dates = first + np.arange(days)
    month_day = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    since = np.min([(month_day - payday) % 31 for payday in PAYDAYS], axis=0)
    return Calendar(
        weekday=(dates.astype(np.int64) + 3) % 7,
        month_day=month_day,
        since_payday=since,
        traffic=np.exp(_remembering(rng, days, DAY_NOISE * unrest)),
        amounts=np.exp(_remembering(rng, days, AMOUNT_NOISE * unrest)),
        campaign=1 + CAMPAIGN_LIFT * unrest * _campaigns(rng, days),
    )


def _campaigns(rng: np.random.Generator, days: int) -> NDArray[np.bool_]:
    """The days that are in a campaign."""
    begins = rng.random(days) < CAMPAIGN_STARTS
    lasts = rng.geometric(1 / CAMPAIGN_DAYS, days)
    ends = np.where(begins, np.arange(days) + lasts, 0)
    return np.asarray(np.maximum.accumulate(ends) > np.arange(days))


def _remembering(rng: np.random.Generator, days: int, spread: float) -> Floats:
    """Normal noise of single days, each correlated with the one before by DAY_MEMORY."""
    noise, value = np.empty(days), rng.normal(0, spread)
    for day, step in enumerate(rng.normal(0, spread * np.sqrt(1 - DAY_MEMORY**2), days)):
        value = DAY_MEMORY * value + step
        noise[day] = value
    return noise


def people(
    rng: np.random.Generator, when: Calendar, events_a_day: float, visit_size: float, unrest: float = 1.0
) -> People:
    """Payers who make about `events_a_day`, in visits of a mean of `visit_size` events."""
    days = len(when.weekday)
    opened, begins, ends = _spans(rng, days, int(PAYERS_PER_EVENT * events_a_day))
    busy = np.minimum(rng.pareto(TAIL, len(opened)) + 0.2, BUSIEST * 2 * events_a_day / visit_size)
    here = (np.arange(days) >= begins[:, None]) & (np.arange(days) < ends[:, None])
    taste = rng.normal(0, WEEKEND_TASTE, len(opened))
    visits = busy[:, None] * here * _spells(rng, len(opened), days)
    visits *= np.where(when.weekend, np.exp(taste)[:, None], 1.0)
    ordinary = visits.sum(0).mean()
    wanted = _wanted(when, events_a_day) / visit_size
    visits *= (wanted / ordinary)[None, :]
    programs = unrest * _programs(rng, days, wanted)
    return People(
        opened=np.concatenate([opened, rng.uniform(-400, 0, PROGRAMS)]),
        program=np.arange(len(opened) + PROGRAMS) >= len(opened),
        visits=np.concatenate([np.minimum(visits, BUSIEST * wanted), programs]),
    )


def _wanted(when: Calendar, events_a_day: float) -> Floats:
    """Expected events on each day."""
    pay = np.append(PAYDAY_TRAFFIC, 1.0)[np.minimum(when.since_payday, len(PAYDAY_TRAFFIC))]
    growth = (1 + GROWTH_A_DAY) ** np.arange(len(when.weekday))
    return np.asarray(events_a_day * WEEKDAYS[when.weekday] * pay * growth * when.traffic)


def _spans(rng: np.random.Generator, days: int, alive: int) -> tuple[Floats, Floats, Floats]:
    """When accounts were opened, and from when to when each pays: those there at first in their equilibrium, then
    births at the rate that keeps it (and a little more)."""
    opened, begins, ends = [], [], []
    for span, share in zip(SPANS, (SHORT_SHARE, 1 - SHORT_SHARE), strict=True):
        there = int(share * alive)
        births = rng.poisson(BIRTH_SURPLUS * there / span * days)
        born = np.sort(rng.integers(0, days, births)).astype(np.float64)
        opened += [-rng.exponential(span, there), born]
        begins += [np.zeros(there), born]
        ends += [rng.exponential(span, there), born + rng.exponential(span, births)]
    return np.concatenate(opened), np.concatenate(begins), np.ceil(np.concatenate(ends))


def _spells(rng: np.random.Generator, count: int, days: int) -> NDArray[np.bool_]:
    """Whether each payer is in a spell of paying on each day: spells last SPELL_ON days on average."""
    on = rng.random(count) < SPELL_ON / (SPELL_ON + SPELL_OFF)
    chance = rng.random((days, count))
    spells = np.empty((days, count), dtype=bool)
    for day in range(days):
        on = np.where(on, chance[day] >= 1 / SPELL_ON, chance[day] < 1 / SPELL_OFF)
        spells[day] = on
    return spells.T


def _programs(rng: np.random.Generator, days: int, wanted: Floats) -> Floats:
    """Visits of programs: each is on for some days in a row, and then makes its share of the day."""
    begins = rng.integers(-PROGRAM_DAYS[1], days, PROGRAMS)
    ends = begins + rng.integers(*PROGRAM_DAYS, PROGRAMS)
    share = np.exp(rng.uniform(*np.log(PROGRAM_SHARE), PROGRAMS))
    on = (np.arange(days) >= begins[:, None]) & (np.arange(days) < ends[:, None])
    return np.asarray(on * share[:, None] * wanted)
