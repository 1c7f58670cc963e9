"""The noise floor from the store: hours that are over are counted once, one at each look, and kept."""

import logging
from datetime import datetime, timedelta
from typing import Final

from k8s.rollout.blocks import NoiseFloor
from k8s.rollout.noise_floor import noise_floor
from k8s.rollout.store_session import StoreAwayError, StoreSession
from monitoring import rollout_noise

HOURS: Final = 24
"""Used: a day of one-hour windows."""

_HOUR: Final = timedelta(hours=1)
_LATE: Final = timedelta(minutes=10)
"""An hour is counted so long after its end: rows may come late."""

_log = logging.getLogger(__name__)


class StoreNoise:
    """The noise floor of a stable model over the last day."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._known: tuple[str, float, datetime] | None = None
        self._floor = NoiseFloor()

    def floor(self, tag: str, slo_ms: float, now: datetime) -> NoiseFloor:
        """From the hours that are counted; one more is counted now, if one is missing.

        When the store is away it is what it was, or not known for a model that was not asked about before.
        """
        end = (now - _LATE).replace(minute=0, second=0, microsecond=0)
        if self._known == (tag, slo_ms, end):
            return self._floor
        if self._known is not None and self._known[0] != tag:
            self._known, self._floor = None, NoiseFloor()
        try:
            if not self._look(tag, slo_ms, end):
                self._known = (tag, slo_ms, end)
        except StoreAwayError as error:
            _log.warning("rollout.noise_unknown error=%s", error)
        return self._floor

    def _look(self, tag: str, slo_ms: float, end: datetime) -> int:
        """How many hours are not counted yet."""
        first = end - HOURS * _HOUR
        with self._session.transaction() as connection:
            counted = rollout_noise.hours(connection, tag, slo_ms, first, end)
            missing = [hour for hour in (end - n * _HOUR for n in range(1, HOURS + 1)) if hour not in counted]
            if missing:
                rollout_noise.add_hour(connection, tag, slo_ms, missing[0])
            self._floor = noise_floor(rollout_noise.slices(connection, tag, slo_ms, first, end))
        return max(0, len(missing) - 1)
