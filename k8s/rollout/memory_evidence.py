"""Evidence that tests and simulations make up, with the same closing rule and the same memory as the real one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from k8s.rollout import block_times
from k8s.rollout.blocks import CanaryBlock, ShadowBlock, Waiting
from k8s.rollout.evidence import Answer, Block, LabelQuestion, Question
from k8s.rollout.history import MemoryHistory, Recorded
from k8s.rollout.label_look import next_look
from k8s.rollout.labelled import Labelled, Look
from monitoring.label_pairs import LabelledPairs
from monitoring.rollout_history import Phase

Supply = Callable[[Question, int], Block | None]
"""The block of a number; None: its rows have not arrived."""


class MemoryEvidence:
    """Blocks from a list or from a function.

    Feed it with `add_canary` and `add_shadow`, or give functions that make the block of a number. A block closes half
    its length after its end, as everywhere; its length and weight are those of the question. `obstacle`, while set,
    is why no new block closes. `labelled`: the labelled pairs that there are by now. What was read once is answered
    again, also when something else is supplied later.
    """

    def __init__(
        self,
        canary: Supply[CanaryBlock] | None = None,
        shadow: Supply[ShadowBlock] | None = None,
        history: MemoryHistory | None = None,
    ) -> None:
        self.obstacle: Waiting | None = None
        self.watched: list[datetime] = []
        self._canary, self._shadow = canary or self._given_canary, shadow or self._given_shadow
        self._canary_given: dict[int, CanaryBlock] = {}
        self._shadow_given: dict[int, ShadowBlock] = {}
        self._canary_read: dict[tuple[str, datetime, int], CanaryBlock] = {}
        self._shadow_read: dict[tuple[str, datetime, int], ShadowBlock] = {}
        self._history = history
        self.labelled: LabelledPairs | None = None
        self._looks: dict[str, tuple[Look, ...]] = {}

    def add_canary(self, *blocks: CanaryBlock) -> None:
        """Supplies blocks, whatever the attempt."""
        self._canary_given |= {block.number: block for block in blocks}

    def add_shadow(self, *blocks: ShadowBlock) -> None:
        """Supplies blocks, whatever the attempt."""
        self._shadow_given |= {block.number: block for block in blocks}

    def watch(self, now: datetime) -> None:
        self.watched.append(now)

    def shadow(self, question: Question, now: datetime) -> Answer[ShadowBlock]:
        def read(number: int) -> ShadowBlock | None:
            block = self._shadow(question, number)
            return block and replace(block, number=number, seconds=question.block.total_seconds())

        return self._answer(question, now, "shadow", self._shadow_read, read)

    def canary(self, question: Question, now: datetime) -> Answer[CanaryBlock]:
        def read(number: int) -> CanaryBlock | None:
            block, weight = self._canary(question, number), block_times.weight(question, number)
            return block and replace(block, number=number, seconds=question.block.total_seconds(), weight=weight)

        return self._answer(question, now, "canary", self._canary_read, read)

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:  # noqa: ARG002 - all pairs are of the past
        made, pairs = self._looks.get(question.attempt, ()), self.labelled
        if self.obstacle is not None:
            return Labelled(made, problem=self.obstacle.detail)
        if pairs is None:
            return Labelled(made)
        if look := next_look(pairs, made, question):
            made = self._looks[question.attempt] = (*made, look)
        return Labelled(made, len(pairs.labels), pairs.positives)

    def _answer(
        self,
        question: Question,
        now: datetime,
        phase: Phase,
        known: dict[tuple[str, datetime, int], Block],
        read: Callable[[int], Block | None],
    ) -> Answer[Block]:
        found: list[Block] = []
        number = question.after + 1
        while len(found) < question.most:
            key = (question.attempt, question.since, number)
            if key not in known:
                if waiting := self._waiting(question, number, now):
                    return Answer(tuple(found), waiting)
                block = read(number)
                if block is None:
                    detail = f"the rows of block {number} have not arrived"
                    return Answer(tuple(found), Waiting("log behind", detail, block_times.ends(question, number)))
                known[key] = block
                if self._history:
                    self._history.add_evidence(Recorded(question.attempt, phase, question.since, block, now))
            found.append(known[key])
            number += 1
        return Answer(tuple(found), block_times.enough(question, number))

    def _waiting(self, question: Question, number: int, now: datetime) -> Waiting | None:
        closes = block_times.closes(question, number)
        if now < closes:
            return block_times.not_closed(question, number)
        return self.obstacle and replace(self.obstacle, since=block_times.ends(question, number))

    def _given_canary(self, question: Question, number: int) -> CanaryBlock | None:  # noqa: ARG002 - a Supply
        return self._canary_given.get(number)

    def _given_shadow(self, question: Question, number: int) -> ShadowBlock | None:  # noqa: ARG002 - a Supply
        return self._shadow_given.get(number)
