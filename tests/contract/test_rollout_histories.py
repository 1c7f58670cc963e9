"""Every history keeps the same things in the same order, once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, NoiseFloor, PairSums, ShadowBlock
from k8s.rollout.history import (
    CANARY_BLOCKS,
    SHADOW_BLOCKS,
    History,
    HistoryError,
    MemoryHistory,
    PostgresHistory,
    Recorded,
)
from k8s.rollout.model_rollout import Event
from monitoring import rollout_history
from monitoring.rollout_history import BlockKey

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
ONE, OTHER = "20260302T100000Z-aaa", 'it\'s "odd"; drop table rollout_events; -- ü\\'


@pytest.fixture(params=["memory", "postgres"])
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    if request.param == "memory":
        yield MemoryHistory()
        return
    kept = PostgresHistory(request.getfixturevalue("database").dsn("rollout"))
    yield kept
    kept.close()


def event(number: int, attempt: str | None = ONE, seconds: float = 0.0, **numbers: object) -> Event:
    at = AT + timedelta(seconds=seconds or number)
    return Event(number=number, at=at, attempt=attempt, kind="rollout.step", message=f"event {number}", numbers=numbers)


def test_events_come_back_as_they_were_in_their_order(history: History) -> None:
    kept = [event(1, share=0.1, list=[1, None, "ü"]), event(2, OTHER), event(3, None)]
    history.add_events([kept[2], kept[0]])
    history.add_events([kept[1]])
    assert history.events() == tuple(kept)
    assert history.events(ONE) == (kept[0],)
    assert history.events(OTHER) == (kept[1],)
    assert history.events("nobody's") == ()


def test_only_the_newest_events_still_in_their_order(history: History) -> None:
    kept = [event(number, ONE if number % 2 else OTHER) for number in range(1, 8)]
    history.add_events(kept)
    assert history.events(most=2) == tuple(kept[-2:])
    assert history.events(ONE, most=2) == (kept[4], kept[6])
    assert history.events(most=0) == ()
    assert history.events(most=100) == tuple(kept)


def test_an_event_that_comes_twice_is_kept_once_as_it_was_first(history: History) -> None:
    history.add_events([event(1), event(2)])
    again = event(1).model_copy(update={"message": "changed"})
    history.add_events([again, event(2), event(3)])
    assert history.events() == (event(1), event(2), event(3))


def test_a_rollout_made_anew_counts_its_events_from_one_again(history: History) -> None:
    history.add_events([event(1), event(1, seconds=3600)])
    assert len(history.events()) == 2


def test_numbers_that_json_does_not_have_do_not_hold_up_the_others(history: History) -> None:
    history.add_events([event(1, harm=float("inf"), at=AT, share=float("nan")), event(2)])
    assert [each.number for each in history.events()] == [1, 2]


def test_nothing_is_added_by_nothing(history: History) -> None:
    history.add_events([])
    assert history.events() == ()
    assert history.evidence(ONE) == ()


def test_evidence_comes_back_as_it_was_read_phase_by_phase(history: History, request: pytest.FixtureRequest) -> None:
    arm = Arm(10, 2, 3, 1, 4, Affected(1, 9), Affected(2, 8))
    shadow = ShadowBlock(0, 0.5, PairSums(5, 1, 2, 0.1 + 0.2, 1e-9), PairSums(1), arm, Arm(), 7, 3, 2)
    canary = [CanaryBlock(n, 30.0, 0.05, arm, Arm(), NoiseFloor(0.1, 1 / 3, 0)) for n in range(3)]
    watch = CanaryBlock(0, 30.0, 1.0, Arm(), arm)
    kept = [
        Recorded(ONE, "shadow", AT, shadow, AT),
        *(Recorded(ONE, "canary", AT + timedelta(hours=1), block, AT) for block in canary),
        Recorded(ONE, "canary", AT + timedelta(hours=2), watch, AT),
    ]
    for each in [kept[4], kept[2], kept[1], kept[3], kept[0], Recorded(OTHER, "shadow", AT, shadow, AT)]:
        _record(history, each, request)
    assert history.evidence(ONE) == tuple(kept)


def test_a_history_that_is_away_says_so_without_the_password() -> None:
    history = PostgresHistory("postgresql://rollout:sesame@127.0.0.1:1/none")
    for call in (lambda: history.add_events([event(1)]), history.events, lambda: history.evidence(ONE)):
        with pytest.raises(HistoryError) as error:
            call()
        assert "sesame" not in str(error.value)


def _record(history: History, recorded: Recorded, request: pytest.FixtureRequest) -> None:
    if isinstance(history, MemoryHistory):
        history.add_evidence(recorded)
        return
    block = recorded.block
    dumped = CANARY_BLOCKS.dump_python(block) if isinstance(block, CanaryBlock) else SHADOW_BLOCKS.dump_python(block)
    key = BlockKey(recorded.attempt, recorded.phase, recorded.since, block.number)
    with psycopg.connect(request.getfixturevalue("database").dsn("rollout")) as connection:
        rollout_history.record(connection, key, dumped, {}, recorded.read_at)
