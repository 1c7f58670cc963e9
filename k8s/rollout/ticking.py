"""The controller's life: a tick, a rest, the next tick, until somebody asks it to end.

A tick in which a part of the world is away says so, and the next one tries again: the rollout holds meanwhile. One
that ends in a mistake of ours is logged with its traceback and tried again, too: the next starts from what the world
shows, and a controller that died of it would hold a broken candidate's weight just the same, and say less. A
controller that stands by looks at the lease at each of its ticks, and does nothing else.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from k8s.rollout.changes import Changes
from k8s.rollout.controller import TickReport
from k8s.rollout.errors import LeaseError, RolloutError, WaitsError
from k8s.rollout.health import Health
from k8s.rollout.metrics import Metrics
from k8s.rollout.tenure import Tenure

_log: Final = logging.getLogger(__name__)

_LATE_TICKS: Final = 4
_LATE_SECONDS: Final = 15.0
_REST_SECONDS: Final = 0.2
"""Between two ticks at least, however many changes wake the controller."""


class Ticker:
    """Ticks until `end`. `see` is told of every report. `ticks` is a monotonic clock in seconds."""

    def __init__(
        self,
        tick: Callable[[], TickReport],
        tenure: Tenure,
        metrics: Metrics,
        *,
        see: Callable[[TickReport], None],
        changes: Changes,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problem = ""
        """Why the last tick failed, or why this controller does nothing; empty when all is well."""
        self._tick = tick
        self._tenure = tenure
        self._metrics = metrics
        self._see = see
        self._changes = changes
        self._ticks = ticks
        self._asked_to_end = False
        self._ended = ticks()
        metrics.tick_age.set_function(lambda: self._ticks() - self._ended)

    def end(self) -> None:
        """Lets `run` return after the tick in hand. Safe in a signal handler."""
        self._asked_to_end = True
        self._changes.wake()

    def run(self, seconds: Callable[[], float]) -> None:
        """Ticks when something changed, and at the latest `seconds` after the last one began.

        Returns after `end`; the tick in hand is ended first. Raises LeaseError when the lease is lost.
        """
        while not self._asked_to_end:
            began = self._ticks()
            self.once()
            self._changes.wait(max(0.0, seconds() - (self._ticks() - began)))
            if not self._asked_to_end:
                time.sleep(max(0.0, min(_REST_SECONDS, seconds()) - (self._ticks() - self._ended)))

    def once(self) -> bool:
        """One tick; whether all of it was done. Raises LeaseError when the lease is lost."""
        began = self._ticks()
        outcome, problem = self._outcome()
        self._ended = self._ticks()
        self._metrics.tick_seconds.observe(self._ended - began)
        self._metrics.ticks.labels(outcome).inc()
        if self.problem and not problem:
            _log.info("tick.recovered", extra={"words": f"a tick was done again; before: {self.problem}"})
        if outcome == "waits" and self.problem != problem:
            _log.info("lease.waits", extra={"words": problem})
        self.problem = problem
        return outcome == "ok"

    def health(self, seconds: float, stuck: float) -> Health:
        """How the ticks go, where one is due every so many seconds."""
        late = max(_LATE_SECONDS, seconds * _LATE_TICKS)
        return Health(self._ticks() - self._ended, late, stuck, self.problem)

    def _outcome(self) -> tuple[str, str]:
        try:
            self._renew()
            report = self._tick()
            self._see(report)
        except LeaseError:
            raise
        except WaitsError as error:
            return "waits", str(error)
        except (RolloutError, OSError) as error:  # the lease's own store is away
            _log.warning("rollout.problem", extra={"what": "the lease", "problem": str(error)})
            return "failed", str(error)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            _log.exception("tick.crashed")
            return "crashed", f"{type(error).__name__}: {error}"
        problem = "; ".join(report.problems)
        return ("failed", problem) if problem else ("ok", "")

    def _renew(self) -> None:
        try:
            self._tenure.renew()
        finally:
            self._metrics.leads.set(self._tenure.leads)
