"""Whether the store has the rows of what scorers answered, so that a block may close."""

from datetime import datetime, timedelta
from typing import Final

from k8s.rollout.gateway_timeline import Counted
from monitoring import rollout_blocks
from monitoring.migrations import Connection
from monitoring.rollout_blocks import Role, Span

SHARE: Final = 0.99
"""Of the answered requests, how many must have a row."""

IN_FLIGHT: Final = 2
"""So many may be missing beside that: requests that the scorer and the gateway count on two sides of a snapshot."""

LOST_SHARE: Final = 0.05
PATIENCE_BLOCKS: Final = 2.5
"""So long after its end, so much of a block may be lost: queue and spool of a scorer are bounded."""

LONGEST_SPAN_BLOCKS: Final = 20
_LONGEST_REQUEST: Final = timedelta(seconds=10)
"""The route's own limit is 5 seconds."""


def missing_rows(
    connection: Connection, gateway: Counted, block: timedelta, end: datetime, now: datetime
) -> str | None:
    """Which role's rows are late, in words; None when there are enough. `end` is the block's."""
    if gateway.until - gateway.since > LONGEST_SPAN_BLOCKS * block or not any(gateway.answered.values()):
        return None
    span = Span(gateway.since, gateway.until)
    rows = rollout_blocks.logged(connection, span, gateway.since - _LONGEST_REQUEST)
    late = [role for role, answered in gateway.answered.items() if _late(answered, rows[role], gateway.failing[role])]
    if late and now >= end + PATIENCE_BLOCKS * block:
        newer = rollout_blocks.newer(connection, gateway.until)
        late = [role for role in late if role not in newer or rows[role] < (1 - LOST_SHARE) * gateway.answered[role]]
    return "; ".join(_words(role, rows[role], gateway) for role in late) or None


def _late(answered: int, rows: int, failing: int) -> bool:
    missing = answered - rows
    return missing > (1 - SHARE) * answered + IN_FLIGHT and missing > failing


def _words(role: Role, rows: int, gateway: Counted) -> str:
    answered = gateway.answered[role]
    return f"{role} answered {answered} requests from {gateway.since:%H:%M:%S} on, and {rows} of them are in the store"
