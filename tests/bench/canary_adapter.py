"""Other people's streams through our decisions: plain dictionaries in, one word out. No dependency but the decision.

`make()` gives a callable for a canary's blocks, `make_shadow()` one for a shadow's (no difference predicted). Each
stream needs a callable of its own. Counts that are missing are 0, a missing `affected` counts requests; a block that
comes twice, or too late, is held. Ages are counted in blocks, as the plan's times are, whatever `interval_s` says.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from k8s.rollout.blocks import UNKNOWN_NOISE, Affected, Arm, CanaryBlock, NoiseFloor, PairSums, ShadowBlock
from k8s.rollout.canary import level
from k8s.rollout.decide import CanaryState, ShadowState, decide_canary, decide_shadow
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction

Block = Mapping[str, Any]
DEFAULT = Plan()


def make(plan: Plan = DEFAULT, rho: float = 1.0) -> Callable[[Block], str]:
    """A callable that answers 'hold', 'advance', 'promote' or 'rollback' to each block of one stream."""
    stream = _Canary(plan, rho)
    return stream.answer


def make_shadow(plan: Plan = DEFAULT) -> Callable[[Block], str]:
    """A callable that answers 'hold', 'pass' or 'fail' to each block of one stream."""
    stream = _Shadow(plan)
    return stream.answer


class _Canary:
    def __init__(self, plan: Plan, rho: float) -> None:
        self._plan, self._rho = plan, rho
        self._state = CanaryState()
        self._first: int | None = None
        self._step: int | None = None
        self._step_first = 0
        self._over = False

    def answer(self, given: Block) -> str:
        block = canary_block(given, default=self._state.block + 1)
        first = self._enter(block)
        decision = decide_canary(
            self._state,
            (block,),
            self._plan,
            step=self._step,
            rho=self._rho,
            age_blocks=block.number - first + 1,
            step_age_blocks=block.number - self._step_first + 1,
        )
        self._state = decision.state
        if decision.action == "inconclusive":
            self._over = True
        # An inconclusive rollout is over: its weight would be 0, so nothing can rise any more.
        return "hold" if self._over and decision.action != "rollback" else decision.action

    def _enter(self, block: CanaryBlock) -> int:
        """The first block's number; notes when a step's weight came into force."""
        if self._first is None:
            self._first = block.number
        step = level(self._plan.canary.steps, block.weight)
        if block.number > self._state.block and step >= 0 and step != self._step:
            self._step, self._step_first = step, block.number
        return self._first


class _Shadow:
    def __init__(self, plan: Plan) -> None:
        self._plan, self._state = plan, ShadowState()
        self._first: int | None = None
        self._answer = "hold"

    def answer(self, given: Block) -> str:
        block = shadow_block(given, default=self._state.block + 1)
        if self._first is None:
            self._first = block.number
        age = block.number - self._first + 1
        decision = decide_shadow(self._state, (block,), self._plan, Prediction(), age_blocks=age)
        self._state = decision.state
        return decision.action if decision.action in ("pass", "fail") else "hold"


def canary_block(given: Block, default: int) -> CanaryBlock:
    """A block of plain numbers as the decision takes it; a weight above 1 is per cent."""
    weight, noise = _number(given.get("weight")), given.get("noise_floor") or {}
    return CanaryBlock(
        number=int(_number(given.get("block"), default)),
        seconds=_number(given.get("interval_s"), 30.0),
        weight=weight / 100 if weight > 1 else weight,
        stable=_arm(given.get("stable") or {}),
        canary=_arm(given.get("canary") or {}),
        noise=NoiseFloor(*(_number(noise.get(key), UNKNOWN_NOISE) for key in ("errors", "over_slo", "flagged"))),
    )


def shadow_block(given: Block, default: int) -> ShadowBlock:
    """The same for a block of pairs; without `first` every pair is taken for an entity's first."""
    every = _pairs(given)
    first = given.get("first")
    return ShadowBlock(
        number=int(_number(given.get("block"), default)),
        seconds=_number(given.get("interval_s"), 30.0),
        every=every,
        first=every if first is None else _pairs(first),
    )


def _arm(given: Block) -> Arm:
    requests, errors, flagged = (int(_number(given.get(key))) for key in ("requests", "errors", "flagged"))
    affected = given.get("affected") or {}
    return Arm(
        requests=requests,
        errors=errors,
        over_slo=int(_number(given.get("over_slo"))),
        over_500ms=int(_number(given.get("over_500ms"))),
        flagged=flagged,
        errors_affected=_affected(affected.get("errors"), errors, requests),
        flagged_affected=_affected(affected.get("flagged"), flagged, requests),
    )


def _affected(given: Block | None, events: int, requests: int) -> Affected:
    if given is None:
        return Affected(events, requests)
    return Affected(int(_number(given.get("new"))), int(_number(given.get("at_risk"))))


def _pairs(given: Block) -> PairSums:
    pairs, up, down = (int(_number(given.get(key))) for key in ("pairs", "up", "down"))
    return PairSums(pairs, up, down, _number(given.get("sum_diff"), signed=True), _number(given.get("sum_diff2")))


def _number(given: Any, default: float = 0.0, *, signed: bool = False) -> float:
    """A finite number, not negative unless `signed`; anything else is the default."""
    if given is None or not isfinite(given) or (given < 0 and not signed):
        return default
    return float(given)
