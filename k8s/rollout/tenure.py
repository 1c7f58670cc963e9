"""How long a controller may act: while it holds the lease, and has renewed it lately."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from k8s.rollout.errors import HeldError, RolloutError, WaitsError
from k8s.rollout.leases import Lease

_log: Final = logging.getLogger(__name__)

CONFIRM_SECONDS: Final = 2.0
"""Nothing is changed when the lease was not looked at for so long. A change takes 20 s at most, and a cluster's lease
was renewed 8 s before the look at the earliest: so it is over before another controller may begin, after 30 s."""


class Tenure:
    """One controller's hold on the lease. With `standby` it waits for a lease that is somebody else's.

    `ticks` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        lease: Lease,
        who: str,
        clock: Callable[[], datetime],
        *,
        standby: bool = False,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leads = False
        self._lease = lease
        self._who = who
        self._clock = clock
        self._standby = standby
        self._ticks = ticks
        self._renewed = 0.0

    def begin(self) -> None:
        """Takes the lease, unless it may be waited for. Raises HeldError, NotRunningError."""
        if not self._standby:
            self._take()

    def renew(self) -> None:
        """The lease is ours, again or from now on. Raises WaitsError, LostError, NotRunningError."""
        if self.leads:
            self._lease.renew(self._clock())
            self._renewed = self._ticks()
            return
        try:
            self._take()
        except HeldError as error:
            raise WaitsError(str(error)) from error

    def confirm(self) -> None:
        """Called before each change: it is ours for longer than the change takes. Raises LostError, NotRunningError."""
        if self._ticks() - self._renewed > CONFIRM_SECONDS:
            self.renew()

    def end(self) -> None:
        """Gives the lease back. When that can't be done it runs out by itself."""
        self.leads = False
        try:
            self._lease.release()
        except RolloutError as error:
            _log.warning("lease.kept", extra={"words": "the lease could not be given back", "problem": str(error)})

    def _take(self) -> None:
        self._lease.take(self._who, self._clock())
        self.leads, self._renewed = True, self._ticks()
        _log.info("lease.taken", extra={"who": self._who})
