"""The counts of blocks, by SQL on a real PostgreSQL, against a count by hand of the same random rows."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg
import pytest

from monitoring import rollout_blocks as blocks
from monitoring.rollout_blocks import ArmCounts, Models, PairCounts, Span

AT = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
"""A minute before midnight: half of the blocks lie in another partition."""

BLOCK = timedelta(seconds=30)
STABLE, CANDIDATE, FOREIGN = "risk_scorer:old", "risk_scorer:new", "risk_scorer:foreign"
MODELS = Models('it\'s "odd" \\ ü', STABLE, CANDIDATE, slo_ms=100)
FLAGS = ("review", "block")


@dataclass(frozen=True)
class Row:
    role: str
    request_id: str
    scored_at: datetime
    event_id: str = "e"
    entity_id: str | None = None
    tag: str = STABLE
    status: int = 200
    score: float | None = 0.5
    decision: str | None = "approve"
    latency_us: int = 1000


def insert(connection: psycopg.Connection[Any], rows: Iterable[Row]) -> None:
    names = list(Row.__dataclass_fields__)
    with connection.cursor().copy(f"copy predictions ({', '.join(names)}) from stdin") as copy:
        for row in rows:
            copy.write_row([getattr(row, name) for name in names])


def span(number: int) -> Span:
    return Span(AT + number * BLOCK, AT + (number + 1) * BLOCK)


# By hand: the same rules, said once more in plain Python.


@dataclass(frozen=True)
class Request:
    arm: str
    id: str
    at: datetime
    entity: str | None
    error: bool
    flagged: bool
    fine: bool
    latency_us: int

    @property
    def unit(self) -> tuple[str, str]:
        return ("entity", self.entity) if self.entity is not None else ("request", self.id)


def requests(rows: Iterable[Row], arm: str) -> list[Request]:
    ordered = sorted(rows, key=lambda row: row.request_id)
    return [_request(arm, name, list(group)) for name, group in groupby(ordered, key=lambda row: row.request_id)]


def _request(arm: str, name: str, rows: list[Row]) -> Request:
    fine = [200 <= row.status < 300 for row in rows]
    entities = {row.entity_id for row in rows if row.entity_id is not None}
    return Request(
        arm,
        name,
        min(row.scored_at for row in rows),
        entities.pop() if len(entities) == 1 else None,
        any(row.status >= 500 or row.status == 429 for row in rows),
        any(good and row.decision in FLAGS for good, row in zip(fine, rows, strict=True)),
        any(fine),
        max(row.latency_us for row in rows),
    )


def tally(found: list[Request], arm: str, known: dict[str, set[tuple[str, str]]]) -> ArmCounts:
    """One arm's counts; `known` is not changed."""
    mine = [each for each in found if each.arm == arm]
    risk = {metric: [each for each in found if each.unit not in known[metric]] for metric in known}
    new = {metric: _firsts([each for each in risk[metric] if _affected(each, metric)]) for metric in known}
    return ArmCounts(
        requests=len(mine),
        errors=sum(each.error for each in mine),
        over_slo=sum(each.latency_us > 100_000 for each in mine),
        over_500ms=sum(each.latency_us > 500_000 for each in mine),
        flagged=sum(each.flagged for each in mine),
        errors_new=list(new["errors"].values()).count(arm),
        errors_at_risk=sum(each.arm == arm for each in risk["errors"]),
        flagged_new=list(new["flagged"].values()).count(arm),
        flagged_at_risk=sum(each.arm == arm for each in risk["flagged"]),
    )


def remember(found: list[Request], known: dict[str, set[tuple[str, str]]]) -> None:
    for metric, units in known.items():
        units |= {each.unit for each in found if _affected(each, metric)}


def _affected(request: Request, metric: str) -> bool:
    return request.error if metric == "errors" else request.flagged


def _firsts(affected: list[Request]) -> dict[tuple[str, str], str]:
    firsts: dict[tuple[str, str], str] = {}
    for each in sorted(affected, key=lambda each: (each.at, each.id, each.arm)):
        firsts.setdefault(each.unit, each.arm)
    return firsts


def inside(rows: Iterable[Row], window: Span, role: str, tag: str) -> list[Row]:
    return [row for row in rows if row.role == role and row.tag == tag and window.start <= row.scored_at < window.end]


