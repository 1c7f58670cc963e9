"""What the evidence source is asked, as the rollout's status has it."""

from datetime import datetime, timedelta
from typing import Literal

from k8s.rollout.evidence import LabelQuestion, Question
from k8s.rollout.labelled import level
from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome, Status
from k8s.rollout.plan import Plan

Kind = Literal["shadow", "canary", "watch"]


def question(rollout: ModelRollout) -> tuple[Kind, Question] | None:
    """Which evidence the next tick rests on; None: on none."""
    status = rollout.status
    if status.attempt is None:
        return _of_watch(status)
    attempt = status.attempt
    if attempt.verdict is not None and attempt.verdict.outcome is not Outcome.PROMOTED:
        return None
    if attempt.canary_since is not None:
        return "canary", _asked(attempt, attempt.canary_since, attempt.canary.block)
    if attempt.verdict is None and attempt.shadow_since is not None and attempt.shadow_passed_at is None:
        return "shadow", _asked(attempt, attempt.shadow_since, attempt.shadow.block)
    return None


def label_question(rollout: ModelRollout) -> LabelQuestion | None:
    """Which looks at labels the next tick rests on; None: on none.

    The pairs are those of the shadow phase, also in the canary and in the watch: there each entity has one model, and
    labels of the shadow's requests go on coming.
    """
    status = rollout.status
    attempt = status.attempt or (status.last if plan_of_watch(status) else None)
    if attempt is None or attempt.shadow_since is None or attempt.plan.labels is None:
        return None
    if attempt.verdict is not None and attempt.verdict.outcome is not Outcome.PROMOTED:
        return None
    planned = attempt.plan.labels.looks
    return LabelQuestion(
        attempt=attempt.id,
        stable=attempt.stable,
        candidate=attempt.candidate,
        since=attempt.shadow_since,
        until=attempt.shadow_passed_at,
        planned=planned,
        alpha=level(attempt.plan.alpha, len(planned)),
        beta=level(attempt.plan.beta, len(planned)),
    )


def length(plan: Plan) -> timedelta:
    """Of a block."""
    return timedelta(seconds=plan.block_seconds)


def plan_of_watch(status: Status) -> Plan | None:
    """The plan of the attempt that promoted the model under watch."""
    return status.last.plan if status.watch and status.last and status.last.id == status.watch.attempt else None


def _asked(attempt: Attempt, since: datetime, after: int) -> Question:
    return Question(
        attempt=attempt.id,
        stable=attempt.stable,
        candidate=attempt.candidate,
        since=since,
        after=after,
        block=length(attempt.plan),
        slo_ms=attempt.plan.slo_ms,
        weights=attempt.weights,
    )


def _of_watch(status: Status) -> tuple[Kind, Question] | None:
    """Stable's own rows, as the candidate's: without weights it has everything."""
    watch, plan = status.watch, plan_of_watch(status)
    if watch is None or plan is None or status.stable is None:
        return None
    asked = Question(
        attempt=watch.attempt,
        stable=watch.previous,
        candidate=status.stable,
        since=watch.since,
        after=watch.state.block,
        block=length(plan),
        slo_ms=plan.slo_ms,
    )
    return "watch", asked


def hours(number: float) -> timedelta:
    """A length in hours."""
    return timedelta(hours=number)
