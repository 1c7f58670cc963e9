"""No attempt is on its way: all is put away, stable is what it should be, a candidate is let in or refused."""

from k8s.rollout.fleets import Copies
from k8s.rollout.model_rollout import Attempt, Phase, Request, Suspension, attempt_id
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Role
from k8s.rollout.turn import FIRST_COPIES, Turn
from k8s.rollout.watching import watch

NOT_STABLE: tuple[Role, Role] = ("canary", "shadow")


def without_attempt(turn: Turn) -> None:
    """What to do while no attempt is on its way."""
    known = _has_stable(turn)
    if not put_away(turn):
        turn.say(Phase.IDLE, "Copies that nobody needs are going.")
    elif known:
        watch(turn)
        if turn.status.attempt is None:
            _let_in(turn)


def put_away(turn: Turn) -> bool:
    """Stable has all traffic and the other roles are gone: True once it is so."""
    if turn.put(0) or turn.split.canary:
        return False
    for role in NOT_STABLE:
        turn.scale(role, 0)
    for role in NOT_STABLE:
        if _gone(turn.copies[role]):
            turn.assign(role, None)
    return all(_gone(turn.copies[role]) for role in NOT_STABLE)


def _has_stable(turn: Turn) -> bool:
    """Stable runs what the status says. When that says nothing, as after it was lost, what runs is taken over."""
    running, known = turn.copies["stable"].tag, turn.status.stable
    if known is None and running is not None:
        turn.change(stable=running)
        turn.note("rollout.adopted", f"stable runs {running}, which is stable from now on", stable=running)
        turn.say(Phase.IDLE, f"{running} is stable.")
        return False
    if known is not None and running != known:
        correct_stable(turn, known)
    elif known is None:
        return _first(turn)
    return True


def correct_stable(turn: Turn, tag: str) -> None:
    """Nobody puts a model into stable by another way than a rollout."""
    found = turn.copies["stable"].tag or "no model"
    turn.assign("stable", tag)
    turn.correct(f"somebody else gave stable {found}: it is rolled back to {tag}", found=found)


def _first(turn: Turn) -> bool:
    """Without any stable the first model comes by force: there is nothing that it could be compared with."""
    candidate = turn.spec.candidate
    if candidate is None:
        turn.say(Phase.IDLE, "There is no stable model yet, and no candidate.")
        return False
    forced = _forced_by(turn, candidate)
    if forced is None:
        reason = "there is no stable model to compare it with: give stable its first model by bootstrap, or force it"
        _refuse(turn, candidate, reason)
        return False
    turn.note("rollout.forced", f"{candidate} becomes the first stable model: {_said(forced)}", by=forced.by)
    turn.save()
    turn.assign("stable", candidate)
    turn.say(Phase.STARTING, f"{candidate} becomes the first stable model.")
    return False


def _let_in(turn: Turn) -> None:
    candidate, stable = turn.spec.candidate, turn.status.stable
    if candidate is None:
        turn.say(Phase.IDLE, f"{stable} is stable, and there is no candidate.{_watched(turn)}")
    elif candidate == stable:
        turn.say(Phase.IDLE, f"{stable} is stable.{_watched(turn)}")
    elif reason := _refused(turn, candidate):
        _refuse(turn, candidate, reason)
    elif turn.status.last is not None and turn.status.last.id == attempt_id(candidate, turn.now):
        turn.say(Phase.WAITING, f"{candidate} starts again in a moment.")  # its attempt needs a name of its own
    elif not turn.copies["stable"].ready:
        problem = turn.copies["stable"].problem
        turn.say(Phase.WAITING, f"{candidate} waits: no copy of stable is ready{f' ({problem})' if problem else ''}.")
    else:
        _begin(turn, candidate)


def _refused(turn: Turn, candidate: str) -> str | None:
    """Why the candidate may not start, in words; None when it may."""
    spec, status = turn.spec, turn.status
    forced = _forced_by(turn, candidate)
    if turn.fresh(spec.abort, candidate) and spec.abort is not None:
        return f"it was aborted before it began by {spec.abort.by}: {spec.abort.reason}"
    if (ban := status.banned.get(candidate)) and not forced:
        when = f"{ban.at:%Y-%m-%d %H:%M} UTC"
        return f"it was rolled back by '{ban.gate}' on {when} ({ban.reason}); `start --force` overrules"
    last = status.last
    if last and last.verdict and last.candidate == candidate and not forced and not turn.fresh(spec.asked, candidate):
        return f"its last rollout was {last.verdict.outcome} ({last.verdict.reason}); start it again to try once more"
    if spec.plan.contradiction and not forced:
        return f"its plan can't be carried out: {spec.plan.contradiction}"
    if turn.world.prediction_problem and not forced and spec.plan.shadow is not None:
        return f"its comparison with stable can't be read: {turn.world.prediction_problem}"
    return turn.gates.admission(turn.world.prediction, turn.now, spec.plan, forced is not None)


def _refuse(turn: Turn, candidate: str, reason: str) -> None:
    """Says so, and records it once."""
    message = f"{candidate} may not start: {reason}"
    if (turn.status.phase, turn.status.message) != (Phase.WAITING, message):
        turn.note("rollout.refused", message, candidate=candidate)
    turn.say(Phase.WAITING, message)


def _begin(turn: Turn, candidate: str) -> None:
    stable = turn.status.stable
    if stable is None:
        return
    forced, asked = _forced_by(turn, candidate), turn.spec.asked
    by = forced.by if forced else asked.by if asked and asked.tag == candidate else "spec"
    begin(turn, candidate, stable, turn.spec.plan, by)
    if forced is not None:
        message = f"{candidate} was let in by force: {_said(forced)}"
        turn.note("rollout.forced", message, by=forced.by, reason=forced.reason)
    turn.say(Phase.STARTING, f"{candidate} is about to start.")


def begin(turn: Turn, candidate: str, stable: str, plan: Plan, by: str) -> None:
    """Begins an attempt. The watch after the last promotion ends with it: stable is the measure again."""
    attempt = Attempt(
        id=attempt_id(candidate, turn.now),
        candidate=candidate,
        stable=stable,
        started_at=turn.now,
        plan=plan,
        by=by,
        rho=None if plan.shadow is not None or turn.world.prediction is None else turn.world.prediction.flagged_ratio,
        suspended=Suspension(since=turn.now, reason=FIRST_COPIES),
    )
    turn.change(attempt=attempt, watch=None, gates=())
    message = f"{candidate} starts against {stable}"
    turn.note("rollout.started", message, candidate=candidate, stable=stable, by=by, plan=plan.model_dump(mode="json"))


def _forced_by(turn: Turn, candidate: str) -> Request | None:
    """Who lets the candidate in whatever is known. A forced promotion is that, too."""
    spec = turn.spec
    if turn.fresh(spec.forced, candidate):
        return spec.forced
    skips = spec.promotion is not None and spec.promotion.skip_gates
    return spec.promotion if skips and turn.fresh(spec.promotion, candidate) else None


def _said(request: Request) -> str:
    return f"{request.by}: {request.reason}"


def _gone(copies: Copies) -> bool:
    return copies.wanted == 0 and copies.serving == 0 and copies.settled


def _watched(turn: Turn) -> str:
    watch = turn.status.watch
    if watch is None:
        return ""
    proposed = f" Undoing is proposed: {watch.proposed_undo}" if watch.proposed_undo else ""
    return f" It is watched until {watch.until:%Y-%m-%d %H:%M} UTC against {watch.previous}.{proposed}"
