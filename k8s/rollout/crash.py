"""The crash guard: most of the candidate's answers are errors, of several entities, and stable is well.

It needs no sequential statistics: with stable at 10 % errors at most, half of 5 answers failing twice running is no
chance. It stands beside the e-process because that one needs minutes, and a crash is known after one or two blocks.
"""

from dataclasses import dataclass
from typing import Final

from k8s.rollout.blocks import Arm

FEWEST_REQUESTS: Final = 5
ERROR_SHARE: Final = 0.5
FEWEST_ENTITIES: Final = 3
"""Newly affected in two blocks: one broken client is no crash."""
STABLE_ERRORS: Final = 0.1
"""Above this share of stable's answers the fault is not the candidate's alone."""
AT_ONCE_REQUESTS: Final = 20
AT_ONCE_ENTITIES: Final = 5


@dataclass(frozen=True, slots=True)
class CrashWatch:
    """What is remembered of the block before: entities newly affected, and whether it looked like a crash."""

    new: float = 0
    suspicious: bool = False


def after(watch: CrashWatch, suspect: Arm, stable_errors: float | None) -> tuple[CrashWatch, str]:
    """What to remember, and why this is a crash; "" when it is none.

    `stable_errors` is the share of stable's answers; None (nothing known of stable) never is a crash.
    """
    new = suspect.errors_affected.new
    suspicious = (
        suspect.requests >= FEWEST_REQUESTS
        and suspect.errors >= ERROR_SHARE * suspect.requests
        and new + watch.new >= FEWEST_ENTITIES
        and stable_errors is not None
        and stable_errors <= STABLE_ERRORS
    )
    at_once = suspect.requests >= AT_ONCE_REQUESTS and new >= AT_ONCE_ENTITIES
    crashed = suspicious and (watch.suspicious or at_once)
    return CrashWatch(new, suspicious), _why(suspect) if crashed else ""


def _why(suspect: Arm) -> str:
    return (
        f"{suspect.errors} of {suspect.requests} answers of the candidate in one block were errors, "
        f"{suspect.errors_affected.new} entities affected for the first time"
    )
