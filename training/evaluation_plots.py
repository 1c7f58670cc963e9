"""An evaluation's drawings, as Plotly figures in plain dictionaries, in the look of the monitoring page.

A colour is written as `var(--name)`, which the page resolves in the light and in the dark. The model is a solid line,
the baseline a dashed one, so that they differ without colour too. Bands and bars are 95 % intervals.
"""

from collections.abc import Sequence
from typing import Any, Final

from monitoring.evaluation import CostPoint, CurvePoint, Evaluation, Interval, Metrics, Slice

from .evaluation_report import candidates

Figure = dict[str, Any]

_STYLES: Final = {"LightGBM": ("model", "solid"), "logistic regression": ("baseline", "dash")}
_ORDER: Final = {"legend": {"traceorder": "normal"}}
_SHARE: Final = {"range": [0, 1.02], "tickformat": ".0%"}


def figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Every drawing by its name on the page."""
    return {
        "curve": curve(evaluation),
        "cost": cost(evaluation),
        "calibration": calibration(evaluation),
        "lift": lift(evaluation),
        "slices": slices(evaluation),
    }


def curve(evaluation: Evaluation) -> Figure:
    """Precision over recall, and what chance gives."""
    data = []
    for name, metrics in candidates(evaluation).items():
        at = [point.recall for point in metrics.curve]
        data += [
            *_band(name, at, metrics.curve),
            _line(name, at, [point.precision for point in metrics.curve], "precision %{y:.1%} at recall %{x:.1%}"),
        ]
    chance = _plain_line("chance", [0, 1], [evaluation.base_rate] * 2)
    axes = {
        **_ORDER,
        "xaxis": {"title": {"text": "recall"}, **_SHARE},
        "yaxis": {"title": {"text": "precision"}, **_SHARE},
    }
    return {"data": [*data, chance], "layout": axes}


def cost(evaluation: Evaluation) -> Figure:
    """The cost of beginning reviews at another score, and where each policy begins."""
    data = []
    for name, metrics in candidates(evaluation).items():
        at = [point.review_from for point in metrics.cost_curve]
        data += [
            *_band(name, at, metrics.cost_curve),
            _line(
                name, at, [point.cost_per_1000 for point in metrics.cost_curve], "%{y:,.0f} if reviewed from %{x:.3g}"
            ),
        ]
    chosen = evaluation.policy.review_from
    place = min(evaluation.model.cost_curve, key=lambda point: abs(point.review_from - chosen))
    mark = {
        "type": "scatter",
        "mode": "markers",
        "name": "chosen",
        "x": [place.review_from],
        "y": [place.cost_per_1000],
        "marker": {"color": "var(--ink)", "size": 10, "symbol": "diamond"},
        "hovertemplate": "chosen: reviews from %{x:.4g}<extra></extra>",
    }
    ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]
    return {
        "data": [*data, mark],
        "layout": {
            **_ORDER,
            "xaxis": {
                "title": {"text": "reviews begin at this score (log scale)"},
                "type": "log",
                "tickvals": ticks,
                "ticktext": [f"{tick:g}" for tick in ticks],
            },
            "yaxis": {"title": {"text": "cost per 1,000 events"}, "rangemode": "tozero"},
        },
    }


def calibration(evaluation: Evaluation) -> Figure:
    """Share of positives over the mean score of each bin, on log axes: most scores are small."""
    data = []
    lowest = 1.0
    for name, metrics in candidates(evaluation).items():
        bins = [each for each in metrics.calibration if each.positive_share > 0]
        lowest = min([lowest, *(min(each.mean_score, each.positive_share) for each in bins)])
        color, _ = _STYLES[name]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [each.mean_score for each in bins],
                "y": [each.positive_share for each in bins],
                "error_y": _error([(each.positive_share, each.low, each.high) for each in bins], f"var(--{color})"),
                "marker": {
                    "color": f"var(--{color})",
                    "size": 9,
                    "symbol": "circle" if color == "model" else "square-open",
                },
                "hovertemplate": "of scores around %{x:.2%}, %{y:.2%} were positive",
            }
        )
    floor = max(lowest / 3, 1e-5)
    right = _plain_line("as promised", [floor, 1], [floor, 1])
    axis = {"type": "log", "tickformat": ".2~%", "dtick": 1}
    return {
        "data": [right, *data],
        "layout": {
            "xaxis": {"title": {"text": "mean score of a bin (log scale)"}, **axis},
            "yaxis": {"title": {"text": "share of positives"}, **axis},
        },
    }


def lift(evaluation: Evaluation) -> Figure:
    """How much richer in positives each tenth of the events is, the highest scores first."""
    data = []
    for name, metrics in candidates(evaluation).items():
        color, _ = _STYLES[name]
        data.append(
            {
                "type": "bar",
                "name": name,
                "x": _tenths(metrics),
                "y": [each.lift.value for each in metrics.lift],
                "error_y": _error([_bounds(each.lift) for each in metrics.lift], "var(--muted)"),
                "marker": {"color": f"var(--{color})", "line": {"width": 0}},
                "hovertemplate": "%{y:.2f} times the base rate",
            }
        )
    return {
        "data": data,
        "layout": {
            "barmode": "group",
            "bargap": 0.3,
            "xaxis": {"title": {"text": "events by score, the highest first"}, "type": "category"},
            "yaxis": {"title": {"text": "lift"}, "rangemode": "tozero"},
        },
    }


def slices(evaluation: Evaluation) -> Figure:
    """The recall of each slice with its interval, beside the whole's."""
    parts = [each for each in evaluation.slices if each.recall is not None][::-1]
    broken = {(each.field, each.band) for each in evaluation.floors if each.figure == "recall" and each.held is False}
    groups = (
        ("held or not judged", "var(--model)", "circle", [each for each in parts if _key(each) not in broken]),
        ("below its floor", "var(--bad)", "diamond", [each for each in parts if _key(each) in broken]),
    )
    data: list[Figure] = [_recalls(*group) for group in groups if group[3]]
    reach = {"range": [-0.5, len(parts) - 0.5]}
    whole = _plain_line("whole", [evaluation.model.recall.value] * 2, [-0.5, len(parts) - 0.5])
    return {
        "data": [*data, {**whole, "yaxis": "y2"}],
        "layout": {
            "height": 90 + 22 * len(parts),
            "xaxis": {"title": {"text": "recall"}, **_SHARE},
            "yaxis": {**reach, "type": "category", "categoryarray": [_name(each) for each in parts]},
            "yaxis2": {**reach, "overlaying": "y", "visible": False, "fixedrange": True},
        },
    }


