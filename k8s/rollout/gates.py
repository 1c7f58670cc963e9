"""The decisions that the phases ask for, as one value: the real ones, or those that a test makes up."""

from collections.abc import Callable
from dataclasses import dataclass

from k8s.rollout import decide, prediction
from k8s.rollout.canary import CanaryState
from k8s.rollout.shadow import ShadowState


@dataclass(frozen=True)
class Gates:
    """`decide.decide_shadow`, `decide_canary` and `decide_watch`, and `prediction.admission`."""

    shadow: Callable[..., decide.Decision[ShadowState]] = decide.decide_shadow
    canary: Callable[..., decide.Decision[CanaryState]] = decide.decide_canary
    watch: Callable[..., decide.Decision[CanaryState]] = decide.decide_watch
    admission: Callable[..., str | None] = prediction.admission
