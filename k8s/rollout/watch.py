"""The day's watch: the new stable against the one before. A crash undoes by itself, the rest proposes it. Pure.

In the watch all traffic is stable's: a block's `canary` arm holds the new stable's rows, its `stable` arm is empty.
What the one before did is known from the canary phase: `watched` carries its counts over.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Final

from k8s.rollout import crash
from k8s.rollout.answers import Decision, GateNumbers
from k8s.rollout.blocks import METRICS, Arm, CanaryBlock, Metric, Waiting
from k8s.rollout.canary import CanaryState, Recent, served_by, unhealthy
from k8s.rollout.enough import Counts
from k8s.rollout.plan import Limits, Plan

FEWEST: Final = 200
"""Requests that a proposal needs, of the new stable and of the one before."""
TWICE: Final = 2.0
"""Days differ: up to twice, or down to half of what the previous stable did proposes nothing."""
SPREADS: Final = 4.0
RUN: Final = 5.0
"""And it must be beyond chance by so many standard deviations, of events that come in runs of so many."""


def watched(state: CanaryState) -> CanaryState:
    """The state that the watch begins with: block -1 again, and the previous stable's counts as its only memory.

    Requests are counted here, not entities: over a day those that are left uncounted are ever less like all of them.
    """
    requests, *events = state.served
    return CanaryState(totals=tuple((0.0, 0.0, count, requests) for count in events))


def decide_watch(
    state: CanaryState,
    blocks: Sequence[CanaryBlock],
    plan: Plan,
    *,
    waiting: Waiting | None = None,
    age_blocks: float,
    labels: GateNumbers | None = None,
) -> Decision[CanaryState]:
    """Rolls back when the new stable crashed, else holds; `proposal` says why undoing is proposed, if it is.

    `labels` is the label gate's answer, when somebody looked.
    """
    for block in blocks:
        if block.number > state.block and not state.failed:
            state = _after(state, block, plan)
    if state.failed:
        return Decision("rollback", state.failed, f"Undone: {state.why}.", (_crash_gate(state),), state)
    gates = (*_gates(state, plan), *((labels,) if labels else ()), _crash_gate(state))
    proposal = next((each for each in gates if each.state == "failed"), None)
    return Decision(
        "hold",
        proposal.gate if proposal else None,
        _reason(proposal, state, waiting, age_blocks),
        gates,
        state,
        proposal=f"{proposal.gate}: {proposal.detail}" if proposal else "",
    )


def _reason(proposal: GateNumbers | None, state: CanaryState, waiting: Waiting | None, age_blocks: float) -> str:
    if proposal:
        return f"Undoing is proposed: {proposal.gate}: {proposal.detail}. Run `vigil undo` to bring the last one back."
    if waiting is not None and waiting.obstacle != "not closed":
        return f"The watch has no new evidence ({waiting.obstacle}): {waiting.detail}."
    return f"The new stable is watched: {state.block + 1} blocks seen in {age_blocks:.0f}."


def _after(state: CanaryState, block: CanaryBlock, plan: Plan) -> CanaryState:
    watch, crashed = crash.after(state.crash, block.canary, stable_errors=0.0)
    requests, *events = served_by(block.canary)
    seen = tuple(_with(old, (count, requests)) for old, count in zip(state.totals, events, strict=True))
    return replace(
        state,
        block=block.number,
        totals=seen,
        recent=(*state.recent, _recent(block.canary))[-plan.limits.blocks :],
        crash=watch,
        failed="crash" if crashed else "",
        why=crashed,
    )


def _with(old: Counts, new: tuple[float, float]) -> Counts:
    return (old[0] + new[0], old[1] + new[1], old[2], old[3])


def _recent(arm: Arm) -> Recent:
    affected = arm.errors_affected
    return (arm.requests, arm.errors, arm.over_slo, affected.new, affected.at_risk)


def _gates(state: CanaryState, plan: Plan) -> tuple[GateNumbers, ...]:
    limits = GateNumbers("limits", "ok", "within the plan's limits")
    if sum(block[0] for block in state.recent) < FEWEST:
        limits = GateNumbers("limits", "gathering", f"fewer than {FEWEST} requests in the last blocks")
    elif sick := _beyond(state.recent, plan.limits):
        limits = GateNumbers("limits", "failed", sick)
    return (limits, *(_against_before(*each) for each in zip(METRICS, state.totals, strict=True)))


def _beyond(recent: Sequence[Recent], limits: Limits) -> str:
    return unhealthy(recent, limits).replace("stable's answers", "the new stable's answers")


def _against_before(metric: Metric, counts: Counts) -> GateNumbers:
    """The whole watch so far against the previous stable; errors and latency only upwards."""
    events, requests, before, before_requests = counts
    if before_requests < FEWEST:
        return GateNumbers(metric, "not evaluated", f"the previous stable was seen for {before_requests:.0f} requests")
    scale = requests / before_requests
    most, least = TWICE * scale * _beyond_chance(before, 1), scale * _beyond_chance(before, -1) / TWICE
    above = requests >= FEWEST and events > _beyond_chance(most, 1)
    below = metric == "flagged" and events < _beyond_chance(least, -1)
    detail = f"{events:g} of {requests:.0f}; the previous stable would have had about {scale * before:.0f}"
    named = (("events", events), ("requests", requests), ("expected", scale * before))
    return GateNumbers(metric, "failed" if above or below else "ok", detail, counts=named)


def _beyond_chance(events: float, sign: int) -> float:
    """The most (1) or fewest (-1) events that may be meant by so many."""
    return max(events + sign * SPREADS * sqrt(RUN * (events + 1)), 0.0)


def _crash_gate(state: CanaryState) -> GateNumbers:
    return GateNumbers("crash", "failed" if state.failed else "ok", state.why or "no crash")