def _recalls(name: str, color: str, symbol: str, parts: Sequence[Slice]) -> Figure:
    found = [each.recall for each in parts if each.recall is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [each.value for each in found],
        "y": [_name(each) for each in parts],
        "error_x": _error([_bounds(each) for each in found], color),
        "marker": {"color": color, "size": 8, "symbol": symbol},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }


def _key(part: Slice) -> tuple[str, str]:
    return part.field, part.band


def _name(part: Slice) -> str:
    return f"{part.field}: {part.band}"


def _tenths(metrics: Metrics) -> list[str]:
    starts = [0.0, *(each.upto for each in metrics.lift)]
    return [f"{100 * low:.0f}-{100 * each.upto:.0f} %" for low, each in zip(starts, metrics.lift, strict=False)]


def _bounds(each: Interval) -> tuple[float, float, float]:
    return each.value, each.low, each.high


def _error(bounds: Sequence[tuple[float, float, float]], color: str) -> Figure:
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - value) for value, _, high in bounds],
        "arrayminus": [max(0.0, value - low) for value, low, _ in bounds],
        "color": color,
        "thickness": 1.5,
        "width": 0,
    }


def _line(name: str, at: Sequence[float], values: Sequence[float], hover: str) -> Figure:
    color, dash = _STYLES[name]
    line = {"color": f"var(--{color})", "width": 2.5, "dash": dash}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": at,
        "y": values,
        "line": line,
        "hovertemplate": hover,
    }


def _band(name: str, at: Sequence[float], points: Sequence[CurvePoint] | Sequence[CostPoint]) -> list[Figure]:
    color, _ = _STYLES[name]
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    low, high = [point.low for point in points], [point.high for point in points]
    return [
        {**edge, "x": at, "y": low},
        {**edge, "x": at, "y": high, "fill": "tonexty", "fillcolor": f"var(--{color}-band)"},
    ]


def _plain_line(name: str, at: Sequence[float], values: Sequence[float]) -> Figure:
    line = {"color": "var(--muted)", "width": 1.5, "dash": "dot"}
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": at, "y": values, "line": line, "hoverinfo": "skip",
    }  # fmt: skip
