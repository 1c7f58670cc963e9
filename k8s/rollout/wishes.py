"""What a person may ask of a rollout, as a change of its spec: refused here when it does not fit what is going on.

Pure. Each function takes the object as it is and answers the change, or raises NotNowError or RefusedError, which
say what is going on instead. The controller makes a wish come true; it runs in another process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8s.rollout.errors import NotNowError, RefusedError
from k8s.rollout.model_rollout import Attempt, ModelRollout, Pause, Request, Spec
from k8s.rollout.plan import Plan
from k8s.rollout.verdict_codes import followed

Change = Callable[[Spec], Spec]


@dataclass(frozen=True)
class Asker:
    """Who asks, why, and when."""

    by: str
    reason: str
    at: datetime

    def request(self, tag: str, *, skip_gates: bool = False) -> Request:
        return Request(tag=tag, by=self.by, reason=self.reason, at=self.at, skip_gates=skip_gates)


def start(now: ModelRollout, tag: str, asker: Asker, plan: Plan | None, *, forced: bool) -> Change:
    """Makes `tag` the candidate; another one that is on its way is superseded. No plan: the object's own."""
    status = now.status
    if status.attempt is None and tag == status.stable:
        raise NotNowError(f"{tag} is stable already")
    if status.attempt is not None and status.attempt.candidate == tag and not status.attempt.verdict:
        raise NotNowError(f"the rollout of {tag} is on its way since {_minute(status.attempt.started_at)}")
    ban = status.banned.get(tag)
    if ban is not None and not forced:
        raise RefusedError(
            f"{tag} was rolled back at {_minute(ban.at)} by its gate '{ban.gate}': {ban.reason}. "
            "Bring another model, or start it with --force --reason"
        )
    request = asker.request(tag)
    changes: dict[str, Any] = {
        "candidate": tag,
        "asked": request,
        "promotion": None,
        "abort": None,
        "forced": request if forced else None,
    }
    return _changed(**changes, **({} if plan is None else {"plan": plan}))


def pause(asker: Asker) -> Change:
    """Nothing rises and nothing is promoted from now on."""
    return _changed(paused=Pause(by=asker.by, reason=asker.reason, at=asker.at))


def resume() -> Change:
    """It goes on."""
    return _changed(paused=None)


def abort(now: ModelRollout, asker: Asker) -> Change:
    """The rollout that is on its way ends: weight 0, not banned. One that waits to be let in never begins."""
    tag = _waiting(now) or _on_its_way(now, "to abort").candidate
    return _changed(abort=asker.request(tag))


def promote(now: ModelRollout, asker: Asker, *, forced: bool) -> Change:
    """Approves the promotion that the gates will ask for; forced: promotes at once, whatever is known."""
    attempt = _on_its_way(now, "to promote")
    if attempt.plan.approval == "auto" and not forced:
        raise NotNowError(
            f"nobody needs to approve of {attempt.candidate}: its plan says 'approval: auto'. "
            "To promote it before its gates have passed, add --force --reason"
        )
    return _changed(promotion=asker.request(attempt.candidate, skip_gates=forced))


def undo(now: ModelRollout, asker: Asker) -> Change:
    """Brings back what was stable before, by the same safe steps, without gates: it served yesterday."""
    status = now.status
    if status.attempt is not None:
        raise NotNowError(
            f"the rollout of {status.attempt.candidate} is on its way; "
            + ("wait until its verdict is carried out" if status.attempt.verdict else "abort it first")
        )
    if status.previous is None:
        raise NotNowError("there is nothing to go back to: no model was stable before this one")
    ban = status.banned.get(status.previous)
    if ban is not None:
        raise RefusedError(
            f"{status.previous}, which was stable before, was rolled back at {_minute(ban.at)} by '{ban.gate}': "
            f"{ban.reason}. Start another model, or that one with --force --reason"
        )
    request = asker.request(status.previous, skip_gates=True)
    return _changed(candidate=status.previous, asked=request, promotion=request, forced=request, abort=None)


def _waiting(now: ModelRollout) -> str | None:
    """The candidate that has not begun, and would as soon as it may; None: there is none, or it was aborted already."""
    spec = now.spec
    way = followed(now) if now.status.attempt is None else None
    if way is None:
        return None
    aborted = spec.abort is not None and spec.abort.tag == way.tag
    asked_again = aborted and spec.asked is not None and spec.abort is not None and spec.asked.at > spec.abort.at
    return way.tag if not aborted or asked_again else None


def _on_its_way(now: ModelRollout, purpose: str) -> Attempt:
    """The attempt that has no verdict yet."""
    attempt = now.status.attempt
    if attempt is None:
        waiting = f": {now.status.message}" if now.spec.candidate and now.status.message else ""
        raise NotNowError(f"there is no rollout on its way {purpose}{waiting}")
    if attempt.verdict is not None:
        raise NotNowError(
            f"the rollout of {attempt.candidate} has its verdict, {attempt.verdict.outcome}, "
            "which is being carried out and can't be changed"
        )
    return attempt


def _changed(**fields: Any) -> Change:
    def change(spec: Spec) -> Spec:
        return Spec.model_validate({**dict(spec), **fields})

    return change


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
