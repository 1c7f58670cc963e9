"""The rules that the bench compares: ours, Flagger's and Argo's as their docs set them up, and one that always holds.

Flagger, "How it works": every minute, weight 10 to 50 % by 10, request-success-rate >= 99 %, request-duration (p99)
<= 500 ms, threshold 5 failed checks; no values count as a failed check. Argo Rollouts, "Analysis": success rate >= 95 %
every 5 minutes, failureLimit 3, at 20, 40, 60, 80 % for a quarter of an hour each; no values are errors, and more than
4 in a row end it. A minute is two blocks of 30 s.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from k8s.rollout.answers import Action
from k8s.rollout.blocks import Arm, CanaryBlock
from k8s.rollout.plan import Plan
from k8s.rollout.simulation import Judge, sequential

PLAN = Plan()


@dataclass(frozen=True)
class Rule:
    name: str
    weights: tuple[float, ...]
    judge: Callable[[], Judge]


def _ours() -> Judge:
    return sequential(PLAN)


def _holding() -> Judge:
    def judge(block: CanaryBlock, step: int, age: int, step_age: int) -> tuple[Action, str]:
        return "hold", ""

    return judge


def _flagger() -> Judge:
    window: deque[Arm] = deque(maxlen=2)
    failed = 0

    def judge(block: CanaryBlock, step: int, age: int, step_age: int) -> tuple[Action, str]:
        nonlocal failed
        window.append(block.canary)
        if age % 2:
            return "hold", ""
        requests = sum(arm.requests for arm in window)
        errors, slow = sum(arm.errors for arm in window), sum(arm.over_500ms for arm in window)
        if requests == 0 or errors > 0.01 * requests or slow > 0.01 * requests:
            failed += 1
            return ("rollback", "flagger") if failed >= 5 else ("hold", "flagger")
        return ("promote", "") if step == 4 else ("advance", "")

    return judge


def _argo() -> Judge:
    window: deque[Arm] = deque(maxlen=10)
    failed = empty = 0

    def judge(block: CanaryBlock, step: int, age: int, step_age: int) -> tuple[Action, str]:
        nonlocal failed, empty
        window.append(block.canary)
        if age % 10 == 0:
            requests, errors = sum(arm.requests for arm in window), sum(arm.errors for arm in window)
            empty = empty + 1 if requests == 0 else 0
            failed += requests > 0 and errors > 0.05 * requests
            if failed > 3 or empty > 4:
                return "rollback", "argo"
        if step_age < 30:
            return "hold", ""
        return ("promote", "") if step == 3 else ("advance", "")

    return judge


OURS = Rule("ours", tuple(step.weight / 100 for step in PLAN.canary.steps), _ours)
HOLDING = Rule("always holds", OURS.weights, _holding)
FLAGGER = Rule("Flagger", (0.1, 0.2, 0.3, 0.4, 0.5), _flagger)
ARGO = Rule("Argo", (0.2, 0.4, 0.6, 0.8), _argo)
