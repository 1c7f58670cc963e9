"""The day after a promotion: the new stable is watched. A crash undoes by itself, the rest is proposed."""

from k8s.rollout.model_rollout import Attempt, Ban, Outcome, Phase, Suspension, Verdict, Watch, attempt_id
from k8s.rollout.plan import Plan
from k8s.rollout.questions import plan_of_watch
from k8s.rollout.readings import Reading, read_watch
from k8s.rollout.turn import FIRST_COPIES, Turn


def watch(turn: Turn) -> None:
    """Reads what the watch shows. After it an attempt may be on its way: the one that undoes."""
    watched, plan = turn.status.watch, plan_of_watch(turn.status)
    if watched is None:
        return
    if plan is None:
        turn.change(watch=None)
        return
    reading = read_watch(turn, plan)
    if reading.decision is not None and reading.says("rollback"):
        _undo(turn, watched, plan, reading.decision.gate or "crash", reading.decision.reason)
    else:
        _propose(turn, reading)
        _end(turn, watched)


def _propose(turn: Turn, reading: Reading) -> None:
    """Loud once, and shown as long as it stands."""
    proposal = getattr(reading.decision, "proposal", "")
    watched = turn.status.watch
    if watched is None or not reading.blocks:
        return
    if proposal and not watched.proposed_undo:
        turn.note("rollout.undo_proposed", f"undoing is proposed: {proposal}; `vigil rollout undo` brings it back")
    turn.change(watch=watched.model_copy(update={"proposed_undo": proposal}))


def _end(turn: Turn, watched: Watch) -> None:
    """The watch is over with its time, when no block is left to be read."""
    left = turn.world.evidence is not None and len(turn.world.evidence.blocks) > 0
    if turn.now >= watched.until and not left:
        turn.note("rollout.watched", f"{turn.status.stable} was watched for its time; nothing undid it")
        turn.change(watch=None, gates=())


def _undo(turn: Turn, watched: Watch, plan: Plan, gate: str, reason: str) -> None:
    """Brings the previous model back, by the same steps as any promotion; without gates, as it served before."""
    crashed = turn.status.stable
    if crashed is None:
        return
    ban = Ban(at=turn.now, gate=gate, reason=reason[:500])
    turn.change(watch=None, banned={**turn.status.banned, crashed: ban})
    if watched.previous in turn.status.banned:
        message = f"{crashed} crashed, and {watched.previous}, which was before it, is banned: somebody has to choose"
        turn.note("rollout.undo_impossible", message)
        return
    attempt = Attempt(
        id=attempt_id(watched.previous, turn.now),
        candidate=watched.previous,
        stable=crashed,
        started_at=turn.now,
        plan=plan,
        by="watch",
        suspended=Suspension(since=turn.now, reason=FIRST_COPIES),
    )
    turn.change(attempt=attempt, gates=())
    begun = {"candidate": attempt.candidate, "stable": crashed, "by": "watch", "plan": plan.model_dump(mode="json")}
    turn.note("rollout.started", f"{watched.previous} comes back: {crashed} failed its watch ({reason})", **begun)
    turn.change_attempt(promoting_since=turn.now)
    turn.conclude(Verdict(outcome=Outcome.PROMOTED, gate="undo", reason=reason, at=turn.now, by="watch"))
    turn.say(Phase.PROMOTING, f"{watched.previous} comes back: {crashed} failed its watch ({reason}).")
