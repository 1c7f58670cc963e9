"""A whole rollout on the real local stack, whose controller dies by SIGKILL before and after every step of it."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from k8s.local import flawed_bentos, ledger, postgres
from k8s.local.backend import backend
from k8s.local.flawed_bentos import Fault
from k8s.local.interrupts import Interrupts
from k8s.local.processes import Child, Command, Supervisor
from k8s.local.rolling import Wish
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State, StateLock
from k8s.rollout.backend import Backend
from k8s.rollout.model_rollout import Attempt, ModelRollout, Outcome, Phase
from k8s.rollout.plan import CanaryPlan, Limits, ShadowPlan, Step
from k8s.rollout.plan import Plan as RolloutPlan
from k8s.rollout.replay import replay
from k8s.rollout.routers import Split
from k8s.rollout.wishes import Asker, start
from monitoring import comparisons
from training import datasets, package, synthesize

CHECKOUT = Path(__file__).parents[2]
EVERYTHING = "everything\n"
"""In the journal: the controller has died of everything already."""

SOUND = Fault("nothing", "\n_OF_ANOTHER_VERSION = True\n", "pass")
BROKEN = Fault("broken", "", "raise RuntimeError('broken')")
STEPS = tuple(Step(weight=weight, errors=0.2, over_slo=0.4, flagged=0.3) for weight in (5, 25, 50))
PLAN = RolloutPlan(
    block_seconds=0.5,
    shadow=ShadowPlan(min_blocks=2, min_entities=200, flip_margin=0.03, score_margin=0.05),
    canary=CanaryPlan(steps=STEPS, step_blocks=2, min_blocks=8),
    limits=Limits(errors=0.2, over_slo=0.5),
    # A process dies every second: each death costs a start of the next one.
    progress_blocks=400,
    unavailable_blocks=400,
)


@dataclass
class World:
    """A stack under load, on which controllers die; and what was seen of it meanwhile."""

    stack: LocalStack
    supervisor: Supervisor
    state: State
    rollout: Backend
    controller: Child | None = None
    deaths: int = 0
    splits: list[Split] = field(default_factory=list)
    least_stable: int = 1

    @property
    def journal(self) -> Path:
        return self.state.folder / "deaths"

    def until(self, over: Callable[[ModelRollout], bool], seconds: float = 220) -> None:
        """Starts a controller whenever the last one has died, until the rollout is where it should be."""

        def done() -> bool:
            self._see()
            self._raise_the_dead()
            return over(self.rollout.store.read())

        assert self.stack.wait_until(done, seconds), (self.rollout.store.read().status, self.journal.read_text())

    def _see(self) -> None:
        split = self.stack.router.current()
        if not self.splits or self.splits[-1] != split:
            self.splits.append(split)
        self.least_stable = min(self.least_stable, self.rollout.fleet.look()["stable"].serving)

    def _raise_the_dead(self) -> None:
        if self.controller is not None and not self.controller.alive:
            code = self.controller.exit_code
            assert code == -9, (self.state.logs / "controller.log").read_text()
            self.supervisor.forget(self.controller)
            self.controller, self.deaths = None, self.deaths + 1
        if self.controller is None:
            self.controller = self._start(
                "controller", "tests.doubles.dying_controller", self.state.folder, self.journal
            )

    def load(self, data: Path) -> Child:
        return self._start(
            "traffic", "k8s.cli", "local", "traffic", "--url", self.stack.url, "--data", data, "--rps", 250,
            "--seconds", 300, "--pseudonyms", 40, "--ledger", self.state.ledger,
        )  # fmt: skip

    def _start(self, name: str, module: str, *arguments: object) -> Child:
        command = (sys.executable, "-m", module, *(str(each) for each in arguments))
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        log = self.state.logs / f"{name}.log"
        return self.supervisor.start(Command(name, command, CHECKOUT, log, environment, layer=3), vital=False)

    def end(self, child: Child) -> None:
        child.ask_to_end()
        assert self.stack.wait_until(lambda: not child.alive, 20)
        self.supervisor.forget(child)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path / "state")
    with StateLock(found, datetime.now(UTC)):
        yield found
    postgres.discard(found.postgres)


@pytest.fixture
def world(state: State, model_dir: Path) -> Iterator[World]:
    stable = package.build(model_dir, state.bentoml)
    with Interrupts() as interrupts, Supervisor(interrupts) as supervisor:
        stack = LocalStack(state, Plan("file:///none", {"stable": Wish(stable, 1)}), supervisor, lambda _: None)
        stack.start()
        with backend(state) as rollout:
            yield World(stack, supervisor, state, rollout)


def _propose(world: World, fault: Fault, model_dir: Path, plan: RolloutPlan) -> str:
    """A candidate of the same model, whose comparison says that it should do the same live."""
    tag = flawed_bentos.build(fault, model_dir, world.state.bentoml)
    stable = world.stack.fleet.wishes()["stable"].tag or ""
    same = {"net_flips": 0.0, "net_flips_se": 0.0, "score_difference": 0.0, "score_difference_se": 0.0}
    now = datetime.now(UTC)
    with psycopg.connect(world.stack.dsn("trainer")) as connection:
        row = comparisons.Comparison(stable, tag, now, "accepted", {}, now, now, 1000, **same, flagged_ratio=1.0)
        comparisons.add(connection, row)
    change = start(world.rollout.store.read(), tag, Asker("a test", "to see", now), plan, forced=False)
    world.rollout.store.change_spec(change)
    return tag


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "events.csv"
    datasets.write(synthesize.plain(5_000, 9, datetime(2026, 3, 6, tzinfo=UTC)), file)
    return file


def _over(tag: str) -> Callable[[ModelRollout], bool]:
    def over(now: ModelRollout) -> bool:
        last = now.status.last
        return now.status.attempt is None and last is not None and last.candidate == tag

    return over


def _last(world: World) -> Attempt:
    last = world.rollout.store.read().status.last
    assert last is not None
    return last


def _died_at(world: World) -> set[str]:
    return set(world.journal.read_text().splitlines())


def _history_is_whole(world: World, attempt: Attempt) -> None:
    """Every event once, in order; every decision comes out again from what was recorded."""
    events = world.rollout.history.events()
    assert [each.number for each in events] == list(range(1, len(events) + 1))
    evidence = world.rollout.history.evidence(attempt.id)
    assert len({(each.phase, each.since, each.block.number) for each in evidence}) == len(evidence)
    again = replay(world.rollout.history.events(attempt.id), evidence, attempt.plan)
    assert again.decisions
    assert again.agrees, again.different


def test_a_controller_that_dies_at_every_step_still_promotes_and_fails_no_request(
    world: World, model_dir: Path, data: Path
) -> None:
    tag = _propose(world, SOUND, model_dir, PLAN)
    load = world.load(data)
    world.until(_over(tag))
    world.end(load)
    verdict = _last(world).verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.gate) == (Outcome.PROMOTED, "all")
    assert world.rollout.store.read().status.stable == world.stack.fleet.wishes()["stable"].tag == tag
    shares = [split.canary for split in world.splits]
    assert [each for number, each in enumerate(shares) if each not in shares[number - 1 : number]] == [
        0, 5, 25, 50, 100, 0,
    ]  # fmt: skip
    assert world.least_stable == 1
    # The steps: mirror on and off, three weights and all, back; copies and models of three roles; the status of each.
    assert world.deaths >= 30, _died_at(world)
    assert {"before canary has 1", "after canary has 0", f"after stable runs {tag}"} <= _died_at(world)
    entries = list(ledger.read(world.state.ledger))
    assert len(entries) > 3000
    assert {each.error for each in entries} == {None}
    _history_is_whole(world, _last(world))


def test_a_rollout_goes_on_when_the_whole_stack_is_started_again_in_the_middle(
    world: World, model_dir: Path, data: Path
) -> None:
    world.journal.write_text(EVERYTHING)  # its controller dies of nothing but the stack's end
    tag = _propose(world, SOUND, model_dir, PLAN.model_copy(update={"shadow": None}))
    world.load(data)
    world.until(lambda now: now.status.attempt is not None and now.status.attempt.step == 1)
    world.supervisor.stop()
    world.controller = None
    left = world.stack.router.current()  # its controller may have gone on while it was stopped
    assert left.canary in (25, 50)
    again = LocalStack(world.state, Plan("file:///none"), world.supervisor, lambda _: None)
    again.start()
    assert again.url == world.stack.url
    assert again.router.current() == left
    world.stack = again
    load = world.load(data)
    world.until(_over(tag))
    world.end(load)
    verdict = _last(world).verdict
    assert verdict is not None
    assert verdict.outcome is Outcome.PROMOTED, verdict
    assert {each.error for each in ledger.read(world.state.ledger)} == {None}


def test_a_controller_that_dies_at_every_step_still_rolls_back_and_never_forgets_it(
    world: World, model_dir: Path, data: Path
) -> None:
    tag = _propose(world, BROKEN, model_dir, PLAN.model_copy(update={"shadow": None}))
    load = world.load(data)
    world.until(_over(tag))
    ended = _last(world)
    assert ended.verdict is not None
    assert ended.verdict.outcome in (Outcome.ROLLED_BACK, Outcome.INCONCLUSIVE)
    assert [split.canary for split in world.splits] == [0, 5, 0]
    assert any("canary=5" in place and place.startswith("after") for place in _died_at(world))
    world.until(lambda now: now.status.phase is Phase.WAITING)
    assert "may not start" in world.rollout.store.read().status.message
    assert [split.canary for split in world.splits] == [0, 5, 0]
    world.end(load)
    _history_is_whole(world, ended)
