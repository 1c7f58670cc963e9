"""How long a tick takes, and how much memory, when the store holds a million pairs, or 1.8 million rows of a canary.

    python tests/bench/evidence_million.py [--pairs 1000000] [--rows 1800000]

Fills a real PostgreSQL with both, then reads blocks of 30 seconds as a controller does, and shows the plan of a block's
query. Exit code 1 when a block takes longer than 2 seconds, memory grows, or a plan reads more than the block.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from k8s.local import postgres as local_postgres
from k8s.rollout.evidence import Question
from k8s.rollout.store_evidence import StoreEvidence
from monitoring import migrations, partitions, rollout_blocks, rollout_noise
from tests.doubles.given_gateway import GivenGateway

BLOCK = timedelta(seconds=30)
STABLE, CANDIDATE = "risk_scorer:old", "risk_scorer:new"
SLOWEST, MOST_GROWTH_MB = 2.0, 30

_FILL = """
    insert into predictions (role, request_id, event_id, entity_id, tag, occurred_at, scored_at, status, fields, score,
        decision, latency_us)
    select role, 'r' || n, 'e' || n, 'c' || (hashint8(n) & 1048575) %% %(entities)s, tag, at, at,
        case when hashint8(n + 7) & 1023 = 0 then 500 else 200 end, '{"amount": 12.5, "hour": 3, "velocity_5m": 2}',
        (hashint8(n + shift) & 1023) / 1024.0,
        case when hashint8(n + shift) & 63 = 0 then 'review' else 'approve' end, 900 + (hashint8(n) & 1023)
    from generate_series(%(first)s::bigint, %(last)s::bigint) as n
    cross join lateral (values %(roles)s) as roles (role, tag, shift)
    cross join lateral (
        select %(start)s::timestamptz + %(length)s::interval * (n - %(first)s) / %(count)s as at
    ) as times"""
PAIRED = "('stable', 'risk_scorer:old', 0), ('shadow', 'risk_scorer:new', 1)"
SPLIT = """(
    case n % 2 when 0 then 'stable' else 'canary' end,
    case n % 2 when 0 then 'risk_scorer:old' else 'risk_scorer:new' end, 0
)"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--pairs", type=int, default=1_000_000)
    arguments.add_argument("--rows", type=int, default=1_800_000)
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vigil-evidence-"))
    try:
        with local_postgres.running(folder) as server:
            return _measure(server, given.pairs, given.rows)
    finally:
        local_postgres.discard(folder)


def _measure(server: local_postgres.Postgres, pairs: int, rows: int) -> int:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    with psycopg.connect(server.dsn(), autocommit=True) as owner:
        migrations.migrate(owner, {"rollout": "bench"})
        partitions.ensure(owner, hour.date() - timedelta(days=2), 4)
        shadow, canary = hour - timedelta(hours=1), hour
        _fill(owner, PAIRED, shadow, 0, pairs)
        _fill(owner, SPLIT, canary, pairs, rows)
        owner.execute("analyze predictions")
    dsn = server.dsn("rollout", "bench")
    found = [_ticks("shadow", dsn, shadow), _ticks("canary", dsn, canary)]
    found += [_plans(dsn, canary), _noise(dsn, canary)]
    return 0 if all(found) else 1


def _fill(owner: psycopg.Connection[Any], roles: str, start: datetime, first: int, count: int) -> None:
    began = time.monotonic()
    values = {"entities": 200_000, "first": first, "last": first + count - 1, "count": count, "start": start}
    query = _FILL.replace("%(roles)s", roles.replace("%", "%%"))
    owner.execute(query, values | {"length": timedelta(hours=1)})  # type: ignore[arg-type]
    _say(f"filled in {time.monotonic() - began:.0f} s")


def _ticks(phase: str, dsn: str, since: datetime) -> bool:
    """Reads an hour's 120 blocks, ten in a tick, and says how long each tick took and how memory grew."""
    gateway = GivenGateway(since)
    source = StoreEvidence(dsn, gateway, lambda: datetime.now(UTC))
    source.watch(since)
    gateway.at = since + timedelta(hours=1)
    source.watch(gateway.at)
    question = Question("bench", STABLE, CANDIDATE, since, -1, BLOCK, 100, ((since, 0.5),), most=10)
    ask: Callable[..., Any] = source.shadow if phase == "shadow" else source.canary
    seconds, counted, memory = [], 0, []
    while len(seconds) < 12:
        began = time.monotonic()
        answer = ask(question, since + timedelta(hours=1, minutes=1))
        seconds.append((time.monotonic() - began) / max(1, len(answer.blocks)))
        counted += sum(block.every.pairs if phase == "shadow" else block.canary.requests for block in answer.blocks)
        question = replace(question, after=question.after + len(answer.blocks))
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    source.close()
    growth = memory[-1] - memory[1]
    _say(
        f"{phase}: {question.after + 1} blocks, {counted} counted; a block takes {min(seconds):.2f} to "
        f"{max(seconds):.2f} s; memory {memory[-1]:.0f} MB, {growth:+.1f} MB from the 2nd to the 12th tick"
    )
    return question.after == 119 and max(seconds) < SLOWEST and growth < MOST_GROWTH_MB


def _plans(dsn: str, since: datetime) -> bool:
    """Whether the plan of a block in the middle reads about the block's rows, and no more."""
    models = rollout_blocks.Models("plan", STABLE, CANDIDATE, 100)
    span = rollout_blocks.Span(since + 60 * BLOCK, since + 61 * BLOCK)
    with psycopg.connect(dsn) as connection:
        (inside,) = connection.execute(
            "select count(*) from predictions where scored_at >= %s and scored_at < %s", [span.start, span.end]
        ).fetchone() or (0,)
        plan = rollout_blocks.explained(connection, models, span)
        connection.rollback()
    read = max(_read(plan["Plan"], "predictions"))
    took = plan["Execution Time"]
    _say(f"plan: a block has {inside} rows, its query reads at most {read} of predictions; {took:.0f} ms")
    return read <= inside * 1.01 + 10


def _read(node: dict[str, Any], table: str) -> list[float]:
    rows = [0.0]
    if node.get("Relation Name", "").startswith(table):
        rows.append(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
    for child in node.get("Plans", []):
        rows += _read(child, table)
    return rows


def _noise(dsn: str, hour: datetime) -> bool:
    seconds = []
    with psycopg.connect(dsn) as connection:
        for part in rollout_noise.PARTS:
            began = time.monotonic()
            rollout_noise.add(connection, STABLE, 100, (hour, part))
            seconds.append(time.monotonic() - began)
    _say(f"noise: a part of an hour, one a tick, takes {min(seconds):.1f} to {max(seconds):.1f} s")
    return max(seconds) < SLOWEST


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
