"""Bars of text: shares, and evidence on a scale that grows by factors."""

import math
from typing import Final

from rich.text import Text

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"
_EMPTY: Final = "░"
_DECADES_BELOW: Final = 1_000.0
"""A scale of evidence begins at a thousandth of its bound."""

_UNITS: Final = ((1e15, 1e15, "P"), (1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


def bar(share: float, width: int, style: str = "") -> Text:
    """`width` cells, filled to `share` (0 to 1; beyond, it is full), to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    filled = _FULL * full + (_EIGHTHS[rest] if rest else "")
    return Text(filled, style=style) + Text(_EMPTY * (width - len(filled)), style="dim")


def log_share(value: float, bound: float) -> float:
    """Where `value` is between a thousandth of `bound` (0) and `bound` (1), on a scale of factors."""
    if bound <= 0 or value <= 0:
        return 0.0
    if math.isinf(value):
        return 1.0
    return max(0.0, min(1.0, math.log(value * _DECADES_BELOW / bound) / math.log(_DECADES_BELOW)))


def number(value: float) -> str:
    """A number of any size in at most 7 characters: 0.03, 1.30, 99.9, 9,999, 12.3k, 3.4M."""
    if not math.isfinite(value):
        return "inf" if value > 0 else "-"
    for least, factor, unit in _UNITS:
        if abs(value) >= least:
            return f"{value / factor:.3g}{unit}"
    if 0 < abs(value) < 0.001:
        return "<0.001"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.2g}"


def span(seconds: float) -> str:
    """A length of time for people: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    whole = round(max(0.0, seconds))
    if whole < 120:
        return f"{whole} s"
    minutes, hours = round(whole / 60), whole // 3600
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"
