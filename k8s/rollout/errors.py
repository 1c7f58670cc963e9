"""What can go wrong in the commands of the rollout, and the exit code of each kind.

    RolloutError             exit code
    +-- UsageError           2   the options don't fit together, or name something that is not there
    +-- FileError            3   a file that was given, or the rollout's own object, can't be used
    +-- NotNowError          4   what was asked for does not fit what is going on
    +-- NotRunningError      5   there is no stack or cluster to talk to, or a part of it does not answer
    +-- LeaseError           6
    |   +-- HeldError            a controller runs already
    |   +-- LostError            this controller's lease is somebody else's now
    +-- WaitsError               a controller that stands by; it never ends by this
    +-- DisagreesError       7   decided again, the recorded evidence gives something else
    +-- RefusedError         14  the model may not start: banned, or its comparison says no

How a rollout ended has codes of its own, see `verdict_codes`.
"""

from typing import ClassVar


class RolloutError(Exception):
    """The root of this package's errors. The message says what was wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(RolloutError):
    """The options don't fit together, or name something that is not there."""

    exit_code = 2


class FileError(RolloutError):
    """A file that was given, or the rollout's own object, can't be used."""

    exit_code = 3


class NotNowError(RolloutError):
    """What was asked for does not fit what is going on."""

    exit_code = 4


class NotRunningError(RolloutError):
    """There is no stack or cluster to talk to, or a part of it does not answer."""

    exit_code = 5


class LeaseError(RolloutError):
    """The right to be the only controller."""

    exit_code = 6


class HeldError(LeaseError):
    """A controller runs already."""


class LostError(LeaseError):
    """This controller's lease is somebody else's now."""


class WaitsError(RolloutError):
    """A controller runs already, and this one stands by until it can take the lease."""


class DisagreesError(RolloutError):
    """Decided again, the recorded evidence gives something else than was recorded."""

    exit_code = 7


class RefusedError(RolloutError):
    """The model may not start: it is banned, or its comparison says no."""

    exit_code = 14
