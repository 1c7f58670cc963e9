"""What the blocks of evidence of one tick say, read one by one in their order."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from k8s.rollout import block_times
from k8s.rollout.answers import Decision
from k8s.rollout.blocks import CanaryBlock, ShadowBlock, Waiting
from k8s.rollout.canary import CanaryState
from k8s.rollout.labelled import judged
from k8s.rollout.model_rollout import Attempt, Phase
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction, usable
from k8s.rollout.questions import Kind, question
from k8s.rollout.turn import Turn

ENDS: Final = ("rollback", "fail")
"""What is said once is never taken back, whatever later blocks say."""


UNTIL_THE_NEXT: Final = 2 + block_times.CLOSES_AFTER
"""How old the phase is at most, in blocks, while block 0 is the newest one."""


@dataclass(frozen=True)
class Reading:
    """`decision` is the last block's, or the one that ends the attempt; None: there was nothing to decide on.

    `advanced`: some block said that the weight may rise. It may not have risen: only the last word counts, and only
    when `current`, that is when there is nothing newer that could be known.
    """

    decision: Decision[Any] | None = None
    advanced: bool = False
    current: bool = False
    waiting: Waiting | None = None
    blocks: int = 0
    """How many were read."""

    def says(self, *actions: str) -> bool:
        return self.decision is not None and self.decision.action in actions


def read_shadow(turn: Turn) -> Reading:
    """Reads the shadow's new blocks into the attempt; each is recorded as an event."""
    attempt = turn.attempt
    prediction, unpredicted = predicted(turn)
    since = attempt.shadow_since

    def decide(block: ShadowBlock | CanaryBlock | None, waiting: Waiting | None, age: float) -> Decision[Any]:
        return turn.gates.shadow(
            turn.attempt.shadow,
            () if block is None else (block,),
            attempt.plan,
            prediction,
            waiting=waiting,
            age_blocks=age,
            unpredicted=unpredicted,
            labels=judged(turn.world.looks, attempt.plan),
        )

    return Reading() if since is None else _Reader(turn, "shadow", since, attempt.plan).read(decide)


def read_canary(turn: Turn) -> Reading:
    """Reads the canary's new blocks into the attempt; each is recorded as an event."""
    attempt = turn.attempt
    since = attempt.canary_since

    def decide(block: ShadowBlock | CanaryBlock | None, waiting: Waiting | None, age: float) -> Decision[Any]:
        return turn.gates.canary(
            turn.attempt.canary,
            () if block is None else (block,),
            attempt.plan,
            step=attempt.step,
            rho=rho(attempt),
            waiting=waiting,
            age_blocks=age,
            step_age_blocks=step_age(attempt, age),
            labels=judged(turn.world.looks, attempt.plan),
        )

    return Reading() if since is None else _Reader(turn, "canary", since, attempt.plan).read(decide)


def read_watch(turn: Turn, plan: Plan) -> Reading:
    """Reads the new blocks of the watch after a promotion; each is recorded as an event."""
    watch = turn.status.watch

    def decide(block: ShadowBlock | CanaryBlock | None, waiting: Waiting | None, age: float) -> Decision[Any]:
        state = turn.status.watch.state if turn.status.watch else CanaryState()
        labels = judged(turn.world.looks, plan)
        new = () if block is None else (block,)
        return turn.gates.watch(state, new, plan, waiting=waiting, age_blocks=age, labels=labels)

    return Reading() if watch is None else _Reader(turn, "watch", watch.since, plan).read(decide)


def predicted(turn: Turn) -> tuple[Prediction | None, str]:
    """The prediction that the shadow is compared with; None and why when there is none that still holds.

    One may become stale while the shadow runs: what was true of yesterday's inputs is then no measure any more.
    """
    prediction = turn.world.prediction
    why = turn.world.prediction_problem or usable(prediction, turn.now, turn.attempt.plan)
    return (None, why) if why else (prediction, "")


