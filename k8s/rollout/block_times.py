"""When the blocks of a question begin, end and close, and which weight a block has."""

from datetime import datetime, timedelta

from k8s.rollout.blocks import Waiting
from k8s.rollout.evidence import Question

CLOSES_AFTER = 0.5
"""A block closes this part of its length after its end: rows are written in batches, a moment after the answers."""

WATCH_WEIGHT = 1.0
"""Where no weights are given: in a promotion and in the watch after it, the candidate has everything."""


def begins(question: Question, number: int) -> datetime:
    """The first moment of a block. It is the end of the one before, which it does not belong to."""
    return question.since + number * question.block


def ends(question: Question, number: int) -> datetime:
    return begins(question, number + 1)


def closes(question: Question, number: int) -> datetime:
    """From when on a block may be read."""
    return ends(question, number) + timedelta(seconds=question.block.total_seconds() * CLOSES_AFTER)


def weight(question: Question, number: int) -> float:
    """The smallest weight that was in force in a block; the first one also before its time."""
    if not question.weights:
        return WATCH_WEIGHT
    start, end = begins(question, number), ends(question, number)
    before = [share for at, share in question.weights if at <= start][-1:]
    inside = [share for at, share in question.weights if start < at < end]
    return min(before + inside, default=question.weights[0][1])


def not_closed(question: Question, number: int) -> Waiting:
    """The normal state between two blocks."""
    detail = f"block {number} closes at {closes(question, number):%H:%M:%S}"
    return Waiting("not closed", detail, ends(question, number))


def enough(question: Question, number: int) -> Waiting:
    """After as many blocks as one answer may have."""
    detail = f"{question.most} blocks are enough for one look; block {number} follows at the next"
    return Waiting("not closed", detail, ends(question, number))
