"""How a promotion begins: the verdict that is latched, by the gates, by a person's approval, or by force."""

from typing import Final

from k8s.rollout.model_rollout import Outcome, Phase, Verdict
from k8s.rollout.turn import Turn

UNDO: Final = "undo"
"""Gate of a promotion that brings the previous model back."""


def begin_promotion(turn: Turn, verdict: Verdict) -> None:
    """Latches the promotion before anything is done about it."""
    turn.change_attempt(promoting_since=turn.now)
    turn.conclude(verdict)
    turn.note("rollout.promoting", f"{turn.attempt.candidate} takes over from {turn.attempt.stable}")
    turn.say(Phase.PROMOTING, f"{turn.attempt.candidate} takes over from {turn.attempt.stable}.")
    turn.save()


def forced_promotion(turn: Turn) -> bool:
    """Begins the promotion that a person asked for whatever is known; False when nobody did, or it must wait.

    Going back to what was stable before is not held by a pause: it is what one pauses for.
    """
    request, attempt = turn.spec.promotion, turn.attempt
    if request is None or not request.skip_gates or not turn.fresh(request, attempt.candidate):
        return False
    undoes = attempt.candidate == turn.status.previous
    if turn.spec.paused is not None and not undoes:
        return False
    verdict = Verdict(
        outcome=Outcome.PROMOTED, gate=UNDO if undoes else "forced", reason=request.reason, at=turn.now, by=request.by
    )
    message = f"{request.by} promotes {attempt.candidate} without its gates: {request.reason}"
    turn.note("rollout.forced", message, by=request.by, reason=request.reason)
    if turn.recorded() == 0:
        turn.put(0)
    begin_promotion(turn, verdict)
    return True
