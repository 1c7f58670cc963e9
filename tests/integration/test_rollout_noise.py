"""Slices counted by SQL are those counted by hand, and each hour is counted once."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from k8s.rollout.blocks import NoiseFloor
from k8s.rollout.noise_floor import noise_floor
from k8s.rollout.store_noise import StoreNoise
from k8s.rollout.store_session import StoreSession
from monitoring import rollout_noise
from monitoring.rollout_noise import PARTS, USED, Slice, slice_of
from tests.integration.test_rollout_blocks import AT, CANDIDATE, FOREIGN, STABLE, Row, insert, random_rows, requests

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, 23, tzinfo=UTC)


def by_hand(rows: list[Row], hour: datetime) -> list[Slice]:
    mine = [row for row in rows if (row.role, row.tag) == ("stable", STABLE) and hour <= row.scored_at < hour + HOUR]
    entities = {row.entity_id for row in mine if row.entity_id is not None}
    found = [each for name in entities for each in requests([row for row in mine if row.entity_id == name], "stable")]
    counts = {(metric, j): [0, 0] for metric in ("errors", "flagged", "over_slo") for j in range(USED)}
    known: set[tuple[str, str | None]] = set()
    for each in sorted(found, key=lambda each: each.at):
        j = slice_of(each.entity or "")
        if j == USED:
            continue
        counts["over_slo", j][0] += each.latency_us > 100_000
        counts["over_slo", j][1] += 1
        for metric, affected in (("errors", each.error), ("flagged", each.flagged)):
            if (metric, each.entity) in known:
                continue
            counts[metric, j][1] += 1
            if affected:
                counts[metric, j][0] += 1
                known.add((metric, each.entity))
    return [Slice(hour, metric, j, *count) for (metric, j), count in sorted(counts.items())]  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_the_slices_of_an_hour_are_those_made_by_hand(database, owner, seed):
    rows = random_rows(seed, 1500, seconds=120)
    insert(owner, rows)
    owner.commit()
    with psycopg.connect(database.dsn("rollout")) as rollout:
        rollout.execute("set timezone = 'UTC'")
        for hour in (START, START + HOUR):
            for part in PARTS:
                rollout_noise.add(rollout, STABLE, 100, (hour, part))
            found = rollout_noise.slices(rollout, STABLE, 100, hour, hour + HOUR)
            assert list(found) == by_hand(rows, hour)
            assert sum(each.events for each in found) > 50
        every = {(hour, part) for hour in (START, START + HOUR) for part in PARTS}
        assert rollout_noise.counted(rollout, STABLE, 100, START, AT + 9 * HOUR) == every
        assert rollout_noise.counted(rollout, FOREIGN, 100, START, AT + 9 * HOUR) == set()
        assert rollout_noise.counted(rollout, STABLE, 50, START, AT + 9 * HOUR) == set()


def test_a_part_of_an_hour_is_counted_at_each_look_and_none_twice(database, owner):
    rows = [
        Row("stable", f"r{n}", START - timedelta(minutes=1 + n % 600), entity_id=f"c{n}", status=500 if n % 3 else 200)
        for n in range(1200)
    ]
    insert(owner, rows)
    owner.commit()
    session = StoreSession(database.dsn("rollout"))
    noise, now = StoreNoise(session), START + timedelta(minutes=11)
    noise.floor(STABLE, 100, now)
    assert owner.execute("select count(*) from rollout_noise").fetchone() == (5 * 3,)
    owner.commit()
    floors = [noise.floor(STABLE, 100, now) for _ in range(24 * len(PARTS) - 1)]
    count = "select count(distinct hour), count(*) from rollout_noise"
    assert owner.execute(count).fetchone() == (24, 24 * 3 * USED)
    owner.commit()
    with session.transaction() as connection:
        slices = rollout_noise.slices(connection, STABLE, 100, START - 24 * HOUR, START)
    assert floors[-1] == noise_floor(slices)
    assert sum(each.events for each in slices if each.metric == "errors") > 500
    insert(owner, [Row("stable", "late", START - timedelta(minutes=5), entity_id="late", status=500)])
    owner.commit()
    assert noise.floor(STABLE, 100, now) == floors[-1]
    noise.floor(STABLE, 100, now + timedelta(minutes=40))
    assert owner.execute(count).fetchone() == (24, 24 * 3 * USED)
    for _ in PARTS:
        noise.floor(STABLE, 100, now + HOUR)
    assert owner.execute(count).fetchone() == (25, 25 * 3 * USED)
    session.close()


def test_without_the_store_the_floor_is_what_it_was_and_unknown_for_another_model(database, owner):
    session = StoreSession(database.dsn("rollout"))
    noise = StoreNoise(session)
    noise.floor(STABLE, 100, START)
    noise._session = StoreSession("postgresql://rollout@127.0.0.1:1/none")
    noise._floor = NoiseFloor(1, 2, 3)
    assert noise.floor(STABLE, 100, START + HOUR) == NoiseFloor(1, 2, 3)
    assert noise.floor(CANDIDATE, 100, START + HOUR) == NoiseFloor()
    session.close()
