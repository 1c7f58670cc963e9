"""Drift on demand: from a given moment on, and not before, the events are different."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from .made import Made
from .parameters import CHANNELS, NEW_CHANNEL


class DriftKind(StrEnum):
    """What changes."""

    AMOUNT = "amount"
    MISSING = "missing"
    DEVICE = "device"
    CATEGORY = "category"
    CONCEPT = "concept"


STRENGTHS: Final[Mapping[DriftKind, float]] = MappingProxyType(
    {
        DriftKind.AMOUNT: 1.5,
        DriftKind.MISSING: 0.2,
        DriftKind.DEVICE: 0.25,
        DriftKind.CATEGORY: 0.4,
        DriftKind.CONCEPT: 0.8,
    }
)
"""How strong each is unless said otherwise: the factor of all amounts; the share of the events whose `device_risk` gets
lost; the share of the known devices that seem new (a browser's update, say); the share of the online events that come
through the new channel; the share of new fraud episodes that follow the moved pattern."""


@dataclass(frozen=True)
class Drift:
    """One change that sets in at `starts` (with an offset) and stays. `strength` None takes the one of `STRENGTHS`."""

    kind: DriftKind
    starts: datetime
    strength: float | None = None

    def __post_init__(self) -> None:
        most = np.inf if self.kind is DriftKind.AMOUNT else 1.0
        if not 0 < self.size <= most:
            unit = "a factor above 0" if self.kind is DriftKind.AMOUNT else "a share above 0 and at most 1"
            raise ValueError(f"the strength of the drift {self.kind} is {unit}; got {self.size:g}")

    @property
    def size(self) -> float:
        """The strength, or its default."""
        return STRENGTHS[self.kind] if self.strength is None else self.strength


def changed(made: Made, kind: DriftKind, size: float, starts: int, rng: np.random.Generator) -> Made:
    """The events with those from `starts` on (ms since the window's start) changed.

    `concept` changes nothing here: it is in how the episodes of fraud are made.
    """
    chance = rng.random(len(made))
    later = made.time >= starts
    chosen = later & (chance < size)
    match kind:
        case DriftKind.AMOUNT:
            return made.having(amount=np.where(later, made.amount * size, made.amount))
        case DriftKind.MISSING:
            return made.having(device=np.where(chosen, np.nan, made.device))
        case DriftKind.DEVICE:
            return made.having(device=np.where(chosen & (made.device == 0), 1.0, made.device))
        case DriftKind.CATEGORY:
            online = made.channel == CHANNELS.index("online")
            return made.having(channel=np.where(chosen & online, CHANNELS.index(NEW_CHANNEL), made.channel))
        case DriftKind.CONCEPT:
            return made
