"""Simulated rollouts: seeded streams of blocks, and a plan run over them by the very decision that production takes.

Requests are independent here; streams of entities with histories stand in tests/bench. Drawing is vectorised over all
streams, steps and blocks; which step a block is taken from is known only when the decision before it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.answers import Action
from k8s.rollout.blocks import Affected, Arm, CanaryBlock, NoiseFloor, PairSums, ShadowBlock
from k8s.rollout.decide import CanaryState, ShadowState, decide_canary, decide_shadow
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction

Counts = NDArray[np.int64]
Judge = Callable[[CanaryBlock, int, int, int], tuple[Action, str]]
"""(block, step, age in blocks, age of the step) -> action, and the gate that it rests on."""

UNKNOWN: Final = NoiseFloor()
TAIL: Final = 0.1
"""Share of the answers over the objective that take longer than 500 ms."""
CHUNK: Final = 50
"""Streams drawn at once: a bound on memory."""
STALL: Final = 10.0
"""How many times more answers are over the objective in a block in which everything stalls."""


@dataclass(frozen=True)
class Rates:
    """Shares of requests: errors, over the objective, flagged."""

    errors: float = 0.001
    over_slo: float = 0.01
    flagged: float = 0.02


@dataclass(frozen=True)
class Traffic:
    """What a stream is drawn from. The candidate has stable's rates until `onset` (block) and `onset_step`."""

    rps: float
    base: Rates = Rates()
    candidate: Rates = Rates()
    onset: int = 0
    onset_step: int = 0
    stalls: float = 0.0
    """Share of the blocks in which both arms stall."""
    spread: float = 0.0
    """Relative sd of the rates of a 5 % slice of the entities: arms that differ by whom they serve."""
    canary_share: float = 1.0
    """Share of the canary's traffic that reaches it: 0 when it has none."""
    entities: float | None = None
    """How many there are; None: more than will ever be counted."""
    noise: NoiseFloor = UNKNOWN


@dataclass(frozen=True)
class Ended:
    """How a stream ended: 'hold' when nothing was decided. `served`: the candidate's requests while it was faulty."""

    action: Action
    blocks: int
    gate: str
    step: int
    served: int


def draw(traffic: Traffic, plan: Plan, blocks: int, streams: int, rng: np.random.Generator) -> Counts:
    """Counts of shape (streams, steps, blocks, 2 arms (stable, candidate), 9 fields in the order of `_arm`)."""
    weights = np.array([step.weight for step in plan.canary.steps]) / 100
    return draw_at(traffic, weights, plan.block_seconds, (streams, blocks), rng)


def draw_at(
    traffic: Traffic, weights: NDArray[np.float64], seconds: float, size: tuple[int, int], rng: np.random.Generator
) -> Counts:
    """The same for any weights (shares) and a block's seconds; `size` is (streams, blocks)."""
    streams, blocks = size
    shape = (streams, len(weights), blocks)
    exposure = traffic.rps * seconds
    share = np.broadcast_to(weights[:, None], shape)
    spread = traffic.spread * rng.standard_normal((streams, 1, 1, 3))
    faulty = (np.arange(blocks) >= traffic.onset) & (np.arange(len(weights)) >= traffic.onset_step)[:, None]
    stalled = np.where(rng.random((streams, 1, blocks)) < traffic.stalls, STALL, 1.0)
    arms = []
    for arm in range(2):
        requests = rng.poisson(exposure * (share * traffic.canary_share if arm else 1 - share))
        rates = _rates(traffic, faulty if arm else np.zeros_like(faulty), shape)
        if arm:
            rates = rates * np.exp(spread * np.sqrt(0.05 / np.maximum(share, 0.05))[..., None])
        rates[..., 1] *= stalled
        arms.append(_events(requests, np.minimum(rates, 1.0), _uncounted(traffic, exposure, rates), rng))
    return np.stack(arms, axis=3)


def _rates(traffic: Traffic, faulty: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float64]:
    good, bad = (np.array([one.errors, one.over_slo, one.flagged]) for one in (traffic.base, traffic.candidate))
    return np.broadcast_to(np.where(faulty[..., None], bad, good), (*shape, 3)).copy()


