"""What the canary gates carry from block to block, and what one block does to it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from k8s.rollout import crash, enough, harm
from k8s.rollout.blocks import METRICS, Arm, CanaryBlock
from k8s.rollout.crash import CrashWatch
from k8s.rollout.enough import Counts, Shown
from k8s.rollout.harm import CANARY_GATES, Side, Wealth
from k8s.rollout.plan import Limits, Plan, Step

NOTHING: Final[Counts] = (0.0, 0.0, 0.0, 0.0)
Recent = tuple[float, float, float, float, float]
"""A block of stable: requests, errors, over the objective, entities newly in error, requests of those not counted."""
UNCOUNTED: Final = 0.9
"""At least so much of stable's traffic must be of entities not counted before for their error share to stand for it."""


NOTHING_SHOWN: Final = Shown()
NO_CRASH: Final = CrashWatch()


@dataclass(frozen=True, slots=True)
class CanaryState:
    """What the canary gates carry from block to block. Plain numbers: it is kept in the rollout's status."""

    block: int = -1
    """The last block counted; one with this number or a smaller one is ignored."""
    wealth: tuple[Wealth, ...] = tuple(gate.start for gate in CANARY_GATES)
    totals: tuple[Counts, ...] = (NOTHING, NOTHING, NOTHING)
    """Of each metric: events and exposure of the candidate, then of stable."""
    shown: Shown = NOTHING_SHOWN
    recent: tuple[Recent, ...] = ()
    crash: CrashWatch = NO_CRASH
    served: Counts = NOTHING
    """Stable's requests so far, and among them errors, over the objective, flagged: what the watch compares with."""
    extended: bool = False
    """The deadline was extended, once."""
    failed: str = ""
    """The gate that was failed. Latched: whatever comes later, the answer stays."""
    why: str = ""


def after(state: CanaryState, block: CanaryBlock, plan: Plan, rho: float) -> CanaryState:
    """The state after a block; the same one for a block that was counted before."""
    if block.number <= state.block or state.failed:
        return state
    counts = block_counts(block, rho)
    recent = (*state.recent, _recent(block.stable))[-plan.limits.blocks :]
    watch, crashed = crash.after(state.crash, block.canary, _error_share(block.stable, recent))
    changed = replace(
        state,
        block=block.number,
        wealth=_wealth(state.wealth, block, counts),
        shown=_shown(state, block, counts, plan.canary.steps),
        totals=tuple(_sum(old, new) for old, new in zip(state.totals, counts, strict=True)),
        recent=recent,
        served=_sum(state.served, served_by(block.stable)),
        crash=watch,
    )
    if crashed:
        return replace(changed, failed="crash", why=crashed)
    return _judged(changed, plan)


def block_counts(block: CanaryBlock, rho: float) -> tuple[Counts, Counts, Counts]:
    """Events and exposure of both arms, in the order of METRICS; the candidate's exposure to flags scaled by rho."""
    canary, stable = block.canary, block.stable
    errors, stable_errors = canary.errors_affected, stable.errors_affected
    flags, stable_flags = canary.flagged_affected, stable.flagged_affected
    return (
        (errors.new, errors.at_risk, stable_errors.new, stable_errors.at_risk),
        (canary.over_slo, canary.requests, stable.over_slo, stable.requests),
        (flags.new, flags.at_risk * rho, stable_flags.new, stable_flags.at_risk),
    )


def served_by(arm: Arm) -> Counts:
    """Its requests, and among them errors, over the objective, flagged; entities are not counted once here."""
    return (arm.requests, arm.errors, arm.over_slo, arm.flagged)


def harm_of(state: CanaryState) -> tuple[float, ...]:
    """Each gate's share of the evidence of harm, in the order of CANARY_GATES."""
    return harm.together(CANARY_GATES, state.wealth)


def level(steps: Sequence[Step], weight: float) -> int:
    """The index of the step whose weight a block was at; -1 when it was below the first."""
    return sum(step.weight <= weight * 100 + 1e-6 for step in steps) - 1


