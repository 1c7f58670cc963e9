"""Looks at the labelled pairs of the prediction store: each is recorded before it is answered, and made only once.

What is looked at is bounded, and so is the time that it takes of a tick: labels come by the day, so they are counted
once a minute at most, less often where counting is slow, and not at all after the last look.
"""

import time
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter

from k8s.rollout.evidence import LabelQuestion
from k8s.rollout.label_look import next_look
from k8s.rollout.labelled import Labelled, Look, due
from k8s.rollout.store_session import StoreAwayError, StoreSession
from monitoring import label_pairs
from monitoring.label_pairs import PairsAsked
from monitoring.migrations import Connection

EVERY: Final = timedelta(minutes=1)
"""Labels are counted again after so long at the soonest."""
SLOWER: Final = 20
"""And after so many times as long as counting them took."""

_LOOKS: Final[TypeAdapter[tuple[Look, ...]]] = TypeAdapter(tuple[Look, ...])


class StoreLooks:
    """The looks of one attempt after another."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._question: LabelQuestion | None = None
        self._known = Labelled()
        self._rest: tuple[datetime, datetime] | None = None
        """From when on, and until when, nothing is counted."""

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:
        """What is known; never raises for a store that is away."""
        try:
            self._recall(question)
            if not self._done(question) and not self._rests(now):
                self._count(question, now)
        except StoreAwayError as error:
            self._known = replace(self._known, problem=f"labels can't be read: {error}")
        return self._known

    def _recall(self, question: LabelQuestion) -> None:
        """What an earlier controller looked at; asked until the store has said it."""
        if self._question is not None and self._question.attempt == question.attempt:
            return
        self._question, self._known = None, Labelled()
        with self._session.transaction() as connection:
            made = _made(connection, question)
        self._question, self._known, self._rest = question, Labelled(made), None

    def _rests(self, now: datetime) -> bool:
        """A clock that was set back ends the rest."""
        return self._rest is not None and self._rest[0] <= now < self._rest[1]

    def _done(self, question: LabelQuestion) -> bool:
        return any(look.number >= len(question.planned) for look in self._known.looks)

    def _count(self, question: LabelQuestion, now: datetime) -> None:
        began = time.monotonic()
        try:
            self._look(question, now)
        finally:
            took = timedelta(seconds=time.monotonic() - began)
            self._rest = (now, now + max(EVERY, SLOWER * took))

    def _look(self, question: LabelQuestion, now: datetime) -> None:
        made = self._known.looks
        with self._session.transaction() as connection:
            asked = PairsAsked(question.stable, question.candidate, question.since, question.until or now, now)
            pairs, positives = label_pairs.counted(connection, asked)
            found = label_pairs.read(connection, asked, pairs) if due(question.planned, positives, made) else None
        self._known = Labelled(made, pairs, positives)
        # Outside of the transaction, as drawing takes a second or two.
        if found is not None and (look := next_look(found, made, question)):
            with self._session.transaction() as connection:
                label_pairs.record(connection, question.attempt, look.number, asdict(look), now)
                self._known = replace(self._known, looks=_made(connection, question))


def _made(connection: Connection, question: LabelQuestion) -> tuple[Look, ...]:
    return _LOOKS.validate_python(label_pairs.looks(connection, question.attempt))
