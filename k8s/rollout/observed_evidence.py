"""Evidence whose obstacles are seen: what keeps the next block from closing goes on to the metrics."""

from collections.abc import Callable
from datetime import datetime

from k8s.rollout.blocks import CanaryBlock, ShadowBlock
from k8s.rollout.evidence import Answer, EvidenceSource, LabelQuestion, Question
from k8s.rollout.labelled import Labelled


class ObservedEvidence:
    """The same evidence; `see` is told, at every answer, why there is no newer block."""

    def __init__(self, evidence: EvidenceSource, see: Callable[[str], None]) -> None:
        self._evidence = evidence
        self._see = see

    def watch(self, now: datetime) -> None:
        self._evidence.watch(now)

    def shadow(self, question: Question, now: datetime) -> Answer[ShadowBlock]:
        answer = self._evidence.shadow(question, now)
        self._see(answer.waiting.obstacle)
        return answer

    def canary(self, question: Question, now: datetime) -> Answer[CanaryBlock]:
        answer = self._evidence.canary(question, now)
        self._see(answer.waiting.obstacle)
        return answer

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:
        return self._evidence.looks(question, now)
