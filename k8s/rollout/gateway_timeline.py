"""Which failures without a row belong to which block: the gateway's counters, laid over the blocks.

Snapshots come when ticks come, not at the ends of blocks. A failure belongs to a block by where its counter stood at
the block's two ends, read off the straight line between the snapshots around each. So every failure counts once, and
after a time without snapshots (a controller that was away) the blocks of that time share what was counted: put into
one block, an hour's failures would look like a crash.

A mark is what the next block needs to know, and is recorded with each block: a restarted controller goes on from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Final

from pydantic import TypeAdapter

from k8s.rollout.envoy_stats import Counters, Snapshot, growth
from k8s.rollout.routers import Role


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a block ended: the first snapshot after its end, and the failures until then that are not the block's."""

    snapshot: Snapshot
    rest: Mapping[Role, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the gateway counted for a block.

    `failed`: requests of each role that no scorer answered. `answered` by a scorer, and `failing`: between `since` and
    `until`, which are the snapshots at the block's two ends; both may lie in other blocks, and be the same.
    """

    failed: Mapping[Role, int]
    answered: Mapping[Role, int]
    failing: Mapping[Role, int]
    since: datetime
    until: datetime
    mark: Mark


COUNTED: Final = TypeAdapter(Counted)


def counted(start: datetime, end: datetime, mark: Mark | None, snapshots: Sequence[Snapshot]) -> Counted | None:
    """What was counted in a block; None while there is no snapshot after its end.

    `mark` is that of the block before; None for the first one, which then begins with the last snapshot before it, or
    with the first one that there is. `snapshots` in order of time.
    """
    opening = mark.snapshot if mark else _opening(start, snapshots)
    if opening is None:
        return None
    path = [opening, *(each for each in snapshots if each.began > opening.began)]
    closing = next((number for number, each in enumerate(path) if each.began >= end), None)
    if closing is None:
        return None
    path = path[: closing + 1]
    sums = _sums(path)
    failed: dict[Role, int] = {}
    left: dict[Role, int] = {}
    for role, total in sums[-1].items():
        line = [(each.began, counters[role].failed) for each, counters in zip(path, sums, strict=True)]
        if mark:
            line = [(start, -mark.rest.get(role, 0)), *line]
        at_end = _height(line, end)
        failed[role], left[role] = at_end - _height(line, start), total.failed - at_end
    answered = {role: max(0, total.charged - total.failed) for role, total in sums[-1].items()}
    failing = {role: total.failed for role, total in sums[-1].items()}
    return Counted(failed, answered, failing, opening.began, path[-1].ended, Mark(path[-1], left))


def _opening(start: datetime, snapshots: Sequence[Snapshot]) -> Snapshot | None:
    before = [each for each in snapshots if each.began <= start]
    return before[-1] if before else next(iter(snapshots), None)


def _sums(path: Sequence[Snapshot]) -> list[dict[Role, Counters]]:
    """What was counted from the first snapshot to each."""
    sums: list[dict[Role, Counters]] = [growth(path[0], path[0])]
    for before, after in pairwise(path):
        grown = growth(before, after)
        sums.append({role: total + grown[role] for role, total in sums[-1].items()})
    return sums


def _height(line: Sequence[tuple[datetime, int]], at: datetime) -> int:
    """The count at a moment, rounded down; before the first point, as there; rising, so that nothing counts twice."""
    later = next(number for number, (time, _) in enumerate(line) if time >= at)
    if later == 0:
        return line[0][1]
    (t0, y0), (t1, y1) = line[later - 1], line[later]
    return y0 + int((y1 - y0) * ((at - t0) / (t1 - t0)))


def thinned(snapshots: Sequence[Snapshot], most: int) -> list[Snapshot]:
    """At most so many snapshots: of the older half every second one, when there are more."""
    if len(snapshots) <= most:
        return list(snapshots)
    middle = len(snapshots) // 2
    return [*snapshots[:middle:2], *snapshots[middle:]]
