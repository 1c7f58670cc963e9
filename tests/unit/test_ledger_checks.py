"""The demo's checks: each holds on a good run, and breaks when its own thing is broken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bentos.risk_scorer.policy import Decision
from k8s.local.acts import Act
from k8s.local.demo_checks import AgainstBaseline, Expected, LiveQuality, Stored, StoredRow, bad_answers, judge
from k8s.local.demo_follow import Refusal, Told
from k8s.local.ledger import Entry
from k8s.rollout.model_rollout import Attempt, Outcome, Verdict
from k8s.rollout.plan import Plan

STABLE, GOOD, LEAK, SKEW, WRONG = (f"risk_scorer:{letter * 12}" for letter in "abcde")
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
OFFLINE = {
    tag: {f"event-{n}": n / 1000 + shift for n in range(400)}
    for tag, shift in ((STABLE, 0.0), (GOOD, 0.1), (LEAK, 0.1), (SKEW, 0.1))
}


def _told(key: str, tag: str, outcome: Outcome, gate: str, bad: Any, most_bad: int) -> Told:
    act = Act(key, f"the {key} one", "", tag, Plan(), outcome, (gate,), bad, most_bad)
    verdict = Verdict(outcome=outcome, gate=gate, reason="because", at=AT)
    attempt = Attempt(id=key, candidate=tag, stable=STABLE, started_at=AT, plan=Plan(), verdict=verdict)
    return Told(act, attempt, (), AT, AT + timedelta(seconds=60))


TOLD = (
    _told("good", GOOD, Outcome.PROMOTED, "all", "errors", 0),
    _told("leak", LEAK, Outcome.ROLLED_BACK, "errors", "errors", 5),
    _told("skew", SKEW, Outcome.ROLLED_BACK, "flips", "all", 0),
)


def _tag(number: int) -> str:
    return GOOD if number % 4 == 0 else LEAK if number % 50 == 1 else STABLE


def _failed(number: int) -> bool:
    return number in (101, 201)


def _entry(number: int) -> Entry:
    event, entity, request = f"event-{number}", f"entity-{number}", f"request-{number:03}"
    if _failed(number):
        return Entry(event, entity, 0.01, 500, request, error="500: no connection left")
    tag = _tag(number)
    return Entry(event, entity, 0.01, 200, request, tag, OFFLINE[tag][event], Decision.APPROVE)


def _row(number: int) -> StoredRow:
    tag, event, request = _tag(number), f"event-{number}", f"request-{number:03}"
    role: Any = "stable" if tag == STABLE else "canary"
    if _failed(number):
        return StoredRow(role, tag, request, request, 500, None, 90)
    return StoredRow(role, tag, request, event, 200, OFFLINE[tag][event], 90)


def _copy(number: int, tag: str, off: float = 0.0) -> StoredRow:
    score = OFFLINE[tag][f"event-{number}"] + off
    return StoredRow("shadow", tag, f"request-{number:03}", f"event-{number}", 200, score, 90)


ENTRIES = [_entry(number) for number in range(400)]
COPIES = [*(_copy(number, GOOD) for number in range(50)), *(_copy(number, SKEW, 0.3) for number in range(50, 60))]
ROWS = [*(_row(number) for number in range(400)), *COPIES]
STORED = Stored(ROWS, moved=0, entities=30_000, live=LiveQuality(pr_auc=0.8, events=400, positives=100))
BETTER = AgainstBaseline(model=0.9, baseline=0.8, difference=0.1, low=0.05, high=0.15, better_share=1.0)
EXPECTED = Expected(TOLD, Refusal(WRONG, 7, 14), LEAK, OFFLINE, GOOD, BETTER)


def _broken(
    expected: Expected = EXPECTED, entries: list[Entry] = ENTRIES, stored: Stored = STORED, stable: str = GOOD
) -> set[str]:
    return {check.name for check in judge(expected, entries, stored, stable) if not check.held}


def _stored(*, without: int | None = None, more: tuple[StoredRow, ...] = ()) -> Stored:
    kept = [row for number, row in enumerate(ROWS) if number != without]
    return replace(STORED, rows=[*kept, *more])


def test_a_good_run_holds_in_everything() -> None:
    assert _broken() == set()


@pytest.mark.parametrize("change", [{"outcome": Outcome.INCONCLUSIVE}, {"gate": "crash"}])
def test_a_story_that_ends_otherwise_or_by_another_gate(change: dict[str, Any]) -> None:
    verdict = TOLD[1].attempt.verdict
    assert verdict is not None
    other = TOLD[1].attempt.model_copy(update={"verdict": verdict.model_copy(update=change)})
    told = (TOLD[0], replace(TOLD[1], attempt=other), TOLD[2])
    assert _broken(replace(EXPECTED, told=told)) == {"the leak one: rolled back by errors"}


def test_more_bad_answers_than_the_bound_allows() -> None:
    few = replace(TOLD[1], act=replace(TOLD[1].act, most_bad=1))
    assert _broken(replace(EXPECTED, told=(TOLD[0], few, TOLD[2]))) == {"the leak one: few are hurt"}


def test_bad_answers_are_what_the_story_says() -> None:
    act = TOLD[1].act
    slow = StoredRow("canary", LEAK, "r", "e", 200, 0.1, 100_001)
    assert bad_answers(act, ROWS) == 2
    assert bad_answers(replace(act, bad="slow"), [*ROWS, slow]) == 1
    assert bad_answers(replace(act, bad="all"), ROWS) == sum(row.tag == LEAK for row in ROWS)
    assert bad_answers(act, [replace(slow, role="shadow", status=500)]) == 0


@pytest.mark.parametrize(
    "refusal", [Refusal(WRONG, 0, 14), Refusal(WRONG, 7, 0), Refusal(WRONG, 7, 5), Refusal(STABLE, 7, 14)]
)
def test_a_wrong_model_that_was_compared_well_or_started_or_seen(refusal: Refusal) -> None:
    assert _broken(replace(EXPECTED, refusal=refusal)) == {"A model that is wrong offline never starts"}


def test_another_stable_in_the_end() -> None:
    assert _broken(stable=LEAK) == {"The promoted model is stable, and nothing else became it"}


def test_too_few_entities_unless_the_events_name_none() -> None:
    few = replace(STORED, entities=24_999)
    assert _broken(stored=few) == {"At least 25,000 entities took part"}
    assert _broken(replace(EXPECTED, names_entities=False), stored=few) == set()


def test_a_failed_request_that_is_no_part_of_the_leak() -> None:
    failed = replace(ENTRIES[0], error="503: no", model_version=None, score=None, decision=None)
    assert "No request failed but the leaking pool's" in _broken(entries=[failed, *ENTRIES[1:]])
    assert "No request failed but the leaking pool's" in _broken(replace(EXPECTED, leaking=STABLE))


@pytest.mark.parametrize(
    "stored",
    [
        _stored(without=7),
        _stored(more=(_row(7),)),
        _stored(more=(StoredRow("stable", STABLE, "nobody's", "e", 200, 0.1, 1),)),
        _stored(without=7, more=(replace(_row(7), role="canary", tag=GOOD),)),
    ],
)
def test_a_row_that_is_missing_there_twice_strange_or_of_another_model(stored: Stored) -> None:
    assert "The rows of stable and canary are what was sent" in _broken(stored=stored)


@pytest.mark.parametrize("copy", [COPIES[0], replace(COPIES[0], request_id="nobody's")])
def test_a_copy_that_is_there_twice_or_of_no_request(copy: StoredRow) -> None:
    assert _broken(stored=_stored(more=(copy,))) == {"Each copy for a shadow is of one request"}


def test_an_entity_that_went_back() -> None:
    moved = replace(STORED, moved=1)
    assert _broken(stored=moved) == {"Every entity stayed with the canary that it had met"}


def test_an_answer_that_differs_from_the_offline_score_in_the_last_bit() -> None:
    score = ENTRIES[2].score
    assert score is not None
    other = [*ENTRIES[:2], replace(ENTRIES[2], score=score * (1 + 2**-52)), *ENTRIES[3:]]
    assert _broken(entries=other) == {"Live scores are the offline scores"}


def test_a_sound_shadow_that_differs_and_a_skewed_one_that_does_not() -> None:
    name = "A shadow's scores are the offline scores, unless its code is wrong live"
    assert _broken(stored=_stored(without=400, more=(_copy(0, GOOD, 0.1),))) == {name}
    same = [*ROWS[:450], *(_copy(number, SKEW) for number in range(50, 60))]
    assert _broken(stored=replace(STORED, rows=same)) == {name}


@pytest.mark.parametrize("baseline", [None, replace(BETTER, better_share=0.05)])
def test_a_model_that_is_worse_than_the_baseline_or_met_none(baseline: AgainstBaseline | None) -> None:
    assert _broken(replace(EXPECTED, baseline=baseline)) == {"The model is no worse than logistic regression"}


def test_a_model_that_finds_no_positives_unless_there_are_too_few_to_tell() -> None:
    blind = LiveQuality(pr_auc=0.25, events=400, positives=100)
    few = LiveQuality(pr_auc=0.25, events=400, positives=29)
    assert _broken(stored=replace(STORED, live=blind)) == {"The model finds the positives among the live events"}
    assert _broken(stored=replace(STORED, live=few)) == set()


@pytest.mark.parametrize(
    ("live", "held"),
    [
        (LiveQuality(pr_auc=0.30, events=400, positives=100), False),
        (LiveQuality(pr_auc=0.33, events=400, positives=100), True),
        (LiveQuality(pr_auc=0.93, events=400, positives=360), False),
        (LiveQuality(pr_auc=0.96, events=400, positives=360), True),
        (LiveQuality(pr_auc=None, events=0, positives=0), True),
    ],
)
def test_how_much_better_than_chance_it_must_be(live: LiveQuality, held: bool) -> None:
    name = "The model finds the positives among the live events"
    assert _broken(stored=replace(STORED, live=live)) == (set() if held else {name})


def test_no_request_at_all() -> None:
    assert {"No request failed but the leaking pool's", "Live scores are the offline scores"} <= _broken(entries=[])