def say_why(turn: Turn, phase: Phase, reading: Reading) -> None:
    """What it waits for. Between two blocks that is what the last one said."""
    waiting, decision = reading.waiting, reading.decision
    if waiting is not None and waiting.obstacle != "not closed":
        turn.say(phase, f"Holds ({waiting.obstacle}): {waiting.detail}")
    elif decision is not None and (reading.blocks or turn.status.phase is not phase):
        turn.say(phase, decision.reason)
    elif turn.status.phase is not phase:
        turn.say(phase, "The first block of evidence is not closed yet.")


def rho(attempt: Attempt) -> float:
    """The ratio of flagged requests that is expected of the candidate."""
    return attempt.rho if attempt.rho is not None else 1.0


def step_age(attempt: Attempt, age: float) -> float:
    """How long the weight was in force when the canary phase was so old, in blocks."""
    if attempt.step_since is None or attempt.canary_since is None:
        return 0.0
    began = (attempt.step_since - attempt.canary_since).total_seconds() / attempt.plan.block_seconds
    return max(0.0, age - began)


class _Reader:
    """Reads blocks of one kind into the turn's status."""

    def __init__(self, turn: Turn, kind: Kind, since: datetime, plan: Plan) -> None:
        self._turn = turn
        self._kind = kind
        self._since = since
        self._age = max(0.0, (turn.now - since).total_seconds() / plan.block_seconds)

    def read(self, decide: Any) -> Reading:
        answer, asked = self._turn.world.evidence, question(self._turn.world.rollout)
        if answer is None or asked is None or asked[0] != self._kind:
            return Reading()
        following = asked[1].after + len(answer.blocks) + 1
        current = self._turn.now < block_times.closes(asked[1], following)
        decision, advanced = None, False
        blocks: Sequence[ShadowBlock | CanaryBlock] = answer.blocks
        for block in blocks:
            # A block that is caught up with is judged as it was while it was the newest: one that made a weight rise,
            # before the controller died, says so again.
            age = min(self._age, block.number + UNTIL_THE_NEXT)
            decision = decide(block, None, age)
            self._take(decision, block.number, age)
            advanced = advanced or decision.action in ("advance", "promote")
            if decision.action in ENDS:
                return Reading(decision, advanced, current, answer.waiting, len(answer.blocks))
        if not answer.blocks:
            decision = decide(None, answer.waiting, self._age)
            self._remember(decision)
        return Reading(decision, advanced, current, answer.waiting, len(answer.blocks))

    def _take(self, decision: Decision[Any], number: int, age: float) -> None:
        """Goes on from the decision's state, and records the decision so that it can be made again."""
        self._remember(decision)
        turn = self._turn
        numbers: dict[str, Any] = {"phase": self._kind, "since": self._since.isoformat(), "block": number}
        numbers |= {
            "action": decision.action,
            "gate": decision.gate,
            "age_blocks": age,
            "harm": decision.harm,
            "harm_bound": decision.harm_bound,
        }
        if turn.world.looks is not None:
            numbers["labels"] = asdict(turn.world.looks)
        if self._kind == "shadow":
            prediction, _ = predicted(turn)
            numbers["prediction"] = asdict(prediction) if prediction else None
        if self._kind == "canary":
            attempt = turn.attempt
            numbers |= {"step": attempt.step, "step_age_blocks": step_age(attempt, age), "rho": rho(attempt)}
        turn.note("rollout.decision", f"block {number}: {decision.action}. {decision.reason}", **numbers)

    def _remember(self, decision: Decision[Any]) -> None:
        turn = self._turn
        if turn.status.attempt is not None:
            turn.change_attempt(**{self._kind: decision.state})
        elif turn.status.watch is not None:
            turn.change(watch=turn.status.watch.model_copy(update={"state": decision.state}))
        turn.change(gates=tuple(asdict(gate) for gate in decision.gates))
