"""What one tick of the controller sees, and what it may do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from k8s.rollout.blocks import CanaryBlock, ShadowBlock
from k8s.rollout.evidence import Answer
from k8s.rollout.fleets import Copies
from k8s.rollout.labelled import Labelled
from k8s.rollout.model_rollout import ModelRollout, Status
from k8s.rollout.prediction import Prediction
from k8s.rollout.routers import Role, Split


@dataclass(frozen=True)
class World:
    """Everything that the next commands follow from. The rollout's status is a memory, the rest is what is so now."""

    now: datetime
    rollout: ModelRollout
    split: Split
    copies: Mapping[Role, Copies]
    altered: str = ""
    """How somebody else changed the route since the split was put into force, if so; in words."""
    evidence: Answer[ShadowBlock] | Answer[CanaryBlock] | None = None
    """What the evidence source answers to `questions.question`; None: nothing was asked."""
    looks: Labelled | None = None
    """What it answers to `questions.label_question`."""
    prediction: Prediction | None = None
    """How the candidate should differ from stable; None: they were never compared, or `prediction_problem`."""
    prediction_problem: str = ""
    """Why the comparisons can't be read now."""


@dataclass(frozen=True)
class SetSplit:
    """Puts a split into force."""

    split: Split

    def __str__(self) -> str:
        return f"split stable {self.split.stable}, canary {self.split.canary}, mirror {self.split.mirror}"


@dataclass(frozen=True)
class Assign:
    """Rolls a role to a model."""

    role: Role
    tag: str | None

    def __str__(self) -> str:
        return f"{self.role} runs {self.tag or 'no version'}"


@dataclass(frozen=True)
class Scale:
    """Wants so many copies of a role."""

    role: Role
    copies: int

    def __str__(self) -> str:
        return f"{self.role} has {self.copies} copies"


@dataclass(frozen=True)
class Save:
    """Writes the status. Nothing is remembered that is not saved: what follows it may never happen."""

    status: Status

    def __str__(self) -> str:
        return f"status {self.status.phase}"


Command = SetSplit | Assign | Scale | Save
