"""Raw model output to probability: a monotone, piecewise linear map.

Linear interpolation uses only + - * /, which IEEE 754 rounds exactly, so that the scalar and the array version agree
to the last bit. The knots come from centred isotonic regression (Oron and Flournoy, 2017), see
`training/calibrate.py`.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator


class Calibration(BaseModel):
    """Knots of the map: `raw` strictly increasing, `probability` not decreasing and within [0, 1]; constant outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    raw: tuple[float, ...]
    probability: tuple[float, ...]

    _slopes: tuple[float, ...] = PrivateAttr()

    @model_validator(mode="after")
    def _is_monotone(self) -> Self:
        if len(self.raw) != len(self.probability) or len(self.raw) < 2:
            raise ValueError("a calibration needs two knots or more, and one probability for each")
        if any(after <= before for before, after in zip(self.raw, self.raw[1:], strict=False)):
            raise ValueError("the raw values of a calibration must increase strictly")
        if any(after < before for before, after in zip(self.probability, self.probability[1:], strict=False)):
            raise ValueError("the probabilities of a calibration may not decrease")
        if self.probability[0] < 0 or self.probability[-1] > 1:
            raise ValueError("the probabilities of a calibration lie within 0 and 1")
        self._slopes = tuple(
            (self.probability[i + 1] - self.probability[i]) / (self.raw[i + 1] - self.raw[i])
            for i in range(len(self.raw) - 1)
        )
        if not all(math.isfinite(slope) for slope in self._slopes):
            raise ValueError("two raw values of a calibration are too close to each other to go from one to the next")
        return self

    def one(self, raw: float) -> float:
        """The probability for one raw value."""
        return self.function()(raw)

    def function(self) -> Callable[[float], float]:
        """`one` without the price of this model's attributes, for whoever calls it often."""
        knots, values, slopes, last = self.raw, self.probability, self._slopes, len(self.raw) - 1

        def probability(raw: float) -> float:
            left = bisect_right(knots, raw) - 1
            if left < 0:
                return values[0]
            if left >= last:
                return values[last]
            return min(values[left] + slopes[left] * (raw - knots[left]), values[left + 1])

        return probability

    def many(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities for an array of raw values, each equal to `one` of it to the last bit."""
        knots, values = np.asarray(self.raw), np.asarray(self.probability)
        left = np.clip(np.searchsorted(knots, raw, side="right") - 1, 0, len(knots) - 2)
        between = np.minimum(values[left] + np.asarray(self._slopes)[left] * (raw - knots[left]), values[left + 1])
        inside: NDArray[np.float64] = np.where(raw >= knots[-1], values[-1], between)
        return np.where(raw <= knots[0], values[0], inside)
