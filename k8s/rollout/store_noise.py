"""The noise floor from the store: hours that are over are counted once, a part at each look, and kept."""

import logging
from datetime import datetime, timedelta
from typing import Final

from k8s.rollout.blocks import NoiseFloor
from k8s.rollout.noise_floor import noise_floor
from k8s.rollout.store_session import StoreAwayError, StoreSession
from monitoring import rollout_noise
from monitoring.rollout_noise import PARTS

HOURS: Final = 24
"""Used: a day of one-hour windows."""

_HOUR: Final = timedelta(hours=1)
_LATE: Final = timedelta(minutes=10)
"""An hour is counted so long after its end: rows may come late."""

_PAUSE: Final = timedelta(minutes=1)
"""After a failure: an hour that is too much for the store's limits must not slow down every tick."""

_log = logging.getLogger(__name__)


class StoreNoise:
    """The noise floor of a stable model over the last day."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._asked: tuple[str, float] | None = None
        self._until: datetime | None = None
        self._floor = NoiseFloor()
        self._not_before: datetime | None = None

    def floor(self, tag: str, slo_ms: float, now: datetime) -> NoiseFloor:
        """From what is counted; a part more is counted now, if one is missing.

        When the store is away it is what it was, or not known for a model that was not asked about before.
        """
        end = (now - _LATE).replace(minute=0, second=0, microsecond=0)
        if self._asked != (tag, slo_ms):
            self._asked, self._until, self._floor = (tag, slo_ms), None, NoiseFloor()
        if self._until != end and (self._not_before is None or now >= self._not_before):
            try:
                self._until = None if self._look(tag, slo_ms, end) else end
            except StoreAwayError as error:
                self._not_before = now + _PAUSE
                _log.warning("rollout.noise_unknown error=%s", error)
        return self._floor

    def _look(self, tag: str, slo_ms: float, end: datetime) -> int:
        """How many parts are not counted yet."""
        first = end - HOURS * _HOUR
        with self._session.transaction() as connection:
            counted = rollout_noise.counted(connection, tag, slo_ms, first, end)
            hours = [end - n * _HOUR for n in range(1, HOURS + 1)]
            missing = [part for hour in hours for slices in PARTS if (part := (hour, slices)) not in counted]
            if missing:
                rollout_noise.add(connection, tag, slo_ms, missing[0])
            self._floor = noise_floor(rollout_noise.slices(connection, tag, slo_ms, first, end))
        return max(0, len(missing) - 1)
