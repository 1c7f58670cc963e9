"""The rules of a rollout, asked of everything that a controller does, against what the world really is then."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from k8s.rollout.controller import TickReport
from k8s.rollout.fleets import Copies
from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome, Status
from k8s.rollout.plan import Plan
from k8s.rollout.routers import Role, Split


class Broken(AssertionError):  # noqa: N818 - it says what was broken
    """A rule of the rollout was broken."""


@dataclass
class Ledger:
    """What the monitor knows of an attempt."""

    passed: bool = False
    promoted: bool = False
    harmed: bool = False
    forced: bool = False
    weight: int = 0
    highest: int = 0
    touched_by_hand: bool = False
    fell: bool = False
    """The controller set the weight to 0, and has not recorded why."""


class Watched(Protocol):
    """What really is."""

    now: datetime
    plan: Plan
    object: ModelRollout
    split: Split
    in_force: Split

    @property
    def status(self) -> Status: ...

    def copies(self, role: Role) -> Copies: ...


class Monitor:
    """Raises Broken. `ledgers`: what was said of each attempt; `undoing`: a crash in the watch was seen."""

    def __init__(self, world: Watched) -> None:
        self._world = world
        self._steps = tuple(step.weight for step in world.plan.canary.steps)
        self.ledgers: dict[str, Ledger] = {}
        self.undoing = False
        self.outcomes: list[Outcome] = []

    def ledger(self) -> Ledger | None:
        """Of the attempt that is on its way."""
        attempt = self._world.status.attempt
        return self.ledgers.get(attempt.id) if attempt else None

    def on_split(self, split: Split) -> None:
        """Weights are the plan's, go up one step at a time where copies are ready, and down to nothing at once."""
        old, ledger, attempt = self._world.split, self.ledger(), self._world.status.attempt
        if split == old:  # confirmed, whoever has set it
            return
        self.demand(split.canary in (0, *self._steps, 100), f"{split} is not of the plan")
        self.demand(split.mirror in (0, 100) and not (split.mirror and split.canary), f"{split} is not of the plan")
        if split.mirror > old.mirror:
            self.demand(self._world.copies("shadow").ready > 0, "mirrored before the shadow was ready")
        if split.canary > old.canary:
            self._on_rise(split.canary)
        stable, canary = self._world.copies("stable"), self._world.copies("canary")
        if split.canary < old.canary:
            self.demand(stable.serving > 0 or canary.serving == 0, "traffic left a canary that answers for nobody")
            ours = ledger is not None and not ledger.touched_by_hand
            self.demand(split.canary == 0 or not ours, f"entities go back from {old.canary} to {split.canary} %")
        if ledger is not None and attempt is not None:
            ledger.weight = split.canary
            recorded = attempt.weights[-1][1] if attempt.weights else 0.0
            ledger.fell = ledger.fell or (split.canary == 0 < old.canary and recorded > 0)
            ledger.highest = max(ledger.highest, split.canary)

    def _on_rise(self, new: int) -> None:
        ledger, attempt = self.ledger(), self._world.status.attempt
        canary = self._world.copies("canary")
        self.demand(ledger is not None and attempt is not None, f"{new} % without an attempt")
        assert ledger is not None
        assert attempt is not None
        self.demand(canary.tag == attempt.candidate and canary.ready > 0, f"{new} % before a copy was ready")
        self.demand(canary.ready_other == 0, f"{new} % with copies of another model")
        self.demand(not ledger.harmed, f"{new} % after evidence of harm")
        self.demand(not ledger.fell, f"{new} % after it fell for a reason that nobody recorded")
        promoting = attempt.verdict is not None and attempt.verdict.outcome is Outcome.PROMOTED
        self.demand(attempt.verdict is None or promoting, f"{new} % after its verdict")
        self.demand(new != 100 or promoting, "100 % without a promotion")
        if new == 100:
            self.demand(canary.ready >= self._world.copies("stable").wanted, "100 % with fewer copies than stable")
        elif not ledger.touched_by_hand:
            reached = self._steps.index(ledger.highest) if ledger.highest in self._steps else -1
            self.demand(self._steps.index(new) <= reached + 1, f"{new} % after {ledger.highest} %")
            self.demand(ledger.passed or self._world.plan.shadow is None, f"{new} % before the shadow phase was passed")
        self.demand(promoting or self._world.object.spec.paused is None, f"{new} % in a pause")
        self.demand(promoting or self._world.plan.allows(self._world.now), f"{new} % outside the windows")

    def on_assign(self, role: Role, tag: str | None) -> None:
        """A role with traffic is not rolled; stable changes hands by a promotion only."""
        found = self._world.copies(role)
        if role == "canary" and found.tag != tag and found.serving:
            self.demand(self._world.in_force.canary == 0, "the canary is rolled with traffic on it")
        if role == "stable":
            self._on_stable(found, tag)

    def _on_stable(self, found: Copies, tag: str | None) -> None:
        attempt, ledger = self._world.status.attempt, self.ledger()
        self.demand(tag is not None, "stable lost its model")
        if attempt is None or ledger is None:
            self.demand(tag == self._world.status.stable, f"stable gets {tag} without an attempt")
            return
        if tag == attempt.stable:
            return
        self.demand(tag == attempt.candidate, f"stable gets {tag}, which nobody proposed")
        outcome = attempt.verdict.outcome if attempt.verdict else None
        self.demand(outcome is Outcome.PROMOTED, f"stable gets a candidate that is {outcome}")
        self.demand(ledger.forced or ledger.promoted, "promoted without every gate")
        self.demand(
            ledger.forced or ledger.passed or self._world.plan.shadow is None, "promoted without its shadow phase"
        )
        self.demand(not ledger.harmed, "promoted after evidence of harm")
        canary = self._world.copies("canary")
        if found.tag == attempt.stable:
            self.demand(self._world.in_force.canary == 100, "stable is rolled while it has the traffic")
            self.demand(canary.ready > 0, "stable is rolled, and no canary is ready")

    def on_scale(self, role: Role, copies: int) -> None:
        """Stable's size is the user's; nothing is scaled down with traffic on it."""
        self.demand(role != "stable", "stable was scaled")
        found = self._world.copies(role)
        if copies < found.wanted and found.serving:
            self.demand(
                role != "canary" or self._world.in_force.canary == 0, "the canary is scaled down with traffic on it"
            )
            self.demand(
                role != "shadow" or self._world.in_force.mirror == 0, "the shadow is scaled down with the mirror on it"
            )

    def on_status(self, new: Status) -> None:
        """A verdict stays, except that a promotion may fail; attempts are told apart; the banned come by force."""
        old, attempt = self._world.status.attempt, new.attempt
        if attempt is not None and (old is None or old.id != attempt.id):
            self._on_begin(attempt)
        if old is not None and old.verdict is not None and attempt is not None and attempt.id == old.id:
            outcome = attempt.verdict.outcome if attempt.verdict else None
            same = outcome is old.verdict.outcome
            taken_back = old.verdict.outcome is Outcome.PROMOTED and outcome in (Outcome.ROLLED_BACK, Outcome.ABORTED)
            self.demand(same or taken_back, f"the verdict {old.verdict.outcome} became {outcome}")
        if attempt is not None and old is not None and attempt.id == old.id:
            self.demand((attempt.step or 0) >= (old.step or 0), "the step fell")
            self.demand(attempt.stable == old.stable and attempt.candidate == old.candidate, "the attempt changed")
            times = [at for at, _ in attempt.weights]
            self.demand(times == sorted(times), "the weights' times fall")
        if attempt is not None and attempt.suspended is not None:
            self.ledgers[attempt.id].fell = False
        verdict = attempt.verdict if attempt else None
        if attempt is not None and verdict is not None and (old is None or old.verdict is None):
            self._on_verdict(attempt, verdict.outcome)
        if old is not None and (attempt is None or attempt.id != old.id):
            self._on_end(old, new)

    def _on_begin(self, attempt: Attempt) -> None:
        last = self._world.status.last
        self.demand(last is None or attempt.id != last.id, f"the attempt {attempt.id} begins twice")
        spec, tag = self._world.object.spec, attempt.candidate
        undo = attempt.by == "watch"
        self.demand(not undo or self.undoing, "undone without a crash")
        promotion = spec.promotion
        requests = (spec.forced, promotion if promotion and promotion.skip_gates else None)
        forced = any(request is not None and request.tag == tag for request in requests)
        self.demand(forced or undo or tag not in self._world.status.banned, f"{tag} is banned")
        self.demand(
            self._world.split.canary == 0 and self._world.copies("canary").wanted == 0, "begun before all was put away"
        )
        self.ledgers[attempt.id] = Ledger(forced=undo)
        self.undoing = False

    def _on_verdict(self, attempt: Attempt, outcome: Outcome) -> None:
        ledger = self.ledgers[attempt.id]
        if outcome is Outcome.PROMOTED:
            request = self._world.object.spec.promotion
            ledger.forced = ledger.forced or (
                request is not None and request.skip_gates and request.tag == attempt.candidate
            )
            self.demand(ledger.forced or ledger.promoted, "a verdict 'promoted' without every gate")
            undo = attempt.candidate == self._world.status.previous
            wanted = self._world.object.spec.candidate
            self.demand(wanted == attempt.candidate or attempt.by == "watch", f"promoted, and {wanted} was wanted")
            self.demand(self._world.object.spec.paused is None or undo or attempt.by == "watch", "promoted in a pause")
        elif self._world.copies("stable").serving:
            self.demand(self._world.split.canary == 0, f"{outcome} was recorded before the weight was 0")

    def _on_end(self, old: Attempt, new: Status) -> None:
        self.demand(old.verdict is not None, "an attempt ended without a verdict")
        assert old.verdict is not None
        self.outcomes.append(old.verdict.outcome)
        promoted = old.verdict.outcome is Outcome.PROMOTED
        stable = self._world.copies("stable")
        self.demand(new.stable == (old.candidate if promoted else old.stable), f"stable is {new.stable} in the end")
        self.demand(stable.tag == new.stable, f"stable runs {stable.tag} in the end")
        ready = stable.ready >= stable.wanted and stable.ready_other == 0
        self.demand(ready or not promoted, "promoted before every copy of stable was ready with the model")
        self.demand(self._world.split == Split(100, 0), f"the split is {self._world.split} in the end")
        self.demand(self._world.copies("canary").wanted == 0, "the canary still runs in the end")
        banned = old.candidate in new.banned
        self.demand(old.verdict.outcome is not Outcome.ROLLED_BACK or banned, "rolled back and not banned")

    def demand(self, true: object, rule: str) -> None:
        """Raises Broken, naming the rule, unless it holds."""
        if not true:
            raise Broken(rule)

    def on_whole_tick(self, report: TickReport) -> None:
        """After a tick in which nothing failed no traffic goes where nobody answers, if somebody else does."""
        if not report.problems:
            canary, stable = self._world.copies("canary"), self._world.copies("stable")
            nobody = self._world.split.canary > 0 and canary.serving == 0 and stable.serving > 0
            self.demand(not nobody, f"{self._world.split.canary} % go to a canary that does not answer")
