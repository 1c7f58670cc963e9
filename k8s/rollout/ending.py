"""How an attempt ends: the verdict, reached first and latched, and what is done about it afterwards."""

from dataclasses import dataclass
from typing import Final

from k8s.rollout.model_rollout import Outcome, Phase, Verdict
from k8s.rollout.readings import ENDS, Reading
from k8s.rollout.starting import put_away
from k8s.rollout.turn import Turn

INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True)
class End:
    """Why an attempt should end now."""

    outcome: Outcome
    gate: str
    reason: str
    by: str = "controller"


def reason_to_end(turn: Turn, reading: Reading) -> End | None:
    """What ends an attempt without a promotion. Evidence of harm comes first: only that bans the model."""
    decision = reading.decision
    if decision is not None and reading.says(*ENDS):
        return End(Outcome.ROLLED_BACK, decision.gate or "harm", decision.reason)
    if ended := _by_people(turn):
        return ended
    if decision is not None and reading.says("inconclusive"):
        return End(Outcome.INCONCLUSIVE, decision.gate or "deadline", decision.reason)
    return None


def aborted(turn: Turn) -> End | None:
    """Somebody ended it."""
    abort = turn.spec.abort
    if abort is None or not turn.fresh(abort, turn.attempt.candidate):
        return None
    return End(Outcome.ABORTED, "abort", f"{abort.by}: {abort.reason}", abort.by)


def _by_people(turn: Turn) -> End | None:
    wanted, ours = turn.spec.candidate, turn.attempt.candidate
    if ended := aborted(turn):
        return ended
    if wanted is None:
        return End(Outcome.ABORTED, "spec", "the candidate was taken out of the spec")
    if wanted != ours:
        return End(Outcome.SUPERSEDED, "spec", f"{wanted} is the candidate now")
    return None


def end(turn: Turn, found: End) -> None:
    """Weight 0 first, then the record; copies go at a later tick, when the gateway has followed."""
    turn.put(0)
    latch(turn, found)


def latch(turn: Turn, found: End) -> None:
    """Records the verdict, from which nothing but putting away follows."""
    turn.weigh(turn.split.canary)
    turn.conclude(Verdict(outcome=found.outcome, gate=found.gate, reason=found.reason, at=turn.now, by=found.by))
    turn.say(Phase.ROLLING_BACK, f"{turn.attempt.candidate} is {found.outcome} by '{found.gate}': {found.reason}")
    turn.save()


def carry_out(turn: Turn) -> None:
    """After a verdict other than a promotion: traffic and stable back, copies down, and then the attempt is over."""
    attempt, stable = turn.attempt, turn.copies["stable"]
    turn.put(0)
    turn.weigh(turn.split.canary)
    if stable.tag != attempt.stable:
        turn.save()
        turn.assign("stable", attempt.stable)
        _wait(turn, f"stable rolls back to {attempt.stable}")
    elif stable.ready_other or (turn.split.canary and not stable.ready):
        _wait(turn, f"stable rolls back to {attempt.stable}: {stable.ready} of {stable.wanted} copies are ready")
    elif turn.split.canary or turn.draining():
        _wait(turn, "its last requests end")
    elif put_away(turn):
        over(turn)
    else:
        _wait(turn, "its copies are going")


def over(turn: Turn) -> None:
    """The attempt is history."""
    attempt = turn.attempt
    outcome = attempt.verdict.outcome if attempt.verdict else "over"
    turn.note("rollout.ended", f"the rollout of {attempt.candidate} is over: {outcome}", outcome=str(outcome))
    turn.change(attempt=None, last=attempt)
    turn.say(Phase.IDLE, f"The rollout of {attempt.candidate} is over: {outcome}.")


def _wait(turn: Turn, what: str) -> None:
    verdict = turn.attempt.verdict
    outcome = f"{verdict.outcome} by '{verdict.gate}'" if verdict else ""
    turn.say(Phase.ROLLING_BACK, f"{turn.attempt.candidate} is {outcome}: {what}.")
