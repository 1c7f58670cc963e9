"""The plan of a rollout: how far, how fast, how sure. One schema: the plan file, `spec.plan` and the docs.

Times are counted in blocks, so a plan with a shorter block is the same plan, faster. The statistics behind each
default, and the simulations that they come from, stand in the docstrings of the modules that use them.
"""

from datetime import datetime, time
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

Approval = Literal["auto", "manual"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Share = Annotated[float, Field(gt=0, lt=1)]
Blocks = Annotated[int, Field(ge=1, le=100_000)]
Percent = Annotated[int, Field(ge=1, le=100)]

FEWEST_POSITIVES: Final = 300
"""Fewer labelled positives exclude no loss that would be worth excluding: see `labelled`."""
Positives = Annotated[int, Field(ge=FEWEST_POSITIVES, le=100_000)]


def _without_zone(clock: time) -> time:
    if clock.tzinfo is not None:
        raise ValueError(f"{clock.isoformat()} names a time zone; windows are in UTC, as in 22:00")
    return clock


UtcTime = Annotated[time, AfterValidator(_without_zone)]
"""A time of the day in UTC."""


class _Model(BaseModel):
    """Strict about names: an unknown field is a spelling mistake, and would silently leave a default in force."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Step(_Model):
    """One weight of the canary, and how small a harm must be excluded before the next one (share of requests)."""

    weight: Annotated[int, Field(ge=1, le=50)]
    """Per cent of the entities. At most 50: beyond, stable would be the smaller arm."""
    errors: Share
    """Smallest rise of the error share that must be excluded before leaving this step."""
    over_slo: Share
    """The same for the share of requests over the latency objective."""
    flagged: Share
    """The same for the share of flagged requests, up or down."""


STEPS: Final = (
    Step(weight=5, errors=0.05, over_slo=0.20, flagged=0.20),
    Step(weight=25, errors=0.01, over_slo=0.05, flagged=0.05),
    Step(weight=50, errors=0.002, over_slo=0.01, flagged=0.01),
)
"""5, 25, 50 %: what is asked for grows with what is at stake. Below about 20 requests a second begin at 25 %."""


class ShadowPlan(_Model):
    """Before any user sees the candidate: it answers a copy of the traffic, and its answers are thrown away."""

    mirror: Percent = 100
    """Per cent of the requests that are copied."""
    flip_margin: Share = 0.005
    """How far the net share of changed decisions may be from its prediction."""
    score_margin: Share = 0.02
    """How far the mean score difference may be from its prediction."""
    min_entities: Annotated[int, Field(ge=1)] = 500
    """Paired entities needed, whatever else is shown."""
    min_blocks: Blocks = 6
    """Shortest shadow phase: 3 minutes at 30 s a block."""
    deadline_blocks: Blocks = 2880
    """Longest shadow phase, then it is inconclusive: a day at 30 s a block. Nobody is served by it meanwhile."""
    max_shed: Share = 0.2
    """Above this share of mirrored requests refused by the shadow's own cap the phase holds: 'shadow overloaded'."""


class CanaryPlan(_Model):
    """The candidate answers a growing share of the entities."""

    steps: tuple[Step, ...] = Field(default=STEPS, min_length=1, max_length=10)
    """Rising weights."""
    step_blocks: Blocks = 6
    """Shortest time at a step: 3 minutes at 30 s a block."""
    min_blocks: Blocks = 30
    """Shortest canary phase: 15 minutes at 30 s a block."""
    deadline_blocks: Blocks = 120
    """When it should be decided: an hour at 30 s a block. Extended once when there is no sign of harm."""
    extended_blocks: Blocks = 240
    """Then it is inconclusive: weight 0, and it says which gate lacked evidence."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        weights = [step.weight for step in self.steps]
        if any(one >= other for one, other in pairwise(weights)):
            raise ValueError(f"the steps' weights are {weights}; expected rising ones")
        if self.extended_blocks < self.deadline_blocks:
            raise ValueError(
                f"extended_blocks {self.extended_blocks} is before deadline_blocks {self.deadline_blocks}; "
                "give both, or neither"
            )
        shortest = max(self.min_blocks, self.step_blocks * len(self.steps))
        if shortest >= self.deadline_blocks:
            raise ValueError(
                f"the shortest canary phase is {shortest} blocks and its deadline {self.deadline_blocks}: "
                "it could never be promoted; raise deadline_blocks or lower min_blocks and step_blocks"
            )
        return self


class LabelPlan(_Model):
    """When labels come: does the candidate rank worse on what both scored in the shadow phase? By PR-AUC, in looks."""

    looks: tuple[Positives, ...] = Field(default=(FEWEST_POSITIVES, 1000), min_length=1, max_length=10)
    """At how many labelled positives it is looked, once each. They share alpha and beta: each one more widens all."""
    required: bool = False
    """true: nothing goes on before a look excludes a loss of .03 (of .02 from 1,000 positives on). Needs a shadow."""

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(one >= other for one, other in pairwise(looks)):
            raise ValueError(f"the looks are at {', '.join(map(str, looks))} positives; expected rising numbers")
        return looks


class Limits(_Model):
    """Absolute limits of a healthy stable, over the last blocks: beyond them nothing is compared with it, it holds."""

    errors: Share = 0.01
    """Largest share of failed requests."""
    over_slo: Share = 0.05
    """Largest share of requests over the latency objective."""
    blocks: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Over how many blocks, the last ones."""


class ChangeWindow(_Model):
    """When weights may rise and models may be promoted (UTC). Falling and rolling back is allowed at any time."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = WEEKDAYS
    """On which days it begins."""
    start: UtcTime = time(0, 0)
    """From when on."""
    end: UtcTime = time(0, 0)
    """Before `start`: on the next day. Equal to it: the whole day."""

    def allows(self, now: datetime) -> bool:
        """Whether `now` (UTC) is inside; a window over midnight belongs to the day on which it begins."""
        clock, today = now.time(), WEEKDAYS[now.weekday()]
        yesterday = WEEKDAYS[(now.weekday() - 1) % 7]
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        after_midnight = clock < self.end and yesterday in self.days
        return (clock >= self.start and today in self.days) or after_midnight


class Plan(_Model):
    """How a candidate becomes stable. The defaults need no thought; `vigil rollout plan` says what they can see."""

    block_seconds: Annotated[float, Field(ge=0.5, le=600)] = 30.0
    """Length of a block of evidence, in seconds of server time. A block closes half of its length after its end."""
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    """Chance that a good candidate is rolled back, whenever and however often one looks."""
    beta: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Chance that a harm of the step's size is overlooked, each gate."""
    slo_ms: Annotated[float, Field(gt=0, le=60_000)] = 100.0
    """The latency objective, from the scorer having the request to the answer written."""
    shadow: ShadowPlan | None = ShadowPlan()
    """null: no shadow phase; the canary then compares with the prediction, if there is one."""
    canary: CanaryPlan = CanaryPlan()
    labels: LabelPlan | None = LabelPlan()
    """null: labels are not looked at."""
    limits: Limits = Limits()
    approval: Approval = "auto"
    """manual: holds once, before promotion, until somebody promotes."""
    windows: Annotated[tuple[ChangeWindow, ...], Field(max_length=20)] = ()
    """Empty: at any time."""
    prediction_hours: Annotated[float, Field(gt=0, le=720)] = 24.0
    """Older comparisons predict nothing."""
    watch_hours: Annotated[float, Field(ge=0, le=720)] = 24.0
    """How long a promoted model is watched against the one before."""
    unavailable_blocks: Blocks = 20
    """A candidate with no copy ready gets no traffic at once; when none is back after this long, it is rolled back."""
    progress_blocks: Blocks = 40
    """How long copies may take to be ready in a start or a promotion; a promotion that takes longer is taken back."""

    @property
    def requires_labels(self) -> bool:
        """Whether nothing goes on before a look at labels was good."""
        return self.labels is not None and self.labels.required

    @property
    def contradiction(self) -> str:
        """Why the plan can't be carried out, if so. No validator: an API server can't tell null from nothing."""
        if self.requires_labels and self.shadow is None:
            return "required labels need pairs, and only a shadow phase makes them: leave one of the two out"
        return ""

    def allows(self, now: datetime) -> bool:
        """Whether a weight may rise now."""
        return not self.windows or any(window.allows(now) for window in self.windows)
