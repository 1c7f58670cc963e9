"""The model check's world without chance: what happens, happens because a test says so."""

import random
from collections.abc import Callable
from typing import Any

from k8s.rollout.controller import TickReport
from k8s.rollout.model_rollout import Outcome, Phase
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Split
from tests.doubles.model_world import GOOD, PLAN, Fuse, World, killed


class GuidedWorld(World):
    """Copies become ready as soon as they are wanted, unless `slow`; a tick is half a block later than the last one."""

    def __init__(self, plan: Plan = PLAN, *, slow: bool = False) -> None:
        super().__init__(random.Random(0), plan=plan)
        self.slow = slow

    def follow(self, ticks: int = 1, fuse: Fuse | None = None) -> TickReport | None:
        """Some ticks; the last one's report."""
        report = None
        for _ in range(ticks):
            if not self.slow:
                self.fleet.settle()
            self.pass_time(self.plan.block_seconds / 2)
            report = self.tick(fuse)
        return report

    def until(self, true: Callable[["GuidedWorld"], Any], ticks: int = 300) -> "GuidedWorld":
        """Ticks until something is so; fails when it never is."""
        for _ in range(ticks):
            if true(self):
                return self
            self.follow()
        raise AssertionError(f"never so: {self.status.phase} {self.status.message}, {self.split}")

    def until_weight(self, weight: int) -> "GuidedWorld":
        """Until the canary has this weight, and it is recorded."""
        return self.until(lambda it: it.split.canary == weight and it.weight() == weight)

    def until_phase(self, phase: Phase) -> "GuidedWorld":
        return self.until(lambda it: it.status.phase is phase)

    def until_over(self) -> "GuidedWorld":
        """Until the attempt is history."""
        return self.until(lambda it: it.status.attempt is None and it.status.last is not None)

    def weight(self) -> int:
        """The canary's weight that was recorded last."""
        attempt = self.status.attempt
        return round(attempt.weights[-1][1] * 100) if attempt and attempt.weights else 0

    def outcome(self) -> tuple[Outcome, str]:
        """How the last attempt ended, and by what."""
        assert self.status.last is not None
        assert self.status.last.verdict is not None
        return self.status.last.verdict.outcome, self.status.last.verdict.gate

    def kinds(self) -> list[str]:
        """Of all events, without the decisions."""
        return [event.kind for event in self.taken if event.kind != "rollout.decision"]

    def dies_after(self, changes: int) -> None:
        """A tick in which the controller is killed right after so many changes."""
        self.follow(fuse=Fuse(changes, after=True, error=killed, changes_only=True))


def on_its_way(plan: Plan = PLAN, *, slow: bool = False) -> GuidedWorld:
    """A candidate was asked for."""
    world = GuidedWorld(plan, slow=slow)
    world.follow()
    world.start(GOOD)
    return world


ALL_TO_STABLE = Split(100, 0)
