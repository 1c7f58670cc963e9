"""Invented events with labels, by recipe: the same arguments always give the same table.

A recipe is called as `(rows, seed, end, days)`. Its events lie in the `days` days before `end`, oldest first, with the
columns of a data file (`datasets.py`); a missing value is NaN or None. `realistic` can also drift.
"""

from datetime import datetime
from typing import Final, Protocol

import pandas as pd

from .recipes.drift import STRENGTHS, Drift, DriftKind
from .recipes.parameters import Realistic
from .recipes.plain import DAYS, plain
from .recipes.realistic import realistic

__all__ = ["DAYS", "DEFAULT", "RECIPES", "STRENGTHS", "Drift", "DriftKind", "Realistic", "plain", "realistic"]


class Recipe(Protocol):
    """Makes a table of `rows` events in the `days` days before `end`."""

    def __call__(self, rows: int, seed: int, end: datetime, days: int = ...) -> pd.DataFrame: ...


RECIPES: Final[dict[str, Recipe]] = {"realistic": realistic, "plain": plain}
DEFAULT: Final = "realistic"
