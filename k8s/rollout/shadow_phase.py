"""The shadow phase: the candidate answers a copy of the traffic, and no user sees it."""

from math import ceil

from k8s.rollout.approval import forced_promotion
from k8s.rollout.decide import measured_rho
from k8s.rollout.ending import End, end, reason_to_end
from k8s.rollout.model_rollout import Outcome, Phase, Suspension
from k8s.rollout.plan import ShadowPlan
from k8s.rollout.readings import Reading, read_shadow, say_why
from k8s.rollout.routers import Role
from k8s.rollout.turn import FIRST_COPIES, Turn


def shadow_phase(turn: Turn, plan: ShadowPlan) -> None:
    """Copies first, then the mirror; the gates decide; the mirror goes off before the copies go."""
    reading = read_shadow(turn)
    if found := reason_to_end(turn, reading):
        end(turn, found)
    elif forced_promotion(turn):
        pass
    elif reading.says("pass") and reading.current:
        _passed(turn, reading)
    elif wanted_copies(turn, "shadow", copies_for(turn, plan.mirror)):
        _mirror(turn, plan)
        say_why(turn, Phase.SHADOW, reading)
    else:
        turn.put(0)
        out_of_service(turn, "shadow", begun=turn.attempt.shadow_since is not None)


def copies_for(turn: Turn, percent: int) -> int:
    """Copies that a share of stable's traffic needs: as large a share of stable's copies, at least one."""
    return max(1, ceil(turn.copies["stable"].wanted * percent / 100))


def wanted_copies(turn: Turn, role: Role, copies: int) -> bool:
    """Sees to it that a role runs the candidate in enough copies; whether some answer now, as the candidate."""
    available = turn.available(role)
    if not available:
        # Traffic goes before a roll or a start does anything to the copies.
        turn.put(0)
    turn.assign(role, turn.attempt.candidate)
    turn.scale(role, max(copies, turn.copies[role].wanted))
    return available


def out_of_service(turn: Turn, role: Role, *, begun: bool) -> None:
    """No copy is ready: no traffic, and the end when that lasts. A start may take longer, and does not ban."""
    attempt, copies = turn.attempt, turn.copies[role]
    why = f": {copies.problem}" if copies.problem else ""
    turn.weigh(turn.split.canary)
    turn.suspend(f"no copy of the {role} is ready{why}")
    limit = attempt.plan.unavailable_blocks if begun else attempt.plan.progress_blocks
    suspended = turn.attempt.suspended
    waited = turn.blocks_since(suspended.since) if suspended else 0.0
    if waited < limit:
        phase = Phase.STARTING if not begun else Phase.SHADOW if role == "shadow" else Phase.CANARY
        left = f"it is given up in {limit - waited:.0f} blocks"
        turn.say(phase, f"No copy of the {role} is ready{why}. It has no traffic, and {left}.")
        return
    reason = f"no copy of the {role} was ready for {limit} blocks{why}"
    outcome, gate = (Outcome.ROLLED_BACK, "unavailable") if begun else (Outcome.INCONCLUSIVE, "start")
    end(turn, End(outcome, gate, reason))


def _mirror(turn: Turn, plan: ShadowPlan) -> None:
    turn.put(0, plan.mirror)
    turn.back("copies of the shadow are ready")
    if turn.attempt.shadow_since is None:
        turn.change_attempt(shadow_since=turn.now)
        turn.note("rollout.shadow", f"{plan.mirror} % of the requests are mirrored to the shadow", mirror=plan.mirror)


def _passed(turn: Turn, reading: Reading) -> None:
    measured = measured_rho(turn.attempt.shadow)
    turn.put(0)
    waiting = Suspension(since=turn.now, reason=FIRST_COPIES)
    turn.change_attempt(shadow_passed_at=turn.now, rho=measured, suspended=waiting)
    reason = reading.decision.reason if reading.decision else ""
    turn.note("rollout.shadow_passed", f"the shadow phase is passed: {reason}", rho=measured)
    turn.say(Phase.STARTING, "The shadow phase is passed; the canary's copies start.")
    turn.save()
    turn.scale("shadow", 0)
