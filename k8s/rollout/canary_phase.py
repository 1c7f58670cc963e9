"""The canary phase: the candidate answers a growing share of the entities, step by step, up or to nothing."""

from typing import Final

from k8s.rollout.approval import begin_promotion, forced_promotion
from k8s.rollout.ending import INTERRUPTED, End, end, reason_to_end
from k8s.rollout.model_rollout import Outcome, Phase, Verdict
from k8s.rollout.readings import Reading, read_canary, say_why
from k8s.rollout.shadow_phase import copies_for, out_of_service, wanted_copies
from k8s.rollout.starting import correct_stable
from k8s.rollout.turn import Turn

WAITS_FOR_APPROVAL: Final = (
    "Every gate is satisfied; the plan wants a person's approval: `vigil rollout promote` gives it."
)
ALL_GATES: Final = "every gate is satisfied at the last step"


def canary_phase(turn: Turn) -> None:
    """Down before anything else, then the copies, then up if every gate and nobody stands against it."""
    reading = read_canary(turn)
    if found := reason_to_end(turn, reading) or _latched(turn, reading):
        end(turn, found)
    elif turn.fallen():
        # It was set to 0 for a reason that nobody recorded: until the evidence can be read it stays there.
        say_why(turn, Phase.ROLLING_BACK, reading)
    elif (turn.split.canary == 0 or turn.available("canary")) and forced_promotion(turn):
        pass
    elif not wanted_copies(turn, "canary", copies_for(turn, _weight_in_force(turn))):
        out_of_service(turn, "canary", begun=turn.attempt.step is not None)
    elif turn.copies["stable"].tag != turn.attempt.stable:
        correct_stable(turn, turn.attempt.stable)
        _keep(turn)
        turn.say(Phase.CANARY, f"Holds: stable rolls back to {turn.attempt.stable}, which somebody had replaced.")
    else:
        _go_on(turn, reading)


def _latched(turn: Turn, reading: Reading) -> End | None:
    """The end that was cut short: the evidence says again what it was; if it says nothing, nobody knows."""
    if not turn.fallen() or not reading.current:
        return None
    reason = (
        f"the canary's weight was found at 0 instead of {turn.recorded()} %, and nothing says why: somebody set it, or "
        "a controller died while it rolled back"
    )
    return End(Outcome.INCONCLUSIVE, INTERRUPTED, reason)


def _go_on(turn: Turn, reading: Reading) -> None:
    """Some copies are ready: the weight in force, or the next one."""
    if turn.attempt.step is None:
        _first_step(turn)
    elif turn.attempt.suspended is not None:
        # And nothing else: each tick changes the weight once, so that what is found has one reason.
        _resume(turn, reading)
    elif _risen(turn, reading):
        _record_step(turn, _step(turn) + 1)
    elif reading.says("advance", "promote") and reading.current:
        _rise(turn, reading)
    else:
        _keep(turn, unless_risen=not reading.current)
        say_why(turn, Phase.CANARY, reading)


def _first_step(turn: Turn) -> None:
    """From nothing to the first step: no gate is asked, but every copy must be ready."""
    weight = turn.attempt.plan.canary.steps[0].weight
    if turn.world.split.canary == weight:  # a controller died before it recorded it
        _record_step(turn, 0)
    elif held := turn.held():
        turn.put(0)
        turn.back("copies of the canary are ready")
        turn.say(Phase.WAITING, f"The canary is ready for its first {weight} %. Held: {held}.")
    elif _enough_copies(turn, weight):
        turn.put(weight)
        _record_step(turn, 0)
    else:
        turn.put(0)


def _resume(turn: Turn, reading: Reading) -> None:
    """Puts the step's weight back after a suspension, unless nothing may rise, or evidence of harm may wait unread."""
    weight = _weight_in_force(turn)
    held = turn.held() or ("" if reading.current else "the evidence can't be read up to now")
    if turn.world.split.canary != weight and held:
        turn.put(0)
        turn.say(Phase.CANARY, f"The canary is ready again; its weight stays 0 %. Held: {held}.")
        return
    turn.put(weight)
    turn.weigh(weight)
    turn.back(f"copies of the canary are ready again: {weight} %")
    turn.say(Phase.CANARY, f"The canary has its {weight} % again.")


