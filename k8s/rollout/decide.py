"""The decision of one moment: state, evidence, plan and ages in; action, reasons, numbers and next state out. Pure.

This is the door: what a rollout needs of its gates. Each phase decides in a module of its own (shadow_decision,
canary_decision, watch), with its statistics beside it (paired; harm, enough, crash; labelled).
"""

from k8s.rollout.answers import Action, Decision, GateNumbers, GateState
from k8s.rollout.canary import CanaryState
from k8s.rollout.canary_decision import decide_canary
from k8s.rollout.shadow import ShadowState, measured_rho
from k8s.rollout.shadow_decision import decide_shadow
from k8s.rollout.watch import decide_watch, watched

__all__ = [
    "Action",
    "CanaryState",
    "Decision",
    "GateNumbers",
    "GateState",
    "ShadowState",
    "decide_canary",
    "decide_shadow",
    "decide_watch",
    "measured_rho",
    "watched",
]
