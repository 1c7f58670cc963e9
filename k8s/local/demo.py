"""The whole story on one machine: a stack, a controller, traffic, and candidates that must end as they deserve."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Final

import psycopg

from k8s.local import (
    acts,
    demo_cast,
    demo_checks,
    demo_days,
    demo_days_shown,
    demo_page,
    demo_summary,
    offline_scores,
    outgoing,
    postgres,
)
from k8s.local.acts import Act
from k8s.local.backend import backend
from k8s.local.bentos_made import Places
from k8s.local.demo_cast import Cast
from k8s.local.demo_checks import ENTITIES, Expected
from k8s.local.demo_data import DemoData, cut, made_up
from k8s.local.demo_days import LivedDay
from k8s.local.demo_follow import Refusal, Teller, Told
from k8s.local.demo_processes import DemoProcesses
from k8s.local.errors import NotRunningError
from k8s.local.ledger import Entry, read
from k8s.local.processes import Supervisor
from k8s.local.rolling import Wish
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import State, StateLock
from k8s.local.story import Story
from k8s.rollout import plan_file
from k8s.rollout.backend import Backend
from k8s.rollout.routers import Role, Split
from monitoring import labels, report
from monitoring.report import Check
from training import datasets
from training.datasets import Dataset

PER_SECOND: Final = 300.0
"""Half of what two cores carry for the scorers, the store, the gateway, the controller and the client together."""

LONGEST_LOAD_SECONDS: Final = 900.0
"""The load ends by itself then, whatever becomes of the stories."""

EXPECTED_SECONDS: Final = 170
"""What the stories take, about: the entities are dealt to so many pseudonyms that enough take part in that time."""

WARM_UP_ROWS: Final = 3_000
"""Logged requests that a comparison can rest on, before the first one is made."""

WARM_UP_SECONDS: Final = 60.0
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
        cast = demo_cast.make(data, Places(self._state, self._options.artifacts), self._story.say)
        stack = self._start(cast)
        live = self._state.folder / "live.csv"
        datasets.write(data.live.frame, live)
        pseudonyms = needed_pseudonyms(data.live)
        processes = DemoProcesses(self._state, self._supervisor, stack)
        with backend(self._state) as world:
            began = self._story.seconds
            told, refusal = self._tell(stack, processes, world, cast, live, pseudonyms)
            self._story.say(f"the stories took {self._story.seconds - began:.0f} s")
            entries = list(read(self._state.ledger))
            sent = _sent(data.live, len(entries), pseudonyms)
            expected = self._expected(cast, told, refusal, data.live, sent)
            self._await_rows(stack, entries)
            self._learn(stack, data.live, sent)
            days = self._drift(stack, cast, data.live)
            broken = self._judge(stack, world, expected, cast, entries, days)
        stack.tend()
        return Result(stack, broken)

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

    def _start(self, cast: Cast) -> LocalStack:
        """A stack whose prediction store and rollout are empty: what the checks count is this demo's alone."""
        postgres.discard(self._state.postgres)
        shutil.rmtree(self._state.spools, ignore_errors=True)
        self._state.rollout.unlink(missing_ok=True)
        wishes: dict[Role, Wish] = {"stable": Wish(cast.champion.tag, 1), "canary": Wish(), "shadow": Wish()}
        plan = Plan(self._options.artifacts.absolute().as_uri(), wishes, Split(100, 0), self._options.port)
        stack = LocalStack(self._state, plan, self._supervisor, self._story.say)
        stack.start()
        self._lock.announce(stack.url)
        self._story.say(f"the stack runs at {stack.url} with the champion as stable; the set-up is done")
        return stack

    def _tell(
        self,
        stack: LocalStack,
        processes: DemoProcesses,
        world: Backend,
        cast: Cast,
        live: Path,
        pseudonyms: int,
    ) -> tuple[list[Told], Refusal]:
        """All the stories, with traffic behind them from their beginning to their end."""
        seed = self._options.seed
        self._story.say(
            f"traffic: {PER_SECOND:g} requests a second from now on, each entity's events dealt to {pseudonyms} "
            "pseudonyms; the live events come again and again, under other ids"
        )
        load = processes.traffic(
            live, per_second=PER_SECOND, seconds=LONGEST_LOAD_SECONDS, pseudonyms=pseudonyms, seed=seed
        )
        processes.controller()
        stack.wait_for_rows({"stable": WARM_UP_ROWS}, WARM_UP_SECONDS)
        teller = Teller(stack, processes, world, live, self._story)
        told = [teller.tell(act, self._plan_file(act)) for act in acts.acts(cast)]
        refusal = teller.refused(cast.wrong.tag)
        processes.end_traffic(load)
        return told, refusal

    def _plan_file(self, act: Act) -> Path:
        file = self._state.folder / "plans" / f"{act.key}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(plan_file.written(act.plan), encoding="utf-8")
        return file

    def _expected(
        self, cast: Cast, told: list[Told], refusal: Refusal, live: Dataset, sent: dict[str, str]
    ) -> Expected:
        self._story.say("scoring the live events offline, to compare")
        places = Places(self._state, self._options.artifacts)
        once = {tag: offline_scores.scores(demo_cast.folder(tag, places), live) for tag in cast.names}
        return Expected(
            told=told,
            refusal=refusal,
            leaking=cast.leaking,
            offline={tag: {other: scores[event] for other, event in sent.items()} for tag, scores in once.items()},
            stable=cast.challenger.tag,
            baseline=demo_checks.against_baseline(cast.challenger.evaluation),
            names_entities=live.has_entities,
        )

    def _learn(self, stack: LocalStack, live: Dataset, sent: dict[str, str]) -> None:
        with psycopg.connect(stack.dsn(), autocommit=True) as connection:
            known = labels.add(connection, _labels(live, sent), datetime.now(UTC))
        self._story.say(f"the labels of {known.imported:,} events that were sent became known")

    def _drift(self, stack: LocalStack, cast: Cast, live: Dataset) -> tuple[LivedDay, ...]:
        """Days in which nothing is sent here: they are written as they would be, and judged by the daily job."""
        began, tag = self._story.seconds, cast.challenger.tag
        self._story.say(f"{len(demo_days.STORY)} days pass for the drift job, by a clock of their own")
        stack.add_store(demo_days.DATABASE)
        site = demo_days.Site(
            tag=tag,
            bento=demo_cast.folder(tag, Places(self._state, self._options.artifacts)),
            artifacts=self._options.artifacts.absolute().as_uri(),
            owner=stack.dsn(database=demo_days.DATABASE),
            stable=stack.dsn("stable", demo_days.DATABASE),
            drift=stack.dsn("drift", demo_days.DATABASE),
            pages=self._state.folder,
        )
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        days = demo_days.live_through(site, live, yesterday, self._options.seed)
        self._story.say(f"they were judged after {self._story.seconds - began:.0f} s")
        return days

    def _judge(
        self,
        stack: LocalStack,
        world: Backend,
        expected: Expected,
        cast: Cast,
        entries: list[Entry],
        days: tuple[LivedDay, ...],
    ) -> tuple[str, ...]:
        try:
            with psycopg.connect(stack.dsn(), autocommit=True) as connection:
                stored = demo_checks.gather(connection, expected.told, cast.challenger.tag)
                checks = (
                    *demo_checks.judge(expected, entries, stored, stack.fleet.wishes()["stable"].tag),
                    *demo_days_shown.checks(days, made_up=self._options.data is None),
                )
                found = self._report(connection, checks, cast)
        except psycopg.OperationalError as problem:
            stack.wait_for_death()
            raise NotRunningError(f"the prediction store went away: {problem}") from problem
        told = demo_page.told(expected.told, stored.rows, world)
        demo_page.write(found, told, cast.names, days, self._state.page)
        demo_summary.show(self._story.console, found, told, days, self._state.page)
        return tuple(check.name for check in found.broken)

    def _await_rows(self, stack: LocalStack, entries: list[Entry]) -> None:
        self._story.say("waiting for the prediction store to have every row")
        wanted = len(entries)
        stack.wait_until(lambda: stack.customers_rows() >= wanted, DRAIN_SECONDS)

    def _report(self, connection: psycopg.Connection, checks: tuple[Check, ...], cast: Cast) -> report.Report:
        self._story.say("writing the report")
        return report.collect(
            connection,
            datetime.now(UTC),
            title="Vigil demo",
            checks=checks,
            evaluations={
                each.tag: each.evaluation.model_dump(mode="json") for each in (cast.champion, cast.challenger)
            },
        )


def needed_pseudonyms(live: Dataset, requests: int = round(PER_SECOND * EXPECTED_SECONDS)) -> int:
    """To how many pseudonyms each entity's events are dealt, so that enough entities take part in so many requests."""
    events = Counter(live.frame["entity_id"].dropna())
    often = [count * requests // len(live) for count in events.values()]
    tried = range(1, 1001)
    return next((each for each in tried if sum(min(each, count) for count in often) >= ENTITIES * 1.1), tried[-1])


def _sent(live: Dataset, count: int, pseudonyms: int) -> dict[str, str]:
    """The id that each of the first `count` requests was sent under, and the live event that it was."""
    requests = outgoing.requests(live.frame)
    again = outgoing.again_and_again(requests, pseudonyms)
    return {other.event_id: each.event_id for _, each, other in zip(range(count), cycle(requests), again, strict=False)}


def _labels(live: Dataset, sent: dict[str, str]) -> Iterator[labels.Label]:
    """An event that was sent again has the label that it had."""
    known = dict(zip(live.frame["event_id"].tolist(), live.frame["label"].tolist(), strict=True))
    return (labels.Label(other, int(known[event]), known_at=None) for other, event in sent.items())
