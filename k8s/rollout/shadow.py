"""What the shadow gates carry from block to block, and what one block does to it. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from k8s.rollout import harm
from k8s.rollout.blocks import ShadowBlock
from k8s.rollout.harm import ERRORS, OVER_SLO, Side, Wealth
from k8s.rollout.paired import Flips, Scores, more_flips, more_scores
from k8s.rollout.plan import Plan

HEALTH_GATES: Final = (ERRORS, OVER_SLO)
SHADOW_WEIGHT: Final = 0.5
"""Both arms see the same requests: half of the answers is the shadow's."""
RHO_STRENGTH: Final = 20.0
"""rho is drawn to 1 by so many flagged entities, and stays within LEAST_RHO and its inverse."""
LEAST_RHO: Final = 0.5


NO_FLIPS: Final = Flips()
NO_SCORES: Final = Scores()


@dataclass(frozen=True, slots=True)
class ShadowState:
    """What the shadow gates carry from block to block. Plain numbers: it is kept in the rollout's status."""

    block: int = -1
    """The last block counted; one with this number or a smaller one is ignored."""
    flips: Flips = NO_FLIPS
    scores: Scores = NO_SCORES
    wealth: tuple[Wealth, ...] = tuple(gate.start for gate in HEALTH_GATES)
    mirrored: float = 0
    shed: float = 0
    recent: tuple[tuple[float, float], ...] = ()
    """Of the last blocks: mirrored requests, and those of them that the shadow's own cap refused."""
    stable_flagged: float = 0
    shadow_flagged: float = 0
    failed: str = ""
    """The gate that was failed. Latched: whatever comes later, the answer stays."""
    why: str = ""


def after(state: ShadowState, block: ShadowBlock, plan: Plan) -> ShadowState:
    """The state after a block; the same one for a block that was counted before."""
    if block.number <= state.block or state.failed:
        return state
    mirrored = block.shadow.requests + block.shed
    return replace(
        state,
        block=block.number,
        flips=more_flips(state.flips, block.first),
        scores=more_scores(state.scores, block.first, plan.alpha),
        wealth=_health(state.wealth, block),
        mirrored=state.mirrored + mirrored,
        shed=state.shed + block.shed,
        recent=(*state.recent, (mirrored, block.shed))[-plan.limits.blocks :],
        stable_flagged=state.stable_flagged + block.stable_flagged,
        shadow_flagged=state.shadow_flagged + block.shadow_flagged,
    )


def measured_rho(state: ShadowState) -> float:
    """Flagged by the candidate for each one flagged by stable; near 1 while few were."""
    ratio = (state.shadow_flagged + RHO_STRENGTH) / (state.stable_flagged + RHO_STRENGTH)
    return min(max(ratio, LEAST_RHO), 1 / LEAST_RHO)


def shed_share(state: ShadowState) -> float:
    """The share of the mirrored requests that the shadow refused, over the last blocks."""
    mirrored = sum(block[0] for block in state.recent)
    return sum(block[1] for block in state.recent) / mirrored if mirrored > 0 else 0.0


def _health(old: tuple[Wealth, ...], block: ShadowBlock) -> tuple[Wealth, ...]:
    theta = harm.theta(0, SHADOW_WEIGHT)
    shadow, stable = block.shadow, block.stable
    errors, stable_errors = shadow.errors_affected, stable.errors_affected
    return (
        harm.after(
            old[0],
            ERRORS,
            Side(errors.new, errors.at_risk),
            Side(stable_errors.new, stable_errors.at_risk),
            theta,
        ),
        harm.after(
            old[1], OVER_SLO, Side(shadow.over_slo, shadow.requests), Side(stable.over_slo, stable.requests), theta
        ),
    )
