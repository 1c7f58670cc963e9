"""A promotion: stable is rolled to the candidate while the canary carries the traffic; nobody waits for a model.

canary as large as stable -> weight 100 -> stable rolls -> every copy of it ready with the tag -> weight back ->
canary down. Before stable changes hands a failure sets the weight first and is recorded afterwards, as everywhere; once
it has, both roles run the candidate, and what counts is that the record is never in doubt: it comes first.
"""

from k8s.rollout.approval import UNDO
from k8s.rollout.decide import watched
from k8s.rollout.ending import INTERRUPTED, End, aborted, carry_out, end, latch, over
from k8s.rollout.model_rollout import Attempt, Outcome, Phase, Watch
from k8s.rollout.questions import hours
from k8s.rollout.readings import Reading, read_canary
from k8s.rollout.routers import Role
from k8s.rollout.shadow_phase import wanted_copies
from k8s.rollout.starting import put_away
from k8s.rollout.turn import Turn


def promotion(turn: Turn) -> None:
    """One tick of a promotion that was recorded. A pause or a window does not stop it half-way."""
    attempt = turn.attempt
    reading = read_canary(turn)
    untouched = turn.copies["stable"].tag == attempt.stable
    found = _failed(turn, reading)
    if found and untouched:
        end(turn, found)
    elif found:
        if not turn.available("canary"):
            _back_to_stable(turn)
        latch(turn, found)
        carry_out(turn)
    elif untouched:
        _hand_over(turn)
    elif turn.copies["stable"].tag == attempt.candidate:
        _take_over(turn)
    else:
        rolled = any(share >= 1 for _, share in attempt.weights)
        turn.assign("stable", attempt.candidate if rolled else attempt.stable)
        _say(turn, "somebody gave stable another model; that is put right")


def _failed(turn: Turn, reading: Reading) -> End | None:
    """Why the promotion is taken back, if it is."""
    attempt, decision = turn.attempt, reading.decision
    if decision is not None and reading.says("rollback"):
        return End(Outcome.ROLLED_BACK, decision.gate or "harm", decision.reason)
    if ended := aborted(turn):
        return ended
    untouched = turn.copies["stable"].tag == attempt.stable
    if untouched and turn.fallen():
        reason = f"the canary's weight was found at 0 instead of {turn.recorded()} % in the middle of the promotion"
        return End(Outcome.ROLLED_BACK, INTERRUPTED, reason)
    since, limit = attempt.promoting_since, attempt.plan.progress_blocks
    if since is not None and turn.blocks_since(since) > limit and not _taken_over(turn):
        role: Role = "canary" if untouched else "stable"
        copies = turn.copies[role]
        why = f" ({copies.problem})" if copies.problem else ""
        ready = f"{copies.ready} of {_size(turn)} copies of the {role} are ready{why}"
        return End(Outcome.ROLLED_BACK, "promotion", f"it was not done in {limit} blocks: {ready}")
    return None


def _hand_over(turn: Turn) -> None:
    """Stable still runs what it ran: all traffic goes to the canary first."""
    attempt, size = turn.attempt, _size(turn)
    if not wanted_copies(turn, "canary", size):
        turn.put(0)
        turn.weigh(turn.split.canary)
        turn.suspend("no copy of the canary is ready in the promotion")
        _say(turn, "no copy of the canary is ready; stable has all traffic")
        return
    turn.scale("shadow", 0)
    if not turn.complete("canary") or turn.copies["canary"].ready < size:
        turn.put(turn.split.canary)
        _say(turn, f"{turn.copies['canary'].ready} of {size} copies of the canary are ready")
    elif turn.world.split.canary == 100 and turn.recorded() == 100 and turn.attempt.suspended is None:
        turn.assign("stable", attempt.candidate)
        _say(turn, "the canary has all traffic; stable rolls")
    else:
        turn.put(100)
        turn.weigh(100)
        turn.back("copies of the canary are ready again")
        turn.change_attempt(canary_since=attempt.canary_since or turn.now)
        turn.note("rollout.step", "the canary has all traffic", weight=100)
        _say(turn, "the canary has all traffic")


def _take_over(turn: Turn) -> None:
    """Stable has the new model: it gets the traffic when all of its copies run it."""
    stable = turn.copies["stable"]
    if not _taken_over(turn):
        if not turn.available("canary"):
            _back_to_stable(turn)
        _say(turn, f"{stable.ready} of {_size(turn)} copies of stable run {turn.attempt.candidate}")
    elif _back_to_stable(turn) or turn.draining():
        _say(turn, "stable has all traffic again; the canary's last requests end")
    elif put_away(turn):
        _done(turn)
    else:
        _say(turn, "the canary's copies are going")


def _back_to_stable(turn: Turn) -> bool:
    changed = turn.put(0)
    turn.weigh(turn.split.canary)
    return changed


def _taken_over(turn: Turn) -> bool:
    """Whether every copy of stable runs the candidate, and nothing else of it is left."""
    stable = turn.copies["stable"]
    whole = stable.tag == turn.attempt.candidate and stable.ready >= _size(turn)
    return whole and stable.ready_other == 0 and stable.settled


def _size(turn: Turn) -> int:
    """Stable's copies: as many as the user or the autoscaler wants."""
    return max(1, turn.copies["stable"].wanted)


def _done(turn: Turn) -> None:
    attempt = turn.attempt
    undone = attempt.verdict is not None and attempt.verdict.gate == UNDO
    kind, word = ("rollout.undone", "back") if undone else ("rollout.promoted", "stable")
    turn.note(kind, f"{attempt.candidate} is {word}, {attempt.stable} was before", candidate=attempt.candidate)
    kept = {tag: ban for tag, ban in turn.status.banned.items() if tag != attempt.candidate}
    watch = None if undone else _watch(turn, attempt)
    over(turn)
    turn.change(stable=attempt.candidate, previous=attempt.stable, banned=kept, watch=watch)


def _watch(turn: Turn, attempt: Attempt) -> Watch | None:
    lasting = hours(attempt.plan.watch_hours)
    if not lasting:
        return None
    return Watch(
        attempt=attempt.id,
        since=turn.now,
        until=turn.now + lasting,
        previous=attempt.stable,
        state=watched(attempt.canary),
    )


def _say(turn: Turn, what: str) -> None:
    turn.say(Phase.PROMOTING, f"{turn.attempt.candidate} takes over from {turn.attempt.stable}: {what}.")
