"""Paired resamples of whole groups, and any sum over rows under all of them at once.

Every figure of an evaluation is made of sums over rows. Under a resample each group of rows (an entity) counts as
often as it was drawn, so a sum is a product of the groups' own sums with the draws: a sparse matrix product, which
costs the same for a thousand events and little more for a million.

More groups than `_MOST_UNITS` are thrown together at random into as many units, each of equally many groups. Sums of
independent groups are independent themselves, and their spread is that of the groups, so intervals stay right while
the draws stay small.
"""

from copy import copy
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # scipy has no types of its own

RESAMPLES: Final = 200
_MOST_UNITS: Final = 4_096

_Floats = NDArray[np.float64]


class Resamples:
    """Draws of groups with replacement: as many as there are, `count` times over."""

    def __init__(self, groups: NDArray[np.int64], rng: np.random.Generator, count: int = RESAMPLES) -> None:
        """`groups` numbers each row's group from 0 on, shape (n,)."""
        self.count = count
        units = int(groups.max()) + 1
        if units > _MOST_UNITS:
            groups = (rng.permutation(units) % _MOST_UNITS)[groups]
            units = _MOST_UNITS
        self._unit = groups
        drawn = (np.bincount(rng.integers(0, units, units), minlength=units) for _ in range(count))
        self._times: _Floats = np.stack([each.astype(np.float64) for each in drawn], axis=1)

    def sums(self, cells: NDArray[Any], size: int, values: _Floats | None = None) -> _Floats:
        """The sum of `values` (1 each when None) over the rows of each cell under each resample, (count, size).

        `cells` numbers each row's cell, shape (n,); rows of cells outside of 0 to size - 1 are left out.
        """
        kept = np.flatnonzero((cells >= 0) & (cells < size))
        weight = np.ones(len(kept)) if values is None else values[kept]
        table = sparse.csr_matrix((weight, (cells[kept], self._unit[kept])), shape=(size, len(self._times)))
        return np.asarray((table @ self._times).T)

    def only(self, rows: NDArray[np.bool_]) -> "Resamples":
        """The same draws for these rows alone."""
        part = copy(self)
        part._unit = self._unit[rows]  # noqa: SLF001 - a copy of its own kind
        return part

    def total(self, values: _Floats) -> _Floats:
        """The sum of `values` over all rows under each resample, shape (count,)."""
        own = np.bincount(self._unit, weights=values, minlength=len(self._times))
        return np.asarray(own @ self._times)
