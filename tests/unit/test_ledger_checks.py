"""The demo's checks: each holds on a good run, and breaks when its own thing is broken."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bentos.risk_scorer.policy import Decision
from k8s.local.demo_checks import AgainstBaseline, Expected, LiveQuality, Stored, judge
from k8s.local.ledger import Entry
from k8s.rollout.routers import Split
from monitoring.store import Pairs, Stickiness

STABLE, CANARY = "risk_scorer:aaaaaaaaaaaa", "risk_scorer:cccccccccccc"
OFFLINE = {tag: {f"event-{n}": n / 1000 + shift for n in range(400)} for tag, shift in ((STABLE, 0.0), (CANARY, 0.1))}


def _entry(number: int) -> Entry:
    tag = CANARY if number % 4 == 0 else STABLE
    event = f"event-{number}"
    score = OFFLINE[tag][event]
    return Entry(event, f"entity-{number}", 0.01, 200, f"request-{number:03}", tag, score, Decision.APPROVE)


BETTER = AgainstBaseline(model=0.9, baseline=0.8, difference=0.1, low=0.05, high=0.15, better_share=1.0)
ENTRIES = [_entry(number) for number in range(400)]


def _ids(tag: str | None) -> tuple[str, ...]:
    return tuple(sorted(each.request_id or "" for each in ENTRIES if tag in (None, each.model_version)))


PAIRS = Pairs(pairs=100, mean=0, sd=0, low=0.0, p05=0, p50=0, p95=0, high=0.0, flips=0)
STORED = Stored(
    request_ids={"stable": _ids(STABLE), "canary": _ids(CANARY), "shadow": _ids(None)},
    refused=0,
    tags={"stable": frozenset({STABLE}), "canary": frozenset({CANARY}), "shadow": frozenset({CANARY})},
    stickiness=Stickiness(entities=400, moved=0),
    canary_and_shadow=PAIRS,
    stable_and_shadow=replace(PAIRS, pairs=300, low=-0.1, high=0.1, flips=3),
    live=LiveQuality(pr_auc=0.8, events=400, positives=100),
)
EXPECTED = Expected(
    split=Split(75, 25, 100),
    tags={"stable": STABLE, "canary": CANARY, "shadow": CANARY},
    offline=OFFLINE,
    baseline=BETTER,
)


def _broken(expected: Expected = EXPECTED, entries: list[Entry] = ENTRIES, stored: Stored = STORED) -> set[str]:
    return {check.name for check in judge(expected, entries, stored) if not check.held}


def test_a_good_run_holds_in_everything() -> None:
    assert _broken() == set()


def _ids_of(role: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Stored:
    ids: dict[Any, Any] = {**STORED.request_ids, role: change(STORED.request_ids[role])}  # type: ignore[index]
    return replace(STORED, request_ids=ids)


@pytest.mark.parametrize("change", [lambda ids: ids[:-1], lambda ids: (*ids, "zzz"), lambda ids: (*ids, ids[-1])])
@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("stable", "The rows of stable are what it was sent"),
        ("canary", "The rows of canary are what it was sent"),
        ("shadow", "The shadow has every request once"),
    ],
)
def test_a_row_that_is_missing_strange_or_there_twice(role: str, name: str, change: Any) -> None:
    assert name in _broken(stored=_ids_of(role, change))


def test_a_failed_request() -> None:
    failed = replace(ENTRIES[0], error="503: no", model_version=None, score=None, decision=None)
    assert "No request failed" in _broken(entries=[failed, *ENTRIES[1:]])


def test_no_request_at_all() -> None:
    assert {"No request failed", "Live scores are the offline scores"} <= _broken(entries=[])


def test_a_refused_row() -> None:
    assert _broken(stored=replace(STORED, refused=1)) == {"No request failed"}


def test_a_role_with_another_model() -> None:
    tags: dict[Any, Any] = {**STORED.tags, "shadow": frozenset({CANARY, STABLE})}
    assert _broken(stored=replace(STORED, tags=tags)) == {"Each role ran the model that it was given"}


@pytest.mark.parametrize("split", [Split(60, 40, 100), Split(90, 10, 100), Split(100, 0, 100)])
def test_another_split_than_the_one_that_was_set(split: Split) -> None:
    assert _broken(replace(EXPECTED, split=split)) == {"The split is as it was set"}


def test_an_entity_that_moved() -> None:
    stored = replace(STORED, stickiness=Stickiness(entities=400, moved=1))
    assert _broken(stored=stored) == {"Every entity stayed on its side"}


@pytest.mark.parametrize(
    "pairs",
    [None, replace(PAIRS, pairs=99), replace(PAIRS, high=1e-16), replace(PAIRS, low=-1e-16), replace(PAIRS, flips=1)],
)
def test_canary_and_shadow_that_differ(pairs: Pairs | None) -> None:
    assert _broken(stored=replace(STORED, canary_and_shadow=pairs)) == {"Canary and shadow agree to the last bit"}


@pytest.mark.parametrize("pairs", [None, replace(PAIRS, pairs=299, low=-1), replace(PAIRS, pairs=300)])
def test_stable_and_shadow_that_are_not_paired_or_are_the_same_model(pairs: Pairs | None) -> None:
    assert _broken(stored=replace(STORED, stable_and_shadow=pairs)) == {"Stable is compared with the shadow"}


def test_a_live_score_that_is_one_bit_off() -> None:
    assert ENTRIES[1].score is not None
    other = replace(ENTRIES[1], score=ENTRIES[1].score * (1 + 2**-52))
    assert _broken(entries=[ENTRIES[0], other, *ENTRIES[2:]]) == {"Live scores are the offline scores"}


@pytest.mark.parametrize("found", [replace(BETTER, better_share=0.03), None])
def test_a_model_that_the_baseline_beats_or_never_met(found: AgainstBaseline | None) -> None:
    assert _broken(replace(EXPECTED, baseline=found)) == {"The model is no worse than logistic regression"}


@pytest.mark.parametrize(
    ("live", "held"),
    [
        (LiveQuality(pr_auc=0.30, events=400, positives=100), False),
        (LiveQuality(pr_auc=0.33, events=400, positives=100), True),
        (LiveQuality(pr_auc=0.93, events=400, positives=360), False),
        (LiveQuality(pr_auc=0.96, events=400, positives=360), True),
        (LiveQuality(pr_auc=0.01, events=400, positives=29), True),
        (LiveQuality(pr_auc=None, events=0, positives=0), True),
    ],
)
def test_a_model_that_finds_nothing_live_unless_too_few_positives_are_known(live: LiveQuality, held: bool) -> None:
    name = "The model finds the positives among the live events"
    assert _broken(stored=replace(STORED, live=live)) == (set() if held else {name})
