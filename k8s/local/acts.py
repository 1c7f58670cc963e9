"""The demo's stories: a candidate each, its plan, and how it must end. The rules are those of every rollout.

A plan of the demo is compressed: a block is a second instead of half a minute, so what takes a quarter of an hour in
production takes half a minute here. Everything else is a default, but for what a story says.
"""

from dataclasses import dataclass
from typing import Final, Literal

from k8s.local.demo_cast import POOL_PER_SECOND, SLOW_ONE_IN, SLOW_SECONDS, Cast
from k8s.rollout.model_rollout import Outcome
from k8s.rollout.plan import Plan, ShadowPlan

BLOCK_SECONDS: Final = 1.0
CAREFUL_MIRROR: Final = 12
"""Per cent: less than the leaking pool's rate, so that the shadow is well and only the canary can find it out."""

LONGEST_SECONDS: Final = 200.0
"""A story that is not over then did not end as it must."""

Bad = Literal["errors", "slow", "all"]
"""Which answers of a candidate to customers are bad: failed, over the objective, or every one."""


@dataclass(frozen=True)
class Act:
    """One story. `gates`: by whichever of them it must end. `most_bad`: bad answers that may be served at the most."""

    key: str
    title: str
    told: str
    candidate: str
    plan: Plan
    outcome: Outcome
    gates: tuple[str, ...]
    bad: Bad
    most_bad: int
    compared: bool = True


def acts(cast: Cast) -> tuple[Act, ...]:
    """The four rollouts, in their order: each later one has the challenger as stable."""
    fast = Plan(block_seconds=BLOCK_SECONDS)
    return (
        Act(
            "good",
            "A good candidate is promoted",
            "The challenger is better than the champion, and behaves live as its evaluation said.",
            cast.challenger.tag,
            fast,
            Outcome.PROMOTED,
            ("all",),
            "errors",
            0,
        ),
        Act(
            "leak",
            "Errors that begin at 25 %",
            f"Its connection pool gives back {POOL_PER_SECOND:g} connections a second: enough as a shadow of "
            f"{CAREFUL_MIRROR} % and with 5 % of the entities, too few with 25 %.",
            cast.leaking,
            fast.model_copy(update={"shadow": ShadowPlan(mirror=CAREFUL_MIRROR)}),
            Outcome.ROLLED_BACK,
            ("errors", "crash"),
            "errors",
            400,  # a third of 75 a second, for as long as the evidence needs, and twice that
        ),
        Act(
            "tail",
            "A slow tail",
            f"One request in {SLOW_ONE_IN} takes {SLOW_SECONDS * 1000:g} ms longer. The plan has no shadow phase, so "
            "customers find it first.",
            cast.slow,
            fast.model_copy(update={"shadow": None}),
            Outcome.ROLLED_BACK,
            ("over_slo",),
            "slow",
            50,
            compared=False,
        ),
        Act(
            "skew",
            "Right offline, wrong live",
            f"Its serving path reads {cast.skewed_field} as 0. Every HTTP metric is healthy; only its answers to the "
            "same requests differ from what its evaluation said.",
            cast.skewed,
            fast,
            Outcome.ROLLED_BACK,
            ("flips", "score"),
            "all",
            0,
        ),
    )


def described(plan: Plan) -> str:
    """The numbers of a plan that a story shows."""
    steps = " -> ".join(f"{step.weight}" for step in plan.canary.steps)
    shadow = f"a shadow of {plan.shadow.mirror} % of the requests" if plan.shadow else "no shadow"
    return (
        f"plan: blocks of {plan.block_seconds:g} s; {shadow}; then {steps} % of the entities, at least "
        f"{plan.canary.step_blocks} blocks each and {plan.canary.min_blocks} in all; alpha {plan.alpha:g}"
    )
