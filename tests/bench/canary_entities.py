"""A/A streams made of entities: busy and quiet ones, errors and flags in runs of one entity, one broken client.

Who is affected when does not depend on the arm when both run the same model, so an hour is drawn once, cut into the
bins of the hash between the steps' weights, and an arm's counts at any weight are the sum of its bins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.blocks import UNKNOWN_NOISE, NoiseFloor

EDGES = (0.05, 0.25, 0.5)
ENTITIES_PER_RPS = 200
RUN = 5.0
BROKEN = 0.015
STALLED = 0.03
SLICES = 20
FEWEST_EVENTS = 200
FIELDS = 9

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Crowd:
    """The entities of one stream: how busy, how often flagged and slow, where the hash puts them; 0 is the broken."""

    busy: NDArray[np.float64]
    flag: NDArray[np.float64]
    slow: NDArray[np.float64]
    place: NDArray[np.float64]


def crowd(rps: float, rng: np.random.Generator) -> Crowd:
    """Entities drawn anew for a stream; `busy` are requests a second."""
    count = int(ENTITIES_PER_RPS * rps)
    busy = rng.lognormal(0, 1, count)
    busy *= rps * (1 - BROKEN) / busy[1:].sum()
    busy[0] = BROKEN * rps
    flag, slow = rng.lognormal(0, 1, count), rng.lognormal(0, 0.3, count)
    return Crowd(busy, flag / np.average(flag, weights=busy), slow / np.average(slow, weights=busy), rng.random(count))


@dataclass(frozen=True)
class Hour:
    """Requests in the order of (entity, block), and what happened to each."""

    entity: Ints
    block: Ints
    errors: NDArray[np.bool_]
    over: NDArray[np.bool_]
    flagged: NDArray[np.bool_]


def hour(people: Crowd, blocks: int, seconds: float, rng: np.random.Generator) -> Hour:
    """So many blocks of their requests: errors .1 %, over the objective 1 % (in a stall 10 %), flagged 2 %."""
    counts = rng.poisson(people.busy * blocks * seconds)
    entity = np.repeat(np.arange(len(counts)), counts)
    key = entity * blocks + rng.integers(0, blocks, len(entity))
    key.sort()
    block = key - entity * blocks
    stall = np.where(rng.random(blocks) < STALLED, 10.0, 1.0)
    errors = _runs(entity, np.full(len(entity), 0.001 / RUN), rng) | (entity == 0)
    over = rng.random(len(entity)) < 0.01 * people.slow[entity] * stall[block]
    flagged = _runs(entity, 0.02 / RUN * people.flag[entity], rng) & ~errors
    return Hour(entity, block, errors, over, flagged)


def _runs(entity: Ints, rate: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Runs that begin at each request with `rate`, of a mean length RUN, within the entity."""
    total = len(entity)
    starts = np.flatnonzero(rng.random(total) < rate)
    change = np.zeros(total + 1, dtype=np.int64)
    ends = np.minimum(starts + rng.geometric(1 / RUN, len(starts)), np.searchsorted(entity, entity[starts], "right"))
    np.add.at(change, starts, 1)
    np.add.at(change, ends, -1)
    return np.asarray(np.cumsum(change)[:-1] > 0)


def stream(rps: float, blocks: int, rng: np.random.Generator) -> tuple[Any, NoiseFloor]:
    """One stream (nested lists of shape steps, blocks, arms, fields, as the simulation's) and its noise floor."""
    people = crowd(rps, rng)
    now = hour(people, blocks, 30.0, rng)
    bins = np.searchsorted(EDGES, people.place[now.entity], "right") * blocks + now.block
    size = (len(EDGES) + 1) * blocks
    error_new, error_risk = _first(now, now.errors)
    flag_new, flag_risk = _first(now, now.flagged)
    slow = now.over & (rng.random(len(bins)) < 0.1)
    marks = (None, now.errors, now.over, slow, now.flagged, error_new, error_risk, flag_new, flag_risk)
    table = np.stack(
        [np.bincount(bins if mark is None else bins[mark], minlength=size).reshape(-1, blocks) for mark in marks], -1
    )
    arms = [[table[step + 1 :].sum(0), table[: step + 1].sum(0)] for step in range(len(EDGES))]
    before = hour(people, min(240, int(24_000 / rps)), 30.0, rng)
    return np.swapaxes(np.array(arms), 1, 2).tolist(), noise_floor(people, before)


def _first(now: Hour, affected: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each request: whether its entity is first affected by it, and was not counted before its block."""
    never = int(now.block.max(initial=0)) + 1
    first = np.full(int(now.entity.max(initial=0)) + 1, never)
    hits = np.flatnonzero(affected)
    firsts = hits[np.unique(now.entity[hits], return_index=True)[1]]
    first[now.entity[firsts]] = now.block[firsts]
    new = np.zeros(len(affected), dtype=bool)
    new[firsts] = True
    return new, np.asarray(now.block <= first[now.entity])


def noise_floor(people: Crowd, before: Hour, windows: int = 2) -> NoiseFloor:
    """tau of each metric by 19 slices of 5 % over hours before the rollout, as the evidence measures it."""
    per_window = (int(before.block.max(initial=0)) + 1) // windows
    taus = []
    for mark in (before.errors, before.over, before.flagged):
        per_hour = []
        events = 0
        for window in range(windows):
            rows = before.block // max(per_window, 1) == window
            part = Hour(*(column[rows] for column in (before.entity, before.block)), *(mark[rows],) * 3)
            new, at_risk = (
                (part.errors, np.ones(rows.sum(), bool)) if mark is before.over else _first(part, part.errors)
            )
            slices = (people.place[part.entity] * SLICES).astype(int)
            found = np.bincount(slices[new], minlength=SLICES)[1:]
            exposed = np.bincount(slices[at_risk], minlength=SLICES)[1:]
            expected = exposed * (found.sum() / max(exposed.sum(), 1))
            events += int(found.sum())
            if expected.sum() > 0:
                per_hour.append((((found - expected) ** 2 - expected).sum()) / (expected**2).sum())
        # A production noise floor sees 24 windows; these are a twelfth of them.
        enough = events * 24 / windows >= FEWEST_EVENTS
        taus.append(float(np.sqrt(max(0.0, np.mean(per_hour)))) if enough and per_hour else UNKNOWN_NOISE)
    return NoiseFloor(*taus)
