"""The whole story on one machine: two models, one split with a mirror, real traffic, and what must hold afterwards."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from k8s.local import bentos_made, demo_checks, demo_summary, live_load, offline_scores, outgoing, postgres
from k8s.local.bentos_made import Made
from k8s.local.demo_checks import Expected
from k8s.local.demo_data import DemoData, cut, made_up
from k8s.local.errors import NotRunningError
from k8s.local.ledger import Entry
from k8s.local.live_load import Audience
from k8s.local.processes import Supervisor
from k8s.local.rolling import Wish
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State, StateLock
from k8s.local.story import Story
from k8s.local.traffic import Load
from k8s.rollout.routers import Role, Split
from monitoring import labels, page, report
from training import datasets
from training.booster import TreeOptions
from training.datasets import Dataset
from training.train import TrainOptions

SPLIT: Final = Split(stable=75, canary=25, mirror=100)
PER_SECOND: Final = 300.0
"""Half of what two cores carry for three scorers, the store, the gateway and the client together."""

CHAMPION_TREES: Final = TreeOptions(leaves=4, trees=40)
"""A simpler model than the challenger's, so that the two differ on whatever data."""

DRAIN_SECONDS: Final = 20.0
"""The scorers write their rows every 0.2 s; the rest is for a machine that is busy."""


@dataclass(frozen=True)
class DemoOptions:
    """What may be varied: the events (None: made up from the seed), and the gateway's port (None: found)."""

    artifacts: Path
    """Folder of the artifact store."""
    data: Path | None = None
    seed: int = 0
    port: int | None = None


@dataclass(frozen=True)
class Result:
    """The stack, which still runs, and the names of the checks that did not hold."""

    stack: LocalStack
    broken: tuple[str, ...]


class Demo:
    """One demo. `lock` is held, and `supervisor` ends the processes."""

    def __init__(
        self, state: State, options: DemoOptions, lock: StateLock, supervisor: Supervisor, story: Story
    ) -> None:
        self._state = state
        self._options = options
        self._lock = lock
        self._supervisor = supervisor
        self._story = story

    def run(self) -> Result:
        """Returns with the stack still running. Raises ProcessDiedError when one of its processes ends before."""
        data = self._data()
        champion = self._make("champion", data.champion, TrainOptions(CHAMPION_TREES))
        challenger = self._make("challenger", data.challenger, TrainOptions())
        made: dict[Role, Made] = {"stable": champion, "canary": challenger, "shadow": challenger}
        stack = self._start(made)
        entries = self._send(stack, data.live, made)
        found = self._judge(stack, made, data.live, entries)
        stack.tend()
        return Result(stack, tuple(check.name for check in found.broken))

    def _data(self) -> DemoData:
        if self._options.data is None:
            self._story.say("making up events")
            dataset = made_up(self._options.seed, datetime.now(UTC), self._state.events)
        else:
            self._story.say(f"reading {self._options.data}")
            dataset = datasets.read(self._options.data)
        for note in dataset.notes:
            self._story.say(f"note: {note}")
        data = cut(dataset)
        self._story.say(
            f"{len(dataset):,} events: {len(data.challenger):,} to learn from, {len(data.live):,} to send live"
        )
        return data

    def _make(self, name: str, dataset: Dataset, options: TrainOptions) -> Made:
        places = bentos_made.Places(self._state, self._options.artifacts)
        return bentos_made.make(name, dataset, options, places, self._story.say)

    def _start(self, made: dict[Role, Made]) -> LocalStack:
        """A stack whose prediction store is empty: what the checks count is this demo's alone."""
        postgres.discard(self._state.postgres)
        shutil.rmtree(self._state.spools, ignore_errors=True)
        wishes = {role: Wish(each.tag, 1) for role, each in made.items()}
        plan = Plan(self._options.artifacts.absolute().as_uri(), wishes, SPLIT, self._options.port)
        stack = LocalStack(self._state, plan, self._supervisor, self._story.say)
        stack.start()
        self._lock.announce(stack.url)
        self._story.say(f"the stack runs at {stack.url}")
        return stack

    def _send(self, stack: LocalStack, live: Dataset, made: dict[Role, Made]) -> list[Entry]:
        requests = outgoing.requests(live.frame)
        load = Load(PER_SECOND, len(requests))
        self._story.say(
            f"sending {load.requests:,} requests, {load.per_second:g} a second, split {SPLIT.stable}/{SPLIT.canary}, "
            f"{SPLIT.mirror} % mirrored"
        )
        names = {made[role].tag: f"{role} {made[role].tag}" for role in ("stable", "canary")}
        audience = Audience(self._state.ledger, self._story.console, names)
        rng = random.Random(self._options.seed)  # noqa: S311 - arrival times, no secret
        entries = live_load.run(stack.url, requests, load, rng, audience, stack.tend)
        self._story.say("waiting for the prediction store to have every row")
        tags = [each.model_version for each in entries]
        wanted: dict[Role, int] = {role: tags.count(made[role].tag) for role in ("stable", "canary")}
        stack.wait_for_rows({**wanted, "shadow": len(entries)}, DRAIN_SECONDS)
        return entries

    def _judge(self, stack: LocalStack, made: dict[Role, Made], live: Dataset, entries: list[Entry]) -> report.Report:
        try:
            with psycopg.connect(stack.dsn(), autocommit=True) as connection:
                self._learn_labels(connection, live)
                return self._report(connection, made, live, entries)
        except psycopg.OperationalError as problem:
            stack.wait_for_death()
            raise NotRunningError(f"the prediction store went away: {problem}") from problem

    def _learn_labels(self, connection: psycopg.Connection, live: Dataset) -> None:
        now = datetime.now(UTC)
        known = labels.add(connection, _labels(live), now)
        self._story.say(f"the labels of {known.imported:,} live events became known")

    def _report(
        self, connection: psycopg.Connection, made: dict[Role, Made], live: Dataset, entries: list[Entry]
    ) -> report.Report:
        self._story.say("scoring the live events offline, to compare")
        champion, challenger = made["stable"], made["shadow"]
        expected = Expected(
            split=SPLIT,
            tags={role: each.tag for role, each in made.items()},
            offline={each.tag: offline_scores.scores(each.folder, live) for each in (champion, challenger)},
            baseline=demo_checks.against_baseline(challenger.evaluation),
        )
        checks = demo_checks.judge(expected, entries, demo_checks.gather(connection, challenger.tag))
        self._story.say("writing the report")
        found = report.collect(
            connection,
            datetime.now(UTC),
            title="Vigil demo",
            checks=checks,
            evaluations={each.tag: each.evaluation.model_dump(mode="json") for each in (champion, challenger)},
        )
        page.write(found, self._state.page)
        self._story.say("done")
        demo_summary.show(self._story.console, found, self._state.page)
        return found


def _labels(live: Dataset) -> Iterator[labels.Label]:
    events = zip(live.frame["event_id"].tolist(), live.frame["label"].tolist(), strict=True)
    return (labels.Label(event, int(label), known_at=None) for event, label in events)
