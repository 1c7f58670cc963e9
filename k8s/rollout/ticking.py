"""The controller's life: a tick, a rest, the next tick, until somebody asks it to end.

A tick in which a part of the world is away says so, and the next one tries again: the rollout holds meanwhile. One
that ends in a mistake of ours is logged with its traceback and tried again, too: the next starts from what the world
shows, and a controller that died of it would hold a broken candidate's weight just the same, and say less.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from k8s.rollout.controller import TickReport
from k8s.rollout.errors import LeaseError, RolloutError
from k8s.rollout.health import Health
from k8s.rollout.leases import Lease
from k8s.rollout.metrics import Metrics

_log: Final = logging.getLogger(__name__)

_LATE_TICKS: Final = 4
_LATE_SECONDS: Final = 15.0


class Ticker:
    """Ticks until `stop` is set. `see` is told of every report. `ticks` is a monotonic clock in seconds."""

    def __init__(
        self,
        tick: Callable[[], TickReport],
        lease: Lease,
        clock: Callable[[], datetime],
        metrics: Metrics,
        *,
        see: Callable[[TickReport], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = threading.Event()
        self.problem = ""
        """Why the last tick failed; empty when it did not."""
        self._tick = tick
        self._lease = lease
        self._clock = clock
        self._metrics = metrics
        self._see = see
        self._ticks = ticks
        self._ended = ticks()
        metrics.tick_age.set_function(lambda: self._ticks() - self._ended)

    def run(self, seconds: Callable[[], float]) -> None:
        """Returns when `stop` is set; the tick in hand is ended first. Raises LeaseError when the lease is lost."""
        while not self.stop.is_set():
            began = self._ticks()
            self.once()
            self.stop.wait(max(0.0, seconds() - (self._ticks() - began)))

    def once(self) -> bool:
        """One tick; whether all of it was done. Raises LeaseError when the lease is lost."""
        began = self._ticks()
        outcome, problem = self._outcome()
        self._ended = self._ticks()
        self._metrics.tick_seconds.observe(self._ended - began)
        self._metrics.ticks.labels(outcome).inc()
        if self.problem and not problem:
            _log.info("tick.recovered", extra={"words": f"a tick was done again; before: {self.problem}"})
        self.problem = problem
        return outcome == "ok"

    def health(self, seconds: float, stuck: float) -> Health:
        """How the ticks go, where one is due every so many seconds."""
        late = max(_LATE_SECONDS, seconds * _LATE_TICKS)
        return Health(self._ticks() - self._ended, late, stuck, self.problem)

    def _outcome(self) -> tuple[str, str]:
        try:
            self._lease.renew(self._clock())
            report = self._tick()
            self._see(report)
        except LeaseError:
            raise
        except (RolloutError, OSError) as error:  # the lease's own store is away
            _log.warning("rollout.problem", extra={"what": "the lease", "problem": str(error)})
            return "failed", str(error)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            _log.exception("tick.crashed")
            return "crashed", f"{type(error).__name__}: {error}"
        problem = "; ".join(report.problems)
        return ("failed", problem) if problem else ("ok", "")