def _uncounted(traffic: Traffic, exposure: float, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the requests that comes from entities not counted before, when all are equally busy."""
    if traffic.entities is None:
        return np.ones_like(rates)
    before = np.arange(rates.shape[2])[:, None] * exposure / traffic.entities
    return np.exp(-rates * before)


def _events(
    requests: Counts, rates: NDArray[np.float64], uncounted: NDArray[np.float64], rng: np.random.Generator
) -> Counts:
    errors, over, flagged = (rng.binomial(requests, rates[..., index]) for index in range(3))
    over_500 = rng.binomial(over, TAIL)
    fields = [requests, errors, over, over_500, flagged]
    for index, events in ((0, errors), (2, flagged)):
        share = uncounted[..., index]
        new = rng.binomial(events, share)
        fields += [new, new + rng.binomial(requests - events, share)]
    return np.stack(fields, axis=-1)


def block_of(counts: Sequence[Sequence[int]], number: int, weight: float, noise: NoiseFloor) -> CanaryBlock:
    """A block from one stream's counts of both arms (stable, candidate)."""
    return CanaryBlock(number, 30.0, weight, _arm(counts[0]), _arm(counts[1]), noise)


def _arm(counts: Sequence[int]) -> Arm:
    requests, errors, over, over_500, flagged, new, at_risk, flagged_new, flagged_at_risk = counts
    return Arm(
        requests, errors, over, over_500, flagged, Affected(new, at_risk), Affected(flagged_new, flagged_at_risk)
    )


def sequential(plan: Plan, rho: float = 1.0) -> Judge:
    """Our own rule for one stream: `decide_canary`, called for each block, its state passed on."""
    state = CanaryState()

    def judge(block: CanaryBlock, step: int, age: int, step_age: int) -> tuple[Action, str]:
        nonlocal state
        decision = decide_canary(state, (block,), plan, step=step, rho=rho, age_blocks=age, step_age_blocks=step_age)
        state = decision.state
        return decision.action, decision.gate or ""

    return judge


def run(judge: Judge, stream: Any, weights: Sequence[float], traffic: Traffic) -> Ended:
    """Runs one stream (nested lists of shape steps, blocks, arms, fields) until it is decided, or over."""
    step = since = served = 0
    gate, blocks = "", len(stream[0])
    for number in range(blocks):
        counts = stream[step][number]
        if number >= traffic.onset and step >= traffic.onset_step:
            served += counts[1][0]
        block = block_of(counts, number, weights[step], traffic.noise)
        action, gate = judge(block, step, number + 1, number + 1 - since)
        if action == "advance":
            step, since = min(step + 1, len(weights) - 1), number + 1
        elif action != "hold":
            return Ended(action, number + 1, gate, step, served)
    return Ended("hold", blocks, gate, step, served)


def run_plan(plan: Plan, traffic: Traffic, blocks: int, streams: int, seed: int) -> tuple[Ended, ...]:
    """So many streams of one kind of traffic under a plan."""
    rng = np.random.default_rng(seed)
    weights = [step.weight / 100 for step in plan.canary.steps]
    ended: list[Ended] = []
    while len(ended) < streams:
        drawn = draw(traffic, plan, blocks, min(CHUNK, streams - len(ended)), rng)
        ended += [run(sequential(plan), stream.tolist(), weights, traffic) for stream in drawn]
    return tuple(ended)


@dataclass(frozen=True)
class Pairs:
    """What a shadow's stream is drawn from: pairs a block (first of their entity), flips and score differences."""

    per_block: float
    up: float = 0.02
    down: float = 0.02
    score_shift: float = 0.0
    score_sd: float = 0.05
    entities: float | None = None
    """How many there are; None: `per_block` new ones in each block, for ever."""


def run_shadow(plan: Plan, pairs: Pairs, blocks: int, streams: int, seed: int) -> tuple[tuple[Action, int, int], ...]:
    """Of each stream: the action, after how many blocks, and how many entities it took. Nothing is predicted."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(_first_pairs(pairs, blocks), size=(streams, blocks))
    up = rng.binomial(count, pairs.up)
    down = rng.binomial(count - up, pairs.down / (1 - pairs.up))
    total = pairs.score_shift * count + pairs.score_sd * np.sqrt(count) * rng.standard_normal(count.shape)
    degrees = np.maximum(count - 1, 0)
    around = pairs.score_sd**2 * 2 * rng.standard_gamma(degrees / 2)
    squares = around + np.divide(total**2, count, out=np.zeros(count.shape), where=count > 0)
    fields = zip(count.tolist(), up.tolist(), down.tolist(), total.tolist(), squares.tolist(), strict=True)
    return tuple(_shadow_stream(plan, *each) for each in fields)


def _first_pairs(pairs: Pairs, blocks: int) -> NDArray[np.float64]:
    if pairs.entities is None:
        return np.full(blocks, pairs.per_block)
    unseen = pairs.entities * np.exp(-np.arange(blocks + 1) * pairs.per_block / pairs.entities)
    fresh: NDArray[np.float64] = -np.diff(unseen)
    return fresh


def _shadow_stream(plan: Plan, *columns: Sequence[Any]) -> tuple[Action, int, int]:
    state = ShadowState()
    for number, sums in enumerate(zip(*columns, strict=True)):
        block = ShadowBlock(number, 30.0, PairSums(*sums), PairSums(*sums))
        decision = decide_shadow(state, (block,), plan, Prediction(), age_blocks=number + 1)
        state = decision.state
        if decision.action != "hold":
            return decision.action, number + 1, int(state.flips.pairs)
    return "hold", len(columns[0]), int(state.flips.pairs)
