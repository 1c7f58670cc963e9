"""What judged days say together: which fields are out of bounds, since when, and how far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from typing import Final

from .drift import FieldReport, Report, State, Verdict

_UNJUDGED: Final = (Verdict.MISSING_DATA, Verdict.INSUFFICIENT_DATA)
_WORDS: Final = {State.DRIFT: "drifted", State.MISSING: "is missing", State.UNSEEN: "has unseen values"}


@dataclass(frozen=True)
class Finding:
    """A field that is out of bounds on the newest day that could be judged.

    `since` is the first of the `days` judged days running on which it was so, for the same model's reference. `value`
    is a PSI where it drifted, else a share; `limit` what it was held against that day.
    """

    field: str
    state: State
    since: date
    days: int
    value: float
    limit: float
    rows: int

    @property
    def times(self) -> float:
        """How many times its limit the value is."""
        return self.value / self.limit

    @property
    def words(self) -> str:
        return f"{self.field} {_WORDS[self.state]}"


def findings(days: Sequence[tuple[str, Report]]) -> list[Finding]:
    """What is out of bounds now, the furthest first, given the tag and the newest report of each day, oldest day first.

    Days on which nothing could be said neither begin nor end a run.
    """
    said = [(tag, report) for tag, report in days if report.verdict not in _UNJUDGED]
    if not said:
        return []
    newest_tag, newest = said[-1]
    same_model = [report for tag, report in takewhile(lambda each: each[0] == newest_tag, reversed(said))]
    found = [_finding(each, same_model) for each in newest.fields if each.state in _WORDS]
    return sorted(found, key=lambda each: each.times, reverse=True)


def _finding(field: FieldReport, newest_first: Sequence[Report]) -> Finding:
    run = list(takewhile(lambda report: _state(report, field.name) is field.state, newest_first))
    values = {
        State.DRIFT: (field.psi or 0.0, field.threshold or 1.0),
        State.MISSING: (field.missing_share, field.missing_limit),
        State.UNSEEN: (field.unseen_share, field.unseen_limit),
    }
    value, limit = values[field.state]
    return Finding(field.name, field.state, run[-1].day, len(run), value, limit, field.rows)


def _state(report: Report, name: str) -> State | None:
    return next((each.state for each in report.fields if each.name == name), None)
