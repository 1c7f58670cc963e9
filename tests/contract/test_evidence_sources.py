"""Every source of evidence: when a block closes, what is answered twice, what it waits for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import psycopg
import pytest

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, PairSums, ShadowBlock, Waiting
from k8s.rollout.evidence import EvidenceSource, LabelQuestion, Question
from k8s.rollout.labelled import Labelled
from k8s.rollout.memory_evidence import MemoryEvidence
from k8s.rollout.observed_evidence import ObservedEvidence
from k8s.rollout.store_evidence import StoreEvidence
from k8s.rollout.store_looks import EVERY
from monitoring.label_pairs import LabelledPairs
from tests.doubles.given_gateway import GivenGateway

SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
BLOCK = timedelta(seconds=30)
STABLE, CANDIDATE = "risk_scorer:old", "risk_scorer:new"
QUESTION = Question(
    attempt="20260302T100000Z-new",
    stable=STABLE,
    candidate=CANDIDATE,
    since=SINCE,
    after=-1,
    block=BLOCK,
    slo_ms=100,
    weights=((SINCE, 0.05), (SINCE + 2.5 * BLOCK, 0.25), (SINCE + 4 * BLOCK, 0.0)),
)
LABELS = LabelQuestion(QUESTION.attempt, STABLE, CANDIDATE, SINCE, None, (40, 100, 200), 0.005, 0.025)


class World(Protocol):
    """A source, and how requests get into it."""

    source: EvidenceSource

    def serve(self, number: int, requests: int) -> None:
        """In that block stable and canary answer so many requests each, and the log has the rows."""

    def mirror(self, number: int, requests: int) -> None:
        """In that block stable and shadow answer so many requests each, and the log has the rows."""

    def lose(self, number: int) -> None:
        """In that block the canary and the shadow answer 50 requests each, whose rows have not come."""

    def label(self, positives: int, *, worse: float = 0.0) -> None:
        """So many positives more, and four times as many negatives, are labelled pairs: each of an entity of its own.

        `worse`: how much noisier the candidate scored them.
        """

    def restart(self) -> None:
        """The source begins anew, as after a kill."""

    def leave(self) -> None:
        """What the source asks is away from now on."""

    def come_back(self) -> None: ...


@dataclass
class Memory:
    source: MemoryEvidence

    def serve(self, number: int, requests: int) -> None:
        risk = Affected(0, requests)
        arm = Arm(requests, errors_affected=risk, flagged_affected=risk)
        self.source.add_canary(CanaryBlock(number, 0, 0, arm, arm))

    def mirror(self, number: int, requests: int) -> None:
        risk = Affected(0, requests)
        arm = Arm(requests, errors_affected=risk, flagged_affected=risk)
        self.source.add_shadow(ShadowBlock(number, 0, PairSums(requests), PairSums(requests), arm, arm))

    def lose(self, number: int) -> None:
        pass

    def label(self, positives: int, *, worse: float = 0.0) -> None:
        new, old = scored(positives, worse), self.source.labelled
        labels, stable, candidate = (np.append([] if old is None else getattr(old, name), new[name]) for name in new)
        self.source.labelled = LabelledPairs(np.arange(len(labels)), labels.astype(np.int8), stable, candidate)

    def restart(self) -> None:
        pass

    def leave(self) -> None:
        self.source.obstacle = Waiting("store away", "it has left")

    def come_back(self) -> None:
        self.source.obstacle = None


class Store:
    def __init__(self, database: Any) -> None:
        self.source: StoreEvidence | None = None  # type: ignore[assignment]
        self.gateway = GivenGateway(SINCE)
        self.database = database
        self.rows = 0
        self.restart()
        self.source.watch(SINCE)

    def serve(self, number: int, requests: int) -> None:
        for role, tag in (("stable", STABLE), ("canary", CANDIDATE)):
            self._insert(role, tag, number, requests, self.rows)
            self.rows += requests
            self.gateway.count(role, requests)  # type: ignore[arg-type]
        self._tick(number)

    def mirror(self, number: int, requests: int) -> None:
        for role, tag in (("stable", STABLE), ("shadow", CANDIDATE)):
            self._insert(role, tag, number, requests, self.rows)
            self.gateway.count(role, requests)  # type: ignore[arg-type]
        self.rows += requests
        self._tick(number)

    def lose(self, number: int) -> None:
        self.gateway.count("canary", 50)
        self.gateway.count("shadow", 50)
        self._tick(number)

    def label(self, positives: int, *, worse: float = 0.0) -> None:
        new = scored(positives, worse)
        names = [f"p{self.rows + number}" for number in range(len(new["labels"]))]
        self.rows += len(names)
        at = SINCE + timedelta(seconds=5)
        for role, tag, column in (("stable", STABLE, "stable"), ("shadow", CANDIDATE, "candidate")):
            with psycopg.connect(self.database.dsn(role)) as connection, connection.cursor() as cursor:
                cursor.executemany(
                    "insert into predictions (request_id, event_id, entity_id, tag, scored_at, status, score, "
                    "decision, latency_us) values (%s, %s, %s, %s, %s, 200, %s, 'approve', 900)",
                    [(name, name, name, tag, at, score) for name, score in zip(names, new[column], strict=True)],
                )
        with psycopg.connect(self.database.dsn("labeller")) as connection, connection.cursor() as cursor:
            rows = [(name, int(label), at) for name, label in zip(names, new["labels"], strict=True)]
            cursor.executemany("insert into labels values (%s, %s, %s)", rows)

    def restart(self) -> None:
        if self.source:
            self.source.close()
        self.source = StoreEvidence(self.database.dsn("rollout"), self.gateway, lambda: datetime.now(UTC))
        self._here = self.source._session

    def leave(self) -> None:
        self._talk_to(replace_dsn(self.source, "postgresql://rollout@127.0.0.1:1/none"))

    def come_back(self) -> None:
        self._talk_to(self._here)

    def _talk_to(self, session: Any) -> None:
        self.source._session = self.source._looks._session = session

    def _tick(self, number: int) -> None:
        self.gateway.at = SINCE + (number + 1) * BLOCK + timedelta(seconds=1)
        self.source.watch(self.gateway.at)

    def _insert(self, role: str, tag: str, number: int, requests: int, first: int) -> None:
        at = SINCE + number * BLOCK + timedelta(seconds=5)
        with psycopg.connect(self.database.dsn(role)) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into predictions (request_id, event_id, tag, scored_at, status, score, decision, latency_us) "
                "values (%s, 'e', %s, %s, 200, 0.1, 'approve', 900)",
                [(f"r{first + n}", tag, at) for n in range(requests)],
            )


def scored(positives: int, worse: float) -> dict[str, Any]:
    """Labels and scores of both models, always the same ones."""
    rng = np.random.default_rng(positives)
    labels = np.repeat([1, 0], [positives, 4 * positives])
    signal = labels * 2 + rng.normal(0, 1, len(labels))
    scores = [1 / (1 + np.exp(-signal - rng.normal(0, noise, len(labels)))) for noise in (0.3, 0.3 + worse)]
    return {"labels": labels, "stable": scores[0], "candidate": scores[1]}


def replace_dsn(source: StoreEvidence, dsn: str) -> Any:
    return type(source._session)(dsn)


@pytest.fixture(params=["memory", "store"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield Memory(MemoryEvidence())
        return
    store = Store(request.getfixturevalue("database"))
    yield store
    store.source.close()


def closed(number: int) -> datetime:
    return SINCE + (number + 1.5) * BLOCK


def requests(answer: Any) -> list[tuple[int, int, int]]:
    return [(block.number, block.stable.requests, block.canary.requests) for block in answer.blocks]


def test_a_block_closes_half_its_length_after_its_end(world):
    world.serve(0, 3)
    early = world.source.canary(QUESTION, closed(0) - timedelta(milliseconds=1))
    assert (early.blocks, early.waiting.obstacle, early.waiting.since) == ((), "not closed", SINCE + BLOCK)
    answer = world.source.canary(QUESTION, closed(0))
    assert requests(answer) == [(0, 3, 3)]
    assert (answer.blocks[0].seconds, answer.blocks[0].weight) == (30, 0.05)
    assert (answer.waiting.obstacle, answer.waiting.since) == ("not closed", SINCE + 2 * BLOCK)


def test_only_blocks_after_the_last_one_that_is_known(world):
    for number in range(3):
        world.serve(number, number + 1)
    assert requests(world.source.canary(replace(QUESTION, after=0), closed(2))) == [(1, 2, 2), (2, 3, 3)]
    assert requests(world.source.canary(replace(QUESTION, after=2), closed(2))) == []


def test_many_blocks_come_in_several_answers(world):
    for number in range(5):
        world.serve(number, 1)
    answer = world.source.canary(replace(QUESTION, most=2), closed(4))
    assert requests(answer) == [(0, 1, 1), (1, 1, 1)]
    assert answer.waiting.obstacle == "not closed"
    assert requests(world.source.canary(replace(QUESTION, after=1), closed(4))) == [(2, 1, 1), (3, 1, 1), (4, 1, 1)]


def test_a_block_has_the_smallest_weight_that_was_in_force(world):
    for number in range(6):
        world.serve(number, 1)
    answer = world.source.canary(QUESTION, closed(5))
    assert [block.weight for block in answer.blocks] == [0.05, 0.05, 0.05, 0.25, 0.0, 0.0]


def test_without_weights_the_candidate_has_everything(world):
    world.serve(0, 1)
    (block,) = world.source.canary(replace(QUESTION, weights=()), closed(0)).blocks
    assert block.weight == 1


def test_asking_again_gives_the_same_block_whatever_has_come_since_and_whoever_asks(world):
    world.serve(0, 3)
    first = world.source.canary(QUESTION, closed(0)).blocks
    world.serve(0, 4)
    assert world.source.canary(QUESTION, closed(0)).blocks == first
    world.restart()
    assert world.source.canary(QUESTION, closed(0)).blocks == first


def test_a_phase_that_begins_again_has_blocks_of_its_own(world):
    world.serve(0, 2)
    world.serve(1, 5)
    assert requests(world.source.canary(QUESTION, closed(0))) == [(0, 2, 2)]
    later = replace(QUESTION, since=SINCE + BLOCK)
    assert world.source.canary(later, closed(1)).blocks[0].stable.requests in (5, 2)  # memory is fed by number


def test_a_block_whose_rows_are_late_waits_for_them(world):
    world.serve(0, 3)
    world.lose(1)
    answer = world.source.canary(QUESTION, closed(1))
    assert requests(answer) == [(0, 3, 3)]
    assert (answer.waiting.obstacle, answer.waiting.since) == ("log behind", SINCE + 2 * BLOCK)
    assert answer.waiting.detail


def test_what_is_away_is_said_and_not_raised(world):
    world.serve(0, 3)
    world.leave()
    for ask in (world.source.canary, world.source.shadow):
        answer = ask(QUESTION, closed(0))
        assert (answer.blocks, answer.waiting.obstacle, answer.waiting.since) == ((), "store away", SINCE + BLOCK)
        assert answer.waiting.detail
    world.come_back()
    assert requests(world.source.canary(QUESTION, closed(0))) == [(0, 3, 3)]


def test_a_shadow_has_blocks_of_pairs(world):
    world.mirror(0, 4)
    world.mirror(1, 2)
    answer = world.source.shadow(QUESTION, closed(1))
    assert [(block.number, block.every.pairs, block.first.pairs, block.seconds) for block in answer.blocks] == [
        (0, 4, 4, 30),
        (1, 2, 2, 30),
    ]
    assert [(block.stable.requests, block.shadow.requests, block.shed) for block in answer.blocks] == [
        (4, 4, 0),
        (2, 2, 0),
    ]
    assert answer.waiting.obstacle == "not closed"
    assert world.source.shadow(QUESTION, closed(1)) == answer
    world.lose(2)
    assert world.source.shadow(replace(QUESTION, after=1), closed(2)).waiting.obstacle == "log behind"


def looked(answer: Any) -> list[tuple[int, int]]:
    return [(look.number, look.positives) for look in answer.looks]


LATER = [closed(0) + number * 2 * EVERY for number in range(6)]


def test_labelled_pairs_are_counted_until_a_look_is_due(world):
    assert world.source.looks(LABELS, LATER[0]) == Labelled()
    world.label(30)
    answer = world.source.looks(LABELS, LATER[1])
    assert (answer.pairs, answer.positives, answer.looks) == (150, 30, ())
    world.label(20)
    (look,) = world.source.looks(LABELS, LATER[2]).looks
    assert (look.number, look.positives) == (1, 50)
    assert look.lower < look.difference < look.upper
    assert look.lower < 0 < look.upper


def test_a_look_is_made_once_whatever_is_labelled_since_and_whoever_asks(world):
    world.label(50)
    first = world.source.looks(LABELS, LATER[0]).looks
    assert len(first) == 1
    world.label(30, worse=9.0)
    assert world.source.looks(LABELS, LATER[1]).looks == first
    world.restart()
    assert world.source.looks(LABELS, LATER[2]).looks == first


def test_of_looks_that_are_due_at_once_the_last_is_made_and_each_later_one_in_its_turn(world):
    world.label(101)
    assert looked(world.source.looks(LABELS, LATER[0])) == [(2, 101)]
    world.label(102)
    assert looked(world.source.looks(LABELS, LATER[1])) == [(2, 101), (3, 203)]
    world.label(103)
    assert looked(world.source.looks(LABELS, LATER[2])) == [(2, 101), (3, 203)]


def test_a_candidate_that_ranks_worse_is_seen(world):
    world.label(100, worse=9.0)
    (look,) = world.source.looks(LABELS, LATER[0]).looks
    assert look.upper < 0


def test_another_attempt_has_looks_of_its_own(world):
    world.label(50)
    one = world.source.looks(LABELS, LATER[0]).looks
    other = replace(LABELS, attempt="another", alpha=0.2)
    assert world.source.looks(other, LATER[1]).looks[0].upper < one[0].upper
    assert world.source.looks(LABELS, LATER[2]).looks == one


def test_while_labels_cannot_be_read_the_looks_stay_known(world):
    world.label(50)
    looks = world.source.looks(LABELS, LATER[0]).looks
    world.leave()
    answer = world.source.looks(LABELS, LATER[1])
    assert answer.looks == looks
    assert answer.problem
    world.come_back()
    world.label(60)
    answer = world.source.looks(LABELS, LATER[2])
    assert (looked(answer), answer.problem) == ([(1, 50), (2, 110)], "")


def test_what_is_observed_is_answered_as_it_is(world):
    world.label(50)
    assert looked(ObservedEvidence(world.source, lambda _: None).looks(LABELS, LATER[0])) == [(1, 50)]
