"""The object that a rollout lives in: what is wanted (spec), and what happened (status).

Locally it is a file, on Kubernetes the custom resource ModelRollout; both are made from these models. Only people and
the retraining write the spec, only the controller writes the status.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from k8s.rollout.decide import CanaryState, ShadowState
from k8s.rollout.plan import Plan

Tag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}:[a-z0-9][a-z0-9._-]{0,100}$")]
"""name:version, as Bento tags are."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"\S")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Request(_Model):
    """What somebody asked for: which model, who, why, when."""

    tag: Tag
    by: Words
    reason: Words
    at: AwareDatetime
    skip_gates: bool = False
    """Of a promotion: without waiting for the gates. Loud, and recorded."""


class Pause(_Model):
    """Nothing rises and nothing is promoted while it stands. Rolling back goes on."""

    by: Words
    reason: Words
    at: AwareDatetime


class Spec(_Model):
    """What is wanted."""

    candidate: Tag | None = None
    """The model that is to replace stable. None: none."""
    plan: Plan = Plan()
    """Of the next rollout. A running one keeps the plan that it began with."""
    paused: Pause | None = None
    promotion: Request | None = None
    """Approves the promotion of its tag; with skip_gates, promotes it whatever is known."""
    abort: Request | None = None
    """Ends the rollout of its tag: weight 0, not banned."""
    asked: Request | None = None
    """Who asked for the candidate. Newer than the end of its last attempt: it is tried once more."""
    forced: Request | None = None
    """Begins the rollout of its tag although it is banned, or its comparison says no or asks for a person."""


class Phase(StrEnum):
    """What is going on, for people. Derived at every tick; nothing is decided by it."""

    IDLE = "Idle"
    WAITING = "Waiting"
    STARTING = "Starting"
    SHADOW = "Shadow"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"


class Outcome(StrEnum):
    """How an attempt ends. Once one is set it never changes, except that a promotion that fails is rolled back."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    INCONCLUSIVE = "inconclusive"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


class Verdict(_Model):
    """The end of an attempt: latched when it is reached, carried out afterwards. `gate`: what it rests on."""

    outcome: Outcome
    gate: str
    reason: str
    at: AwareDatetime
    by: str = "controller"


class Suspension(_Model):
    """No copy of the canary was ready: its weight is 0 until one is again."""

    since: AwareDatetime
    reason: str


class Attempt(_Model):
    """One candidate's way, from the first look at it to its verdict and to what the verdict asks for."""

    id: str
    """Unique: time of its start and the candidate's version."""
    candidate: Tag
    stable: Tag
    started_at: AwareDatetime
    plan: Plan
    by: str = "spec"
    """Who forced or undid it, if somebody did."""
    shadow_since: AwareDatetime | None = None
    """Start of the shadow's block 0: the mirror was on."""
    shadow_passed_at: AwareDatetime | None = None
    rho: float | None = None
    """Flagged by the candidate for each one flagged by stable, as the shadow measured it."""
    canary_since: AwareDatetime | None = None
    """Start of the canary's block 0: the first weight was in force."""
    step: int | None = None
    """Index of the step whose weight is in force, or was last; never falls."""
    step_since: AwareDatetime | None = None
    weights: tuple[tuple[AwareDatetime, float], ...] = ()
    """The canary's shares, and from when on each was in force."""
    shadow: ShadowState = ShadowState()
    canary: CanaryState = CanaryState()
    suspended: Suspension | None = None
    verdict: Verdict | None = None
    promoting_since: AwareDatetime | None = None


class Ban(_Model):
    """A model that was rolled back: refused from then on, unless forced."""

    at: AwareDatetime
    gate: str
    reason: str


class Watch(_Model):
    """The day after a promotion: the new stable against the one before."""

    attempt: str
    since: AwareDatetime
    until: AwareDatetime
    previous: Tag
    state: CanaryState = CanaryState()
    proposed_undo: str = ""
    """Why undoing is proposed; empty while it is not."""


class Event(_Model):
    """Something that happened, for the history. `number` rises by one; kind is a stable name as rollout.step."""

    number: int
    at: AwareDatetime
    attempt: str | None
    kind: str
    message: str
    numbers: dict[str, Any] = Field(default_factory=dict)


class Status(_Model):
    """What happened and what is going on. Enough to go on after a restart, together with what the world shows."""

    phase: Phase = Phase.IDLE
    message: str = ""
    """One sentence: what is going on, what it waits for."""
    stable: Tag | None = None
    previous: Tag | None = None
    """What was stable before: where undo goes back to."""
    attempt: Attempt | None = None
    last: Attempt | None = None
    """The attempt that ended last, with its verdict."""
    banned: dict[str, Ban] = Field(default_factory=dict)
    watch: Watch | None = None
    gates: tuple[dict[str, Any], ...] = ()
    """The gates' last numbers, for people: `decide.GateNumbers` as plain data."""
    ticked_at: AwareDatetime | None = None
    events: int = 0
    """Number of the newest event."""
    observed_generation: int = 0
    """Of the spec that this follows, where its changes are counted."""
    outbox: tuple[Event, ...] = ()
    """Events that the history has not taken yet: written there again until it has. The oldest go first when full."""


OUTBOX: Final = 200
"""Events kept while the history is away."""


class ModelRollout(_Model):
    """Spec and status, and the version by which a store tells whether somebody wrote in between."""

    spec: Spec = Spec()
    status: Status = Status()
    version: str = ""
    generation: int = 0
    """How often the spec was changed; 0 where nobody counts."""


def attempt_id(candidate: str, at: datetime) -> str:
    """20261123T211350Z-3f2a9c0d1e4b: sorts by time, says which model, is a valid Kubernetes label value."""
    return f"{at:%Y%m%dT%H%M%SZ}-{candidate.partition(':')[2]}"
