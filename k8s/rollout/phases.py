"""What to do next: the state machine of a rollout. Pure, and driven by levels.

Nothing is planned ahead: each tick looks at the world, and at what the status remembers of it, and says what to do
now. So a controller may be killed between any two commands, and whoever comes next goes on from what there is.

    no attempt    starting, watching   put away what nobody needs, watch the new stable, let a candidate in
    no verdict    shadow_phase         copies -> mirror -> gates -> mirror off -> copies down
                  canary_phase         copies -> 5, 25, 50 % -> gates; no copy ready: 0 % at once
    promoted      promotion            canary as large as stable -> 100 % -> stable rolls -> weight back -> canary down
    other verdict ending               0 %, stable as it was, copies down

Three rules keep it safe. Traffic goes where copies are ready, and leaves before they go. A weight rises before it is
recorded and only where the record says that it may: found higher by the next step, it is decided again. A weight that
is found at 0 although a higher one was recorded never rises again (`Turn.fallen`).
"""

from k8s.rollout.canary_phase import canary_phase
from k8s.rollout.ending import carry_out
from k8s.rollout.gates import Gates
from k8s.rollout.model_rollout import Outcome
from k8s.rollout.promotion import promotion
from k8s.rollout.questions import question
from k8s.rollout.shadow_phase import shadow_phase
from k8s.rollout.starting import without_attempt
from k8s.rollout.turn import Turn
from k8s.rollout.world import Assign, Command, Save, Scale, SetSplit, World

__all__ = ["Assign", "Command", "Gates", "Save", "Scale", "SetSplit", "World", "next_commands", "question"]

REAL = Gates()


def next_commands(world: World, gates: Gates = REAL) -> tuple[Command, ...]:
    """What to do now, in this order; when one fails, the next tick begins again from what the world shows."""
    turn = Turn(world, gates)
    _act(turn)
    return turn.commands()


def _act(turn: Turn) -> None:
    attempt = turn.status.attempt
    if attempt is None:
        without_attempt(turn)
    elif attempt.verdict is None:
        _towards_a_verdict(turn)
    elif attempt.verdict.outcome is Outcome.PROMOTED:
        promotion(turn)
    else:
        carry_out(turn)


def _towards_a_verdict(turn: Turn) -> None:
    plan = turn.attempt.plan.shadow
    if plan is not None and turn.attempt.shadow_passed_at is None:
        shadow_phase(turn, plan)
    else:
        canary_phase(turn)
