"""The drift page: what drifted, since when, how far; every day's verdict and every field's PSI. It fetches nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from . import shell
from .captions import listed, plural
from .drift import FieldReport, Report, State, Verdict
from .drift_findings import Finding, findings
from .drift_reports import JudgedDay

SIGNS: Final[Mapping[Verdict, str]] = {
    Verdict.MISSING_DATA: "∅",
    Verdict.INSUFFICIENT_DATA: "…",
    Verdict.DATA_FAULT: "!",
    Verdict.DRIFT: "▲",
    Verdict.OK: "✓",
}
"""A verdict in a narrow column; its colour says the same."""

_FAULTS: Final[Mapping[State, str]] = {State.MISSING: "∅", State.UNSEEN: "?"}


@dataclass(frozen=True)
class Cell:
    """One field on one day: what stands there, what it means in words, and how warm it is (0 to 2; 1 is the limit)."""

    text: str
    words: str
    heat: float
    state: str


def render(days: Sequence[JudgedDay], now: datetime) -> str:
    """The page of the judged days, oldest first; at least one."""
    newest = days[-1]
    found = findings([(each.tag, each.report) for each in days])
    return shell.render(
        "drift.html.j2",
        figures={},
        days=days,
        newest=newest,
        made_at=now.astimezone(UTC),
        title=headline(newest.report),
        lead=lead(newest.report, found),
        findings=found,
        names=list(dict.fromkeys(field.name for each in days for field in each.report.fields)),
        cell=cell,
        signs=SIGNS,
    )


def headline(report: Report) -> str:
    """The newest day in a line."""
    words = {
        Verdict.MISSING_DATA: "no data",
        Verdict.INSUFFICIENT_DATA: "too few rows to judge",
        Verdict.DATA_FAULT: "the data is at fault",
        Verdict.DRIFT: f"{listed(list(report.drifted))} drifted",
        Verdict.OK: "like the training data",
    }
    return f"{report.day}: {words[report.verdict]}"


def lead(report: Report, found: Sequence[Finding]) -> str:
    """Why, and since when."""
    since = min((each.since for each in found), default=None)
    running = f" Something has been out of bounds since {since}." if since and since != report.day else ""
    return f"{report.reason}. {plural(report.rows, 'row')}.{running}"


def cell(report: Report, name: str) -> Cell:
    """The cell of a field on a day."""
    field = next((each for each in report.fields if each.name == name), None)
    if field is None or report.verdict in {Verdict.MISSING_DATA, Verdict.INSUFFICIENT_DATA}:
        return Cell("", f"{name}, {report.day}: not judged", 0, "unjudged")
    heat = min(2.0, field.psi / field.threshold) if field.psi is not None and field.threshold else 0.0
    text = _FAULTS.get(field.state) or ("-" if field.psi is None else f"{field.psi:.2f}".removeprefix("0"))
    return Cell(text, _words(report, field), heat, field.state.value)


def _words(report: Report, field: FieldReport) -> str:
    index = "no PSI" if field.psi is None else f"PSI {field.psi:.4f} of {field.threshold:.4f}"
    return (
        f"{field.name}, {report.day}: {field.state}; {index}; {field.missing_share:.1%} missing, "
        f"{field.unseen_share:.1%} unseen of {plural(field.rows, 'row')}"
    )
