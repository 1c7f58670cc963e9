"""The status of a rollout in a cluster's own words: columns for `kubectl get`, conditions for `kubectl wait`. Pure.

| condition | True when |
|---|---|
| Ready | there is a stable model, and the controller follows the spec |
| Progressing | a rollout is on its way, or its verdict is being carried out |
| Promoted | the candidate is stable |
| RolledBack | the candidate's last rollout ended with a rollback |
| Held | nothing goes on until somebody does something, or copies come back |

Unknown: it is not decided yet. Each holds for the spec of its observedGeneration, so `kubectl wait` after a change of
the spec waits for what follows from that change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from k8s.rollout.canary_phase import WAITS_FOR_APPROVAL
from k8s.rollout.model_rollout import Attempt, Outcome, Phase, Spec, Status
from k8s.rollout.turn import FIRST_COPIES

Truth = Literal["True", "False", "Unknown"]

_LONGEST: Final = 1_000
"""Characters of a condition's message."""


@dataclass(frozen=True)
class Condition:
    """One of them, without its history."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def columns(spec: Spec, status: Status) -> dict[str, Any]:
    """The fields of the status that are only for people: what is unknown or does not apply is left out."""
    candidate = _candidate(spec, status)
    attempt = status.attempt or status.last
    shown = {
        "candidate": candidate if candidate != status.stable else None,
        "weight": round(_weight(status) * 100),
        "verdict": _verdict(attempt) if attempt and (status.attempt or not _waits(spec, status)) else None,
    }
    return {key: value for key, value in shown.items() if value is not None}


def conditions(
    spec: Spec, status: Status, before: Sequence[dict[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """All conditions; each keeps the time of its last transition while its status stays the same."""
    known = {each["type"]: each for each in before}
    return [_dated(each, known.get(each.type), generation, now) for each in _found(spec, status)]


def _dated(found: Condition, before: dict[str, Any] | None, generation: int, now: datetime) -> dict[str, Any]:
    since = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    if before is not None and before["status"] == found.status:
        since = before["lastTransitionTime"]
    return {
        "type": found.type,
        "status": found.status,
        "reason": found.reason,
        "message": found.message[:_LONGEST],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _found(spec: Spec, status: Status) -> Iterator[Condition]:
    yield _ready(status)
    going = status.attempt is not None
    yield Condition("Progressing", "True" if going else "False", status.phase.value, status.message)
    yield _decided("Promoted", Outcome.PROMOTED, spec, status)
    yield _decided("RolledBack", Outcome.ROLLED_BACK, spec, status)
    yield _held(spec, status)


def _ready(status: Status) -> Condition:
    if status.stable is None:
        return Condition("Ready", "False", "NoStable", status.message)
    return Condition("Ready", "True", "StableKnown", f"{status.stable} is stable.")


def _decided(kind: str, outcome: Outcome, spec: Spec, status: Status) -> Condition:
    """Whether the candidate of now came to this end."""
    candidate, attempt = _candidate(spec, status), status.attempt
    if attempt is not None and (attempt.verdict is None or outcome is Outcome.PROMOTED is attempt.verdict.outcome):
        return Condition(kind, "Unknown", "OnItsWay", f"The rollout of {attempt.candidate} is on its way.")
    ended = attempt or (status.last if status.last and status.last.candidate == candidate else None)
    if ended is not None and ended.verdict is not None and not (attempt is None and _waits(spec, status)):
        reason = "".join(word.capitalize() for word in ended.verdict.outcome.split())
        so = ended.verdict.outcome is outcome
        return Condition(kind, "True" if so else "False", reason, _words(ended))
    if candidate is not None and (ban := status.banned.get(candidate)):
        so = outcome is Outcome.ROLLED_BACK
        return Condition(
            kind, "True" if so else "False", "RolledBack", f"{candidate} is banned by '{ban.gate}': {ban.reason}"
        )
    if candidate is not None and candidate == status.stable:
        return Condition(kind, "True" if outcome is Outcome.PROMOTED else "False", "Stable", f"{candidate} is stable.")
    if candidate is None:
        return Condition(kind, "False", "NoCandidate", "There is no candidate.")
    return Condition(kind, "Unknown", "Waiting", status.message)


def _held(spec: Spec, status: Status) -> Condition:
    """What somebody should look at, the most important first."""
    attempt = status.attempt
    if spec.paused is not None:
        return Condition("Held", "True", "Paused", f"{spec.paused.by}: {spec.paused.reason}")
    if status.watch is not None and status.watch.proposed_undo:
        return Condition("Held", "True", "UndoProposed", status.watch.proposed_undo)
    if attempt is not None and attempt.suspended is not None and attempt.suspended.reason != FIRST_COPIES:
        return Condition("Held", "True", "Suspended", attempt.suspended.reason)
    if attempt is not None and status.message == WAITS_FOR_APPROVAL:
        return Condition("Held", "True", "WaitsForApproval", status.message)
    if attempt is None and status.phase is Phase.WAITING:
        return Condition("Held", "True", "CandidateWaits", status.message)
    return Condition("Held", "False", "Nothing")


def _candidate(spec: Spec, status: Status) -> str | None:
    """What is on its way, else what is wanted."""
    return status.attempt.candidate if status.attempt else spec.candidate


def _waits(spec: Spec, status: Status) -> bool:
    """Whether the candidate has not begun: another than the last one, or the same one asked for once more."""
    last, asked = status.last, spec.asked
    if last is None or last.verdict is None or spec.candidate in (None, status.stable):
        return False
    again = asked is not None and asked.tag == spec.candidate and asked.at > last.verdict.at
    return last.candidate != spec.candidate or again


def _weight(status: Status) -> float:
    """The canary's share as it was recorded last."""
    weights = status.attempt.weights if status.attempt else ()
    return weights[-1][1] if weights else 0.0


def _verdict(attempt: Attempt) -> str | None:
    """What the column shows: 'rolled back (errors)'."""
    verdict = attempt.verdict
    if verdict is None:
        return None
    return verdict.outcome.value if verdict.outcome is Outcome.PROMOTED else f"{verdict.outcome.value} ({verdict.gate})"


def _words(attempt: Attempt) -> str:
    verdict = attempt.verdict
    return f"{attempt.candidate} is {verdict.outcome} by '{verdict.gate}': {verdict.reason}" if verdict else ""
