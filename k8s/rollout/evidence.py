"""Where the blocks of evidence come from: the protocol, and what is asked and answered.

A block is read once. Its counts are recorded before they are answered, so that asking again, also after a restart,
gives the same block, and an entity that was counted is never counted twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from k8s.rollout.blocks import CanaryBlock, ShadowBlock, Waiting
from k8s.rollout.labelled import Labelled

Block = TypeVar("Block", CanaryBlock, ShadowBlock)


@dataclass(frozen=True)
class Question:
    """Which blocks of an attempt's phase: numbered from 0 at `since`, those after number `after` (-1: from the first).

    `weights` are the canary's (share 0 to 1, in force from a time on, rising times); a block has the smallest that was
    in force in it. Rows count under the roles and only with the tags named here.
    """

    attempt: str
    stable: str
    candidate: str
    since: datetime
    after: int
    block: timedelta
    slo_ms: float
    weights: Sequence[tuple[datetime, float]] = ()
    most: int = 60
    """At most so many blocks in one answer: a controller that comes back after a day catches up in several ticks."""


@dataclass(frozen=True)
class Answer(Generic[Block]):
    """Blocks in order, without gaps in their numbers; what keeps the next one from closing."""

    blocks: tuple[Block, ...]
    waiting: Waiting


@dataclass(frozen=True)
class LabelQuestion:
    """The looks at an attempt's labelled pairs: requests from `since` on and before `until` that both models scored.

    `until` None: up to now. `planned`: the labelled positives at which it is looked, rising. `alpha`, `beta`: what one
    look may err, each way. A look is made once: recorded as it was, it is answered again, by any controller.
    """

    attempt: str
    stable: str
    candidate: str
    since: datetime
    until: datetime | None
    planned: tuple[int, ...]
    alpha: float
    beta: float


class EvidenceSource(Protocol):
    """Closed blocks of evidence, and looks. Never raises for a source that is away: it says so in its answer."""

    def watch(self, now: datetime) -> None:
        """Takes a snapshot of the gateway's counters. Called at every tick, several times a block."""

    def shadow(self, question: Question, now: datetime) -> Answer[ShadowBlock]:
        """Blocks of the shadow phase."""

    def canary(self, question: Question, now: datetime) -> Answer[CanaryBlock]:
        """Blocks of the canary phase, of a promotion and of the watch after it."""

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:
        """The looks that were made, with the one that is due now; and how many labelled pairs there are."""