def random_rows(seed: int, count: int, seconds: float) -> list[Row]:
    """Traffic with everything in it: batches, clients without an id, refusals, failures, foreign tags, few entities."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        role = draw.choice(["stable", "stable", "canary"])
        status = draw.choices([200, 422, 429, 500, 503], [90, 3, 1, 4, 2])[0]
        entity = None if status == 422 or draw.random() < 0.2 else f"c{draw.randrange(count // 8)}"
        tag = FOREIGN if draw.random() < 0.05 else {"stable": STABLE, "canary": CANDIDATE}[role]
        at = AT + timedelta(microseconds=draw.randrange(int(seconds * 1e6)))
        first = Row(role, f"r{number}", at, f"e{number}", entity, tag, status, score=None, decision=None)
        for event in range(draw.choices([1, 3], [95, 5])[0]):
            row = replace(first, event_id=f"e{number}-{event}")
            if status == 200:
                decision = draw.choices(["approve", "review", "block", None], [85, 8, 5, 2])[0]
                row = replace(row, score=0.1, decision=decision)
            if event == 2 and draw.random() < 0.5:
                row = replace(row, entity_id=f"{entity}-other")
            latency_us = draw.choices([900, 100_000, 100_001, 500_001], [90, 4, 4, 2])[0]
            rows.append(replace(row, latency_us=latency_us))
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_of_a_canary_are_those_made_by_hand(database, owner, seed):
    rows = random_rows(seed, 900, seconds=120)
    insert(owner, rows)
    owner.commit()
    known: dict[str, set[tuple[str, str]]] = {"errors": set(), "flagged": set()}
    with psycopg.connect(database.dsn("rollout")) as rollout:
        for number in range(4):
            window = span(number)
            found = requests(inside(rows, window, "stable", STABLE), "stable")
            found += requests(inside(rows, window, "canary", CANDIDATE), "canary")
            expected = tally(found, "stable", known), tally(found, "canary", known)
            assert blocks.canary(rollout, MODELS, window, everywhere=False) == expected
            assert min(expected[0].errors_new, expected[1].flagged_new, expected[1].errors_new) > 0
            remember(found, known)
        kept = rollout.execute("select metric, entity from rollout_counted order by 1, 2").fetchall()
    assert kept == sorted((metric, name) for metric in known for kind, name in known[metric] if kind == "entity")


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_of_a_shadow_are_those_made_by_hand(database, owner, seed):
    rows = mirrored(seed)
    insert(owner, rows)
    owner.commit()
    known: dict[str, set[tuple[str, str]]] = {"errors": set(), "flagged": set()}
    paired: set[tuple[str, str]] = set()
    with psycopg.connect(database.dsn("rollout")) as rollout:
        for number in range(4):
            window = span(number)
            wide = Span(window.start - BLOCK / 2, window.end + BLOCK / 2)
            one, other = inside(rows, window, "stable", STABLE), inside(rows, wide, "shadow", CANDIDATE)
            found, shed = mirrored_requests(one, other)
            expected = tally(found, "stable", known), tally(found, "shadow", known), shed
            assert blocks.shadow(rollout, MODELS, window) == expected
            assert min(shed, expected[1].errors_new, expected[1].flagged_new) > 0
            remember(found, known)
            every, first = blocks.pairs(rollout, MODELS, window)
            assert (every, first) == pairs_by_hand(one, other, paired)
            assert 0 < first.pairs < every.pairs


def mirrored(seed: int) -> list[Row]:
    """Stable's rows as above, and for most of them a shadow's row: late, shed, failing, missing or of another tag."""
    draw = random.Random(-seed)
    rows = []
    for row in random_rows(seed, 900, seconds=120):
        if row.role == "canary":
            continue
        rows.append(row)
        kind = draw.choices(["same", "500", "422", "shed", "late", "foreign", "none"], [80, 4, 3, 4, 3, 3, 3])[0]
        if kind == "none" or (row.event_id.endswith(("-1", "-2")) and kind != "same"):
            continue
        copy = replace(row, role="shadow", tag=FOREIGN if kind == "foreign" else CANDIDATE)
        copy = replace(copy, scored_at=row.scored_at + timedelta(seconds=40 if kind == "late" else draw.random()))
        if kind in ("500", "422", "shed"):
            copy = replace(copy, status={"500": 500, "422": 422, "shed": 503}[kind], entity_id=None, score=None)
            copy = replace(copy, decision=None)
        elif copy.score is not None:
            copy = replace(copy, score=draw.random(), decision=draw.choice(["approve", "approve", "review", "block"]))
        rows.append(copy)
    return rows


def mirrored_requests(one: list[Row], other: list[Row]) -> tuple[list[Request], int]:
    left, right = ({each.id: each for each in requests(rows, "")} for rows in (one, other))
    shed_ids = {row.request_id for row in other if row.status == 503}
    both = sorted(left.keys() & right.keys())
    found = []
    for name in both:
        if name in shed_ids:
            continue
        stable, shadow = left[name], right[name]
        entity = stable.entity if stable.entity is not None else shadow.entity
        error = shadow.error or (stable.fine and not shadow.fine)
        found.append(replace(stable, arm="stable", entity=entity))
        found.append(replace(shadow, arm="shadow", entity=entity, error=error, at=stable.at))
    return found, len(shed_ids & set(both))


def pairs_by_hand(one: list[Row], other: list[Row], paired: set[tuple[str, str]]) -> tuple[PairCounts, PairCounts]:
    right = {(row.request_id, row.event_id): row for row in other if row.score is not None}
    every, first = [], []
    for row in sorted(one, key=lambda row: (row.scored_at, row.request_id, row.event_id)):
        shadow = right.get((row.request_id, row.event_id))
        if row.score is None or shadow is None:
            continue
        every.append((row, shadow))
        unit = ("entity", row.entity_id) if row.entity_id is not None else ("request", row.request_id)
        if unit not in paired:
            paired.add(unit)
            first.append((row, shadow))
    return sums(every), sums(first)


def sums(pairs: list[tuple[Row, Row]]) -> PairCounts:
    flags = [(one.decision in FLAGS, other.decision in FLAGS) for one, other in pairs]
    differences = [other.score - one.score for one, other in pairs]  # type: ignore[operator]
    total, squares = 0.0, 0.0
    for each in differences:
        total, squares = total + each, squares + each * each
    return PairCounts(
        len(pairs),
        flags.count((False, True)),
        flags.count((True, False)),
        total,
        squares,
        sum(one for one, _ in flags),
        sum(other for _, other in flags),
    )


def test_an_entity_affected_in_both_arms_counts_where_it_was_affected_first(database, owner):
    second = timedelta(seconds=1)
    rows = [
        Row("stable", "r1", AT + 2 * second, entity_id="c", status=500),
        Row("canary", "r2", AT + second, entity_id="c", tag=CANDIDATE, status=500),
        Row("stable", "r3", AT + 40 * second, entity_id="c", status=500),
    ]
    insert(owner, rows)
    owner.commit()
    with psycopg.connect(database.dsn("rollout")) as rollout:
        stable, canary = blocks.canary(rollout, MODELS, span(0), everywhere=False)
        assert (stable.errors_new, stable.errors_at_risk) == (0, 1)
        assert (canary.errors_new, canary.errors_at_risk) == (1, 1)
        stable, _ = blocks.canary(rollout, MODELS, span(1), everywhere=False)
        assert (stable.errors, stable.errors_new, stable.errors_at_risk, stable.flagged_at_risk) == (1, 0, 0, 1)


def test_another_attempt_begins_to_count_anew(database, owner):
    insert(owner, [Row("stable", "r1", AT, entity_id="c", status=500)])
    owner.commit()
    with psycopg.connect(database.dsn("rollout")) as rollout:
        for attempt in ("one", "two"):
            stable, _ = blocks.canary(rollout, replace(MODELS, attempt=attempt), span(0), everywhere=False)
            assert stable.errors_new == 1


def test_what_answers_as_stable_with_the_candidates_tag_counts_only_when_the_candidate_has_everything(database, owner):
    insert(owner, [Row("stable", "r1", AT, tag=CANDIDATE), Row("canary", "r2", AT, tag=CANDIDATE)])
    owner.commit()
    with psycopg.connect(database.dsn("rollout")) as rollout:
        for everywhere, expected in ((False, 1), (True, 2)):
            stable, canary = blocks.canary(rollout, MODELS, span(0), everywhere=everywhere)
            assert (stable.requests, canary.requests) == (0, expected)


def test_a_block_without_rows_has_counts_of_nothing(database):
    with psycopg.connect(database.dsn("rollout")) as rollout:
        assert blocks.canary(rollout, MODELS, span(0), everywhere=False) == (ArmCounts(), ArmCounts())
        assert blocks.shadow(rollout, MODELS, span(0)) == (ArmCounts(), ArmCounts(), 0)
        assert blocks.pairs(rollout, MODELS, span(0)) == (PairCounts(), PairCounts())
        far = Span(AT.replace(year=2031), AT.replace(year=2031) + BLOCK)  # no partition
        assert blocks.canary(rollout, MODELS, far, everywhere=False) == (ArmCounts(), ArmCounts())


def test_nothing_is_counted_when_the_transaction_is_not_committed(database, owner):
    insert(owner, [Row("stable", "r1", AT, entity_id="c", status=500)])
    owner.commit()
    for _ in range(2):
        with psycopg.connect(database.dsn("rollout")) as rollout:
            stable, _ = blocks.canary(rollout, MODELS, span(0), everywhere=False)
            assert stable.errors_new == 1
            rollout.rollback()


def test_requests_are_logged_at_the_time_of_their_answer(owner):
    seconds = [timedelta(seconds=each) for each in (-2, -0.5, 1, 29.5, 31)]
    rows = [Row("stable", f"r{n}", AT + each, latency_us=1_000_000, tag=FOREIGN) for n, each in enumerate(seconds)]
    rows += [Row("canary", "b", AT, event_id=f"{n}") for n in range(5)]
    rows += [Row("canary", "bad", AT, status=422), Row("canary", "broken", AT, status=500)]
    insert(owner, rows)
    assert blocks.logged(owner, span(0), AT - BLOCK) == {"stable": 2, "canary": 2, "shadow": 0}
    assert blocks.newer(owner, AT + timedelta(seconds=2)) == {"stable"}


def test_a_row_from_the_future_is_seen_if_it_is_of_the_two_models(owner):
    later = AT + timedelta(seconds=50)
    insert(owner, [Row("stable", "r1", AT), Row("canary", "r2", AT + BLOCK, tag=FOREIGN)])
    assert blocks.clock(owner, MODELS, AT)[1] is None
    insert(owner, [Row("canary", "r3", later, tag=CANDIDATE)])
    assert blocks.clock(owner, MODELS, AT)[1] == later