def _risen(turn: Turn, reading: Reading) -> bool:
    """Whether the next step's weight is in force and was decided: a controller died before it recorded it."""
    following = _following(turn)
    return following is not None and turn.world.split.canary == following and reading.advanced


def _rise(turn: Turn, reading: Reading) -> None:
    following = _following(turn)
    if following is None and reading.says("promote"):
        _promote(turn)
    elif following is None:
        _keep(turn)
    elif held := turn.held():
        _keep(turn)
        turn.say(Phase.CANARY, f"Every gate is satisfied for {following} %. Held: {held}.")
    elif _enough_copies(turn, following):
        turn.put(following)
        _record_step(turn, _step(turn) + 1)
    else:
        _keep(turn)


def _promote(turn: Turn) -> None:
    """Records the verdict, or says what it waits for. What it asks for is done from the next tick on."""
    attempt, approval = turn.attempt, turn.spec.promotion
    approved = approval is not None and turn.fresh(approval, attempt.candidate)
    _keep(turn)
    if held := turn.held():
        turn.say(Phase.CANARY, f"Every gate is satisfied. Held: {held}.")
    elif attempt.plan.approval == "manual" and not approved:
        if turn.status.message != WAITS_FOR_APPROVAL:
            turn.note("rollout.waits_for_approval", WAITS_FOR_APPROVAL)
        turn.say(Phase.CANARY, WAITS_FOR_APPROVAL)
    else:
        by = approval.by if approval and approved else "controller"
        begin_promotion(turn, Verdict(outcome=Outcome.PROMOTED, gate="all", reason=ALL_GATES, at=turn.now, by=by))


def _enough_copies(turn: Turn, weight: int) -> bool:
    """Whether the copies that a weight needs are ready; if not, they are asked for."""
    needed, copies = copies_for(turn, weight), turn.copies["canary"]
    if copies.wanted >= needed and turn.complete("canary"):
        return True
    turn.scale("canary", max(needed, copies.wanted))
    why = f" ({copies.problem})" if copies.problem else ""
    turn.say(Phase.CANARY, f"{copies.ready} of {needed} copies for {weight} % are ready{why}.")
    return False


def _keep(turn: Turn, *, unless_risen: bool = False) -> None:
    """Sees to it that the recorded weight is in force: nobody else sets it.

    `unless_risen`: the next step's weight stays, too, while the evidence that would have led to it can't be read.
    """
    found, weight, attempt = turn.world.split.canary, _weight_in_force(turn), turn.attempt
    stays = (unless_risen and found == _following(turn)) or (found < weight and turn.held() is not None)
    if attempt.step is None or attempt.suspended is not None or stays:
        turn.put(turn.split.canary)
    elif turn.put(weight) and found != weight:
        turn.correct(f"somebody set the canary to {found} %: it is {weight} % again", found=found)


def _record_step(turn: Turn, step: int) -> None:
    weight = turn.attempt.plan.canary.steps[step].weight
    turn.put(weight)
    turn.weigh(weight)
    turn.back("copies of the canary are ready")
    turn.change_attempt(step=step, step_since=turn.now, canary_since=turn.attempt.canary_since or turn.now)
    turn.note("rollout.step", f"the canary has {weight} % of the entities", step=step, weight=weight)
    turn.say(Phase.CANARY, f"The canary has {weight} % of the entities.")


def _step(turn: Turn) -> int:
    return turn.attempt.step if turn.attempt.step is not None else 0


def _weight_in_force(turn: Turn) -> int:
    """Of the step that was recorded last."""
    return turn.attempt.plan.canary.steps[_step(turn)].weight


def _following(turn: Turn) -> int | None:
    steps, following = turn.attempt.plan.canary.steps, _step(turn) + 1
    return steps[following].weight if following < len(steps) else None
