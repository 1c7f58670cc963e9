"""Draws that several parts of a recipe make."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .parameters import CHANNELS
from .window import HOUR_MS


def chosen(rng: np.random.Generator, weights: Sequence[float] | NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """`count` places in `weights`, each drawn in proportion to its weight."""
    reach = np.cumsum(weights)
    places = np.searchsorted(reach, rng.random(count) * reach[-1], side="right")
    inside: NDArray[np.int64] = np.minimum(places, len(reach) - 1).astype(np.int64)
    return inside


def chosen_by_row(rng: np.random.Generator, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """A place in each row of `weights` (n, k), whose rows sum to 1."""
    reach = np.cumsum(weights, axis=1)[:, :-1]
    places: NDArray[np.int64] = (rng.random(len(weights))[:, None] >= reach).sum(axis=1).astype(np.int64)
    return places


def log_normal(
    rng: np.random.Generator, median: float | NDArray[np.float64], sigma: float, count: int
) -> NDArray[np.float64]:
    """Log-normal values around a median."""
    values: NDArray[np.float64] = median * rng.lognormal(0.0, sigma, count)
    return values


def runs(
    rng: np.random.Generator, mean: float | NDArray[np.float64], total: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Runs of geometric sizes (from 1, with this mean) that make `total` events, of at most `most` runs.

    Returns, for each event, the number of its run and whether it is the run's first.
    """
    sizes = rng.geometric(1.0 / np.broadcast_to(np.asarray(mean, dtype=np.float64), most))
    run = np.repeat(np.arange(most), sizes)[:total]
    return run, np.diff(run, prepend=-1) != 0


def since_first(gaps: NDArray[np.float64], first: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each event of consecutive runs, the sum of the gaps since its run's first event (whose gap is unused)."""
    reached = np.cumsum(gaps)
    since: NDArray[np.float64] = reached - reached[first][np.cumsum(first) - 1]
    return since


def clock(rng: np.random.Generator, weights: Sequence[float], count: int) -> NDArray[np.int64]:
    """Times of day in ms since midnight, drawn by the weight of their hour."""
    return chosen(rng, weights, count) * HOUR_MS + rng.integers(0, HOUR_MS, count)


def channel_weights(shares: Mapping[str, float]) -> NDArray[np.float64]:
    """A weight for each channel of CHANNELS."""
    return np.array([shares.get(name, 0.0) for name in CHANNELS])
