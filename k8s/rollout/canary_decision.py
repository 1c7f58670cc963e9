"""The canary's decision: roll back on evidence of harm, go on with evidence that all is well, hold otherwise. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Final

from k8s.rollout import canary, enough
from k8s.rollout.answers import Action, Decision, GateNumbers
from k8s.rollout.blocks import METRICS, CanaryBlock, Waiting
from k8s.rollout.canary import CanaryState
from k8s.rollout.harm import CANARY_GATES
from k8s.rollout.labelled import missing, shown_loss
from k8s.rollout.plan import Plan

CALM: Final = 3.0
"""With this much evidence of harm nothing rises any more: a third of all good canaries ever come near it, at most."""

PASSING: Final = ("evidence", "time", "step")
"""Obstacles that pass by themselves: no reason for a rollout to end in nothing."""
COUNTED: Final = ("candidate", "candidate of", "stable", "stable of")


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the decision of one moment is made from."""

    state: CanaryState
    plan: Plan
    step: int | None
    newest: CanaryBlock | None
    waiting: Waiting | None
    age_blocks: float
    step_age_blocks: float
    shares: tuple[float, ...]
    gates: tuple[GateNumbers, ...]
    labels: GateNumbers | None

    @property
    def harm(self) -> float:
        return sum(self.shares)

    @property
    def last_step(self) -> bool:
        return self.step == len(self.plan.canary.steps) - 1


def decide_canary(  # noqa: PLR0913 - what is known of a moment
    state: CanaryState,
    blocks: Sequence[CanaryBlock],
    plan: Plan,
    *,
    step: int | None,
    rho: float = 1.0,
    waiting: Waiting | None = None,
    age_blocks: float,
    step_age_blocks: float,
    labels: GateNumbers | None = None,
) -> Decision[CanaryState]:
    """hold, advance, promote, rollback or inconclusive.

    `step` is the index of the step in force; None: none yet. Ages are wall-clock time in blocks since the canary
    began, and since the step's weight came into force, so that a deadline holds while no block closes. `rho`: flagged
    by the candidate for each one flagged by stable, as the shadow measured or the evaluation predicted it. `labels`:
    the label gate's answer, when somebody looked; it ends a canary with a block, as everything that is latched.
    """
    newest = None
    for block in blocks:
        changed = canary.after(state, block, plan, rho)
        if changed is not state:
            state, newest = changed, block
    if newest and not state.failed and (loss := shown_loss(labels)):
        state = replace(state, failed="labels", why=loss)
    shares = canary.harm_of(state)
    gates = gate_numbers(state, plan, step, shares)
    moment = _Moment(state, plan, step, newest, waiting, age_blocks, step_age_blocks, shares, gates, labels)
    if state.failed:
        return _answer(moment, "rollback", state.failed, f"Rolled back: {state.why}.")
    return _forward(moment)


def _forward(moment: _Moment) -> Decision[CanaryState]:
    """Up, if nothing stands against it; else hold, until the deadline."""
    gate, reason = next(_obstacles(moment), ("", ""))
    if not reason and moment.last_step:
        return _answer(moment, "promote", None, "Every gate is satisfied at the last step.")
    if not reason:
        return _answer(moment, "advance", None, "Every gate is satisfied at this step.")
    canary_plan = moment.plan.canary
    if moment.age_blocks >= canary_plan.deadline_blocks and not moment.state.extended:
        if moment.harm >= CALM:
            return _inconclusive(moment)
        moment = replace(moment, state=replace(moment.state, extended=True))
    if moment.age_blocks >= canary_plan.extended_blocks:
        return _inconclusive(moment)
    return _answer(moment, "hold", gate, reason)


def _inconclusive(moment: _Moment) -> Decision[CanaryState]:
    """Names what it failed for: of gates that lack evidence the one that lacks most, not that a block is still open."""
    obstacles = dict(reversed([*_obstacles(moment)]))
    gate = next((name for name in reversed(obstacles) if name not in PASSING), next(reversed(obstacles)))
    reason = obstacles[gate]
    lacking = {each.gate: each for each in moment.gates if each.state == "gathering"}
    if gate in lacking:
        gate = max(lacking, key=lambda name: lacking[name].missing_blocks or float("inf"))
        reason = f"{gate} lacks evidence: {lacking[gate].detail}."
    return _answer(moment, "inconclusive", gate, f"Not decided within {moment.age_blocks:.0f} blocks. {reason}")


def _obstacles(moment: _Moment) -> Iterator[tuple[str, str]]:
    """What stands against going up, the most telling first: a name, and a sentence for someone on call."""
    yield from _missing_evidence(moment)
    if sick := canary.unhealthy(moment.state.recent, moment.plan.limits):
        yield "stable unhealthy", f"Stable is not well enough to compare with: {sick}. The weight stays until it is."
    if moment.harm >= CALM:
        worst = CANARY_GATES[moment.shares.index(max(moment.shares))].gate
        bound = 1 / moment.plan.alpha
        yield worst, f"There are signs of harm in {worst}: evidence {moment.harm:.3g} of {bound:g} needed to roll back."
    for gate in moment.gates:
        if gate.state == "gathering":
            yield gate.gate, f"{gate.gate} needs more evidence: {gate.detail}."
    if lacking := missing(moment.labels, moment.plan):
        yield "labels", lacking
    yield from _too_early(moment)


