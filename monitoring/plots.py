"""The report's drawings, as Plotly figures in plain dictionaries.

A colour is written as `var(--name)`: the page resolves it against its style sheet, in the light and in the dark. Roles
differ by colour and by the kind of line. Fonts, margins and what all figures share are the page's.
"""

import math
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from . import store
from .report import Comparison, CurvePoint, Report

Figure = dict[str, Any]
"""`data` and `layout`, as Plotly.newPlot takes them."""

DASHES: Final[dict[str, str]] = {"stable": "solid", "canary": "dash", "shadow": "dot"}
TICKS_MS: Final = [float(f"{digit}e{power}") for power in range(-3, 6) for digit in (1, 2, 5)]
"""Where a log axis of milliseconds is labelled, from a microsecond to minutes."""

_PERCENT: Final = {"tickformat": ".0%", "rangemode": "tozero"}


def traffic(report: Report) -> Figure:
    """Requests a second in each interval: stable and canary stacked, shadow as a line over them."""
    instants = _instants(report)
    counted = {(each.role, each.at): each.rows for each in report.timeline}
    seconds = report.step.total_seconds()
    times = [f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for at in instants]
    data = []
    for role in _roles(report):
        rates = [counted.get((role, at), 0) / seconds for at in instants]
        data.append({"x": times, "y": rates, "hovertemplate": "%{y:.1f} a second", **_timeline_style(role)})
    return {
        "data": data,
        "layout": {
            "barmode": "stack",
            "bargap": 0,
            "legend": {"traceorder": "normal"},
            "hovermode": "x unified",
            "xaxis": {"title": {"text": "time (UTC)"}},
            "yaxis": {"title": {"text": "requests a second"}, "rangemode": "tozero"},
        },
    }


def latency(report: Report) -> Figure:
    """The share of each role's answers that took at most so long."""
    data = []
    for role in _roles(report):
        buckets = [each for each in report.latency_buckets if each.role == role]
        total = sum(each.rows for each in buckets)
        shares = [rows / total for rows in accumulate(each.rows for each in buckets)]
        within = [each.upto_us / 1000 for each in buckets]
        data.append({"x": within, "y": shares, "hovertemplate": "%{y:.1%} within %{x:.3g} ms", **_line(role, "linear")})
    return {
        "data": data,
        "layout": {
            "xaxis": {
                "title": {"text": "latency, ms (log scale)"},
                "type": "log",
                "tickvals": TICKS_MS,
                "ticktext": [f"{tick:g}" for tick in TICKS_MS],
            },
            "yaxis": {"title": {"text": "share of answers within"}, "range": [0, 1.02], **_PERCENT},
        },
    }


def differences(comparison: Comparison) -> Figure | None:
    """Histogram of the score differences of pairs; None when there is no difference at all."""
    bins = comparison.bins
    total = sum(each.pairs for each in bins)
    if comparison.pairs.low == comparison.pairs.high == 0:
        return None
    bar = {
        "type": "bar",
        "x": [(each.low + each.high) / 2 for each in bins],
        "y": [each.pairs / total for each in bins],
        "width": [each.high - each.low for each in bins],
        "marker": {"color": f"var(--{comparison.left})", "line": {"width": 0}},
        "hovertemplate": "%{y:.3%} around %{x:.3f}<extra></extra>",
    }
    title = f"{comparison.right}'s score minus {comparison.left}'s"
    return {
        "data": [bar],
        "layout": {
            "showlegend": False,
            "bargap": 0,
            "xaxis": {"title": {"text": title}, "zeroline": True},
            "yaxis": {
                "title": {"text": "share of pairs (log scale)"},
                "type": "log",
                "range": [math.log10(0.6 / total), math.log10(1.3)],
                "tickformat": ",.3~%",
                "dtick": 1,
            },
        },
    }


def decisions(report: Report) -> Figure:
    """The share of review and of block in each role's decisions; approve is the rest."""
    data = []
    for role in _roles(report):
        rows = {each.decision: each.rows for each in report.decisions if each.role == role}
        total = sum(rows.values())
        if total:
            shares = [rows.get(decision, 0) / total for decision in store.DECISIONS[1:]]
            names = [decision.value for decision in store.DECISIONS[1:]]
            data.append({"x": names, "y": shares, "hovertemplate": "%{y:.2%}", **_bar(role)})
    return {
        "data": data,
        "layout": {
            "barmode": "group",
            "bargap": 0.35,
            "xaxis": {"type": "category"},
            "yaxis": {"title": {"text": "share of decisions"}, **_PERCENT},
        },
    }


def quality(report: Report, tag: str) -> Figure | None:
    """Precision over recall: the model and its baseline as promised, and the model live. None without a curve."""
    promised = report.evaluations.get(tag)
    live = next((each for each in report.live if each.tag == tag), None)
    data = []
    if promised:
        data.append(_curve("model", promised.model.curve, "var(--model)", "solid"))
        if promised.baseline:
            data.append(_curve("baseline", promised.baseline.curve, "var(--baseline)", "dash"))
        ends = (CurvePoint(recall=0, precision=promised.base_rate), CurvePoint(recall=1, precision=promised.base_rate))
        data.append(_curve("chance", ends, "var(--muted)", "dot"))
    if live and live.quality.curve:
        data.append(_curve("live", live.quality.curve, "var(--live)", "longdashdot"))
    if not data:
        return None
    axis = {"range": [0, 1.02], "tickformat": ".0%"}
    return {
        "data": data,
        "layout": {
            "xaxis": {"title": {"text": "recall"}, **axis},
            "yaxis": {"title": {"text": "precision"}, **axis},
        },
    }


def _roles(report: Report) -> list[store.Role]:
    return [each.role for each in report.traffic]


def _instants(report: Report) -> list[datetime]:
    """Every interval from the first to the last one with rows, so that a gap is seen as one."""
    first, last = report.timeline[0].at, report.timeline[-1].at
    steps = round((last - first) / report.step)
    return [first + timedelta(seconds=n * report.step.total_seconds()) for n in range(steps + 1)]


def _timeline_style(role: store.Role) -> dict[str, Any]:
    return _line(role, "hvh") if role == "shadow" else _bar(role)


def _bar(role: store.Role) -> dict[str, Any]:
    return {"type": "bar", "name": role, "marker": {"color": f"var(--{role})", "line": {"width": 0}}}


def _line(role: store.Role, shape: str) -> dict[str, Any]:
    line = {"color": f"var(--{role})", "width": 2.5, "dash": DASHES[role], "shape": shape}
    return {"type": "scatter", "mode": "lines", "name": role, "line": line}


def _curve(name: str, points: tuple[CurvePoint, ...], color: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [point.recall for point in points],
        "y": [point.precision for point in points],
        "line": {"color": color, "width": 2.5, "dash": dash},
        "hovertemplate": "precision %{y:.1%} at recall %{x:.1%}",
    }