def rates(state: CanaryState) -> tuple[float, ...]:
    """Stable's running rates, in the order of METRICS."""
    return tuple(
        enough.running_rate(metric, counts[2], counts[3]) for metric, counts in zip(METRICS, state.totals, strict=True)
    )


def unhealthy(recent: Sequence[Recent], limits: Limits) -> str:
    """Why stable is not well over its last blocks, in words; "" when it is."""
    requests, errors, over, new, at_risk = (sum(column) for column in zip(*recent, strict=True)) if recent else (0,) * 5
    if requests <= 0:
        return f"stable had no requests in the last {len(recent)} blocks"
    if errors > limits.errors * requests and not _few_entities(requests, errors, new, at_risk, limits.errors):
        return f"{errors / requests:.1%} of stable's answers were errors (limit {limits.errors:.1%})"
    if over > limits.over_slo * requests:
        return f"{over / requests:.1%} of stable's answers were over the objective (limit {limits.over_slo:.1%})"
    return ""


def _few_entities(requests: float, errors: float, new: float, at_risk: float, limit: float) -> bool:
    """Whether the errors are those of a few entities counted long ago: one broken client, not a sick stable."""
    return (
        errors <= crash.STABLE_ERRORS * requests and at_risk >= UNCOUNTED * requests and new <= limit * max(at_risk, 1)
    )


def _wealth(old: tuple[Wealth, ...], block: CanaryBlock, counts: tuple[Counts, ...]) -> tuple[Wealth, ...]:
    errors, over_slo, flagged = counts
    noise, weight = block.noise, block.weight
    theta = harm.theta(noise.flagged, weight)
    up, down = Side(flagged[0], flagged[1]), Side(flagged[2], flagged[3])
    return (
        harm.after(old[0], harm.ERRORS, Side(*errors[:2]), Side(*errors[2:]), harm.theta(noise.errors, weight)),
        harm.after(old[1], harm.OVER_SLO, Side(*over_slo[:2]), Side(*over_slo[2:]), harm.theta(noise.over_slo, weight)),
        harm.after(old[2], harm.FLAGGED_UP, up, down, theta),
        harm.after(old[3], harm.FLAGGED_DOWN, down, up, theta),
    )


def _shown(state: CanaryState, block: CanaryBlock, counts: tuple[Counts, ...], steps: Sequence[Step]) -> Shown:
    number = level(steps, block.weight)
    return state.shown if number < 0 else enough.after(state.shown, number, steps[number], counts, rates(state))


def _judged(state: CanaryState, plan: Plan) -> CanaryState:
    shares = harm_of(state)
    total = sum(shares)
    if total < 1 / plan.alpha:
        return state
    worst = shares.index(max(shares))
    gate = CANARY_GATES[worst].gate
    canary, canary_n, stable, stable_n = state.totals[min(worst, 2)]
    why = (
        f"evidence of harm is {total:.3g} (bound {1 / plan.alpha:g}), most of it in {gate}: the candidate "
        f"{canary:g} of {canary_n:.0f}, stable {stable:g} of {stable_n:.0f}"
    )
    return replace(state, failed=gate, why=why)


def _error_share(stable: Arm, recent: Sequence[Recent]) -> float | None:
    """Of stable's answers in the block, or in the last ones when it had none; None when nothing is known."""
    if stable.requests > 0:
        return stable.errors / stable.requests
    requests = sum(block[0] for block in recent)
    return sum(block[1] for block in recent) / requests if requests > 0 else None


def _recent(stable: Arm) -> Recent:
    affected = stable.errors_affected
    return (stable.requests, stable.errors, stable.over_slo, affected.new, affected.at_risk)


def _sum(old: Counts, new: Counts) -> Counts:
    return (old[0] + new[0], old[1] + new[1], old[2] + new[2], old[3] + new[3])
