"""The drifted days to people: what must hold of them, their picture, and a line for each. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from k8s.local.demo_days import DEARER, LOST, Change, LivedDay
from monitoring.captions import plural
from monitoring.drift import FieldReport, Report, Verdict
from monitoring.drift_page import SIGNS
from monitoring.report import Check

Figure = dict[str, Any]

SOON: Final = 2
"""Days within which a drift must be seen."""
FALSE_ALARMS: Final = 1
"""Days as events come that may be called something else: a day's own oddity is one in a hundred, about."""

_COLORS: Final = {
    Verdict.OK: "var(--good)",
    Verdict.DRIFT: "var(--canary)",
    Verdict.DATA_FAULT: "var(--shadow)",
    Verdict.MISSING_DATA: "var(--bad)",
    Verdict.INSUFFICIENT_DATA: "var(--muted)",
}


def checks(days: Sequence[LivedDay], *, made_up: bool) -> tuple[Check, ...]:
    """What must hold of the days. Of events of one's own nobody knows how they should be judged: they are only told."""
    found = (_silent(days), *_lost(days), _drift(days), _calm(days))
    return found if made_up else tuple(_told_only(check) for check in found)


def figure(days: Sequence[LivedDay]) -> Figure:
    """A bar a day: how many times its limit the worst field was, in the colour of the verdict; 1 is the limit."""
    return {
        "data": [_bars(verdict, days) for verdict in Verdict if any(_verdict(each) is verdict for each in days)],
        "layout": {
            "xaxis": {"type": "category", "categoryorder": "array", "categoryarray": [_name(each) for each in days]},
            "yaxis": {"title": {"text": "worst field / its limit"}, "range": [0, _top(days)]},
            "shapes": [
                {
                    "type": "line",
                    "x0": 0,
                    "x1": 1,
                    "xref": "paper",
                    "y0": 1,
                    "y1": 1,
                    "line": {"dash": "dot", "color": "var(--ink)", "width": 1},
                }
            ],
        },
    }


def caption(days: Sequence[LivedDay]) -> str:
    """The picture in words."""
    runs: list[tuple[str, list[Verdict]]] = []
    for each in days:
        if not runs or runs[-1][0] != each.words:
            runs.append((each.words, []))
        runs[-1][1].append(_verdict(each))
    told = (f"{words} ({', '.join(verdicts)})" for words, verdicts in runs)
    return f"{plural(len(days), 'day')}, one after the other: {', then '.join(told)}."


def times(report: Report) -> float:
    """How many times its limit the worst field is; 0 where nothing could be judged."""
    return max((each for field in report.fields for each in _times(field, report)), default=0.0)


def _times(field: FieldReport, report: Report) -> Iterator[float]:
    if report.verdict in {Verdict.MISSING_DATA, Verdict.INSUFFICIENT_DATA}:
        return
    if report.verdict is Verdict.DATA_FAULT:
        yield field.missing_share / field.missing_limit
        yield field.unseen_share / field.unseen_limit
    elif field.psi is not None and field.threshold:
        yield field.psi / field.threshold


def _bars(verdict: Verdict, days: Sequence[LivedDay]) -> Figure:
    own = [each for each in days if _verdict(each) is verdict]
    return {
        "type": "bar",
        "name": verdict.value,
        "x": [_name(each) for each in own],
        "y": [times(each.judged.report) for each in own],
        "text": [SIGNS[verdict] for _ in own],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [[each.words, each.judged.report.reason] for each in own],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        "marker": {"color": _COLORS[verdict]},
    }


def _top(days: Sequence[LivedDay]) -> float:
    """Room for the limit, and for the sign above the highest bar."""
    return 1.15 * max(1.0, *(times(each.judged.report) for each in days))


def _name(each: LivedDay) -> str:
    return f"{each.day:%b %d}"


def _verdict(each: LivedDay) -> Verdict:
    return each.judged.report.verdict


def _silent(days: Sequence[LivedDay]) -> Check:
    found = [_verdict(each) for each in days if each.change is Change.SILENT]
    held = bool(found) and all(each is Verdict.MISSING_DATA for each in found)
    return Check("A day without requests is missing data", held, ", ".join(found))


def _lost(days: Sequence[LivedDay]) -> Iterator[Check]:
    for each in days:
        if each.change is Change.LOSES:
            name = f"A day that loses {LOST:.0%} of a field is a data fault, not drift"
            yield Check(name, _verdict(each) is Verdict.DATA_FAULT, f"{_verdict(each)}: {each.judged.report.reason}")


def _drift(days: Sequence[LivedDay]) -> Check:
    found = [_verdict(each) for each in days if each.change is Change.DEARER]
    name = f"Amounts times {DEARER:g} are drift within {SOON} days, and stay it"
    seen = next((number for number, each in enumerate(found) if each is Verdict.DRIFT), len(found))
    held = seen < SOON and all(each is Verdict.DRIFT for each in found[seen:])
    return Check(name, held, ", ".join(found))


def _calm(days: Sequence[LivedDay]) -> Check:
    own = [each for each in days if each.change is Change.NONE]
    alarms = [each for each in own if _verdict(each) is not Verdict.OK]
    told = "".join(f"; {each.day}: {each.judged.report.reason}" for each in alarms)
    name = f"Of {plural(len(own), 'day')} as events come, at most {FALSE_ALARMS} raises an alarm"
    return Check(name, len(alarms) <= FALSE_ALARMS, f"{len(alarms)} of {len(own)}{told}")


def _told_only(check: Check) -> Check:
    return Check(check.name, held=True, detail=f"not judged, the events are your own: {check.detail}")