def _missing_evidence(moment: _Moment) -> Iterator[tuple[str, str]]:
    waiting, newest = moment.waiting, moment.newest
    if waiting is not None and waiting.obstacle != "not closed" and newest is None:
        yield waiting.obstacle, f"No new evidence ({waiting.obstacle}): {waiting.detail}. The weight stays."
    if moment.step is None:
        yield "step", "No step's weight is in force yet."
    elif newest is None:
        yield "evidence", f"Waiting for block {moment.state.block + 1} to close."
    elif newest.canary.requests <= 0:
        yield "no traffic", f"The candidate had no traffic in block {newest.number}: nothing can be said of it."
    elif canary.level(moment.plan.canary.steps, newest.weight) < moment.step:
        yield "evidence", f"Block {newest.number} was not yet wholly at this step's weight."


def _too_early(moment: _Moment) -> Iterator[tuple[str, str]]:
    plan = moment.plan.canary
    if moment.step_age_blocks < plan.step_blocks:
        yield "time", f"The step is {moment.step_age_blocks:.0f} of at least {plan.step_blocks} blocks old."
    if moment.last_step and moment.age_blocks < plan.min_blocks:
        yield "time", f"The canary is {moment.age_blocks:.0f} of at least {plan.min_blocks} blocks old."


def _answer(moment: _Moment, action: Action, gate: str | None, reason: str) -> Decision[CanaryState]:
    return Decision(
        action,
        gate,
        reason,
        (*moment.gates, *((moment.labels,) if moment.labels else ())),
        moment.state,
        next_blocks=_next_blocks(moment) if action == "hold" else None,
        harm=moment.harm,
        harm_bound=1 / moment.plan.alpha,
    )


def _next_blocks(moment: _Moment) -> float | None:
    """When the next step can be expected: the slowest gate at this traffic, and the plan's shortest times."""
    if missing(moment.labels, moment.plan):
        return None
    plan = moment.plan.canary
    waits = [plan.step_blocks - moment.step_age_blocks, 0.0]
    if moment.last_step:
        waits.append(plan.min_blocks - moment.age_blocks)
    for gate in moment.gates:
        if gate.state == "gathering":
            if gate.missing_blocks is None:
                return None
            waits.append(gate.missing_blocks)
    return max(waits)


def gate_numbers(
    state: CanaryState, plan: Plan, step: int | None, shares: tuple[float, ...]
) -> tuple[GateNumbers, ...]:
    """Every gate in numbers: the four of CANARY_GATES and the crash guard."""
    crashed = state.failed == "crash"
    guard = GateNumbers("crash", "failed" if crashed else "ok", state.why if crashed else "no crash")
    number = 0 if step is None else step
    rates = canary.rates(state)
    return (*(_gate(state, plan, index, number, rates, shares[index]) for index in range(4)), guard)


def _gate(
    state: CanaryState, plan: Plan, index: int, number: int, rates: tuple[float, ...], share: float
) -> GateNumbers:
    shown = state.shown if state.shown.step == number else enough.Shown(number)
    # Flags that fall are only asked about before promotion: an early step has too few for that.
    asked = index < 3 or number == len(plan.canary.steps) - 1
    metric, gate = min(index, 2), CANARY_GATES[index].gate
    reached, bound = shown.logs[index], -log(plan.beta)
    units, blocks = None, None
    if asked and reached < bound:
        units = (bound - reached) / enough.pace(enough.SHOWN[index], plan.canary.steps[number], rates[metric])
        blocks = units * shown.blocks / shown.units[metric] if shown.units[metric] > 0 else None
    counts = state.totals[metric]
    return GateNumbers(
        gate,
        "failed" if state.failed == gate else "holding" if share >= CALM else "ok" if units is None else "gathering",
        _counted(counts) if units is None else _missing(units, blocks, shown, metric),
        harm=share,
        harm_bound=1 / plan.alpha,
        shown=reached if asked else None,
        shown_bound=bound if asked else None,
        counts=tuple(zip(COUNTED, counts, strict=True)),
        missing_units=units,
        missing_blocks=blocks,
    )


def _counted(counts: enough.Counts) -> str:
    events, exposure, stable_events, stable_exposure = counts
    return f"{events:g} of {exposure:.0f}, stable {stable_events:g} of {stable_exposure:.0f}"


def _missing(units: float, blocks: float | None, shown: enough.Shown, metric: int) -> str:
    """How much is missing, in words; also when the entities run dry."""
    unit = "requests" if METRICS[metric] == "over_slo" else "requests of entities not counted yet"
    if blocks is None and shown.blocks:
        return f"about {units:.0f} more {unit}, and there were none in {shown.blocks} blocks"
    if blocks is None:
        return f"about {units:.0f} more {unit}"
    return f"about {units:.0f} more {unit}, which is {blocks:.0f} blocks at this traffic"
