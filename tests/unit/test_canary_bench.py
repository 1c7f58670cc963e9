"""The bench and its adapter: what other streams are answered, and that a rule which does nothing is found out."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench import canary_entities
from tests.bench.canary_adapter import make, make_shadow
from tests.bench.canary_rules import ARGO, FLAGGER, HOLDING, OURS, Rule
from tests.bench.canary_scenarios import SCENARIOS, SHADOWS, Scenario
from tests.bench.canary_simulation import Cell, main, missed, missed_shadow, simulate, simulate_shadow, table
from tests.bench.figures import upper_limit

NAMED = {scenario.name: scenario for scenario in SCENARIOS}


def stream(name: str, rule: Rule = OURS, rate: int = 50, streams: int = 20) -> tuple[Scenario, Cell]:
    return NAMED[name], simulate(NAMED[name], rate, rule, streams, seed=1)


@pytest.mark.parametrize("name", ["good, A/A, independent", "errors .1 -> 5 %", "crash", "slow 1 -> 5 %"])
def test_our_rule_meets_its_targets_and_one_that_always_holds_does_not(name: str) -> None:
    assert missed(*stream(name)) == []
    assert missed(*stream(name, HOLDING)) != []


def test_a_rule_that_always_holds_fails_the_bench() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rule", "always holds", "--streams", "2", "--rate", "5", "--alone"])
    assert ended.value.code == 1


def test_the_other_tools_rules_do_what_their_docs_say() -> None:
    assert stream("no traffic at all", FLAGGER)[1].rolled_back == 20
    assert stream("no traffic at all", ARGO)[1].rolled_back == 20
    good = [stream("good, A/A, independent", rule)[1] for rule in (FLAGGER, ARGO)]
    assert [(cell.promoted, cell.minutes) for cell in good] == [(20, 5), (20, 60)]
    assert [stream("crash", rule)[1].minutes for rule in (FLAGGER, ARGO)] == [5, 20]


def test_the_same_seed_gives_the_same_streams() -> None:
    assert stream("flagged 2 -> 4 %") == stream("flagged 2 -> 4 %")


def test_a_false_rollback_too_many_is_missed() -> None:
    scenario, cell = stream("good, A/A, independent")
    assert missed(scenario, replace(cell, streams=1000, promoted=995, rolled_back=5)) != []
    assert missed(scenario, replace(cell, streams=1000, promoted=998, rolled_back=2)) == []


def test_a_wrong_gate_is_missed() -> None:
    scenario, cell = stream("crash")
    assert missed(scenario, replace(cell, gate="flagged_up")) != []


@pytest.mark.parametrize("scenario", [SHADOWS[0], SHADOWS[5], SHADOWS[7]], ids=lambda each: each.name)
def test_shadow_streams_meet_their_targets(scenario: Any) -> None:
    cell = simulate_shadow(scenario, 20, seed=1)
    assert missed_shadow(scenario, cell) == []
    assert missed_shadow(scenario, replace(cell, passed=0, failed=0)) != []


def test_both_tables_have_a_row_for_each_kind_of_stream() -> None:
    text = table([stream("crash")[1]], [simulate_shadow(SHADOWS[0], 5, 1)])
    assert "| crash | ours | 0 | 100 | 0 | 0.5 |" in text
    assert "| same decisions | 100 |" in text


def test_the_upper_limit_is_clopper_pearsons() -> None:
    assert upper_limit(0, 1000) == pytest.approx(0.002991, abs=1e-5)
    assert upper_limit(4, 1000) == pytest.approx(0.009130, abs=1e-5)
    assert upper_limit(10, 10) == 1


def test_entities_are_counted_once_whatever_the_arm() -> None:
    counts, noise = canary_entities.stream(20, 60, np.random.default_rng(1))
    for step in counts:
        for arms in step:
            for requests, errors, _, _, flagged, new, at_risk, flag_new, flag_risk in arms:
                assert new <= errors <= requests
                assert flag_new <= flagged
                assert max(new, at_risk) <= requests
                assert flag_risk <= requests
    ever = sum(arms[0][5] + arms[1][5] for arms in counts[0])
    assert ever < sum(arms[0][1] + arms[1][1] for arms in counts[0])
    assert ever == sum(arms[0][5] + arms[1][5] for arms in counts[2])
    assert 0 <= noise.flagged < 1


def arm(requests: int, errors: int = 0, over: int = 0, flagged: int = 0) -> dict[str, Any]:
    affected = {"errors": {"new": errors, "at_risk": requests}, "flagged": {"new": flagged, "at_risk": requests}}
    counts = {"requests": requests, "errors": errors, "over_slo": over, "over_500ms": 0, "flagged": flagged}
    return counts | {"affected": affected}


def canary(number: int, weight: float, requests: int = 1500, **fields: Any) -> dict[str, Any]:
    mine = int(requests * weight)
    arms = {name: arm(n, 0, n // 100, n // 50) for name, n in (("canary", mine), ("stable", requests - mine))}
    noise = {"errors": 0.0, "over_slo": 0.0, "flagged": 0.0}
    return {"block": number, "weight": weight, "interval_s": 30, "noise_floor": noise, **arms, **fields}


def follow(answer: Any, blocks: int, **fields: Any) -> list[tuple[str, int]]:
    """Everything but 'hold', and the block of it; weights follow the answers."""
    weights, step, found = (0.05, 0.25, 0.5), 0, []
    for number in range(blocks):
        said = answer(canary(number, weights[step], **fields))
        step = min(step + 1, 2) if said == "advance" else step
        if said != "hold":
            found.append((said, number))
        if said in ("promote", "rollback"):
            break
    return found


def test_the_adapter_takes_a_good_stream_through_all_steps() -> None:
    assert follow(make(), 60) == [("advance", 5), ("advance", 11), ("promote", 29)]
    assert follow(make(), 60, interval_s=1) == follow(make(), 60)


def test_the_adapter_rolls_a_bad_stream_back_and_keeps_to_it() -> None:
    answer = make()
    assert follow(answer, 60, canary=arm(75, 70)) == [("rollback", 0)]
    assert answer(canary(1, 0.05)) == "rollback"


@pytest.mark.parametrize(
    "fields",
    [{"canary": {}}, {"canary": None}, {"stable": None}, {"stable": arm(0)}, {"canary": arm(0)}, {"weight": 0}],
    ids=str,
)
def test_the_adapter_holds_when_an_arm_is_missing_or_empty(fields: dict[str, Any]) -> None:
    answer = make()
    assert {answer(canary(number, 0.05) | fields) for number in range(150)} == {"hold"}


def test_the_adapter_ignores_blocks_that_come_again() -> None:
    answer = make()
    for number in range(5):
        answer(canary(number, 0.05))
    assert {answer(canary(4, 0.05)) for _ in range(20)} == {"hold"}
    assert answer(canary(5, 0.05)) == "advance"


def test_the_adapter_takes_blocks_from_any_first_number_and_without_noise_floor_or_affected() -> None:
    answer = make()
    plain = {"requests": 1425, "errors": 1, "over_slo": 14, "flagged": 28}
    mine = {"requests": 75, "errors": 0, "over_slo": 0, "flagged": 1}
    given = [{"block": 100 + n, "weight": 0.05, "stable": plain, "canary": mine} for n in range(6)]
    assert [answer(block) for block in given][-1] == "advance"


def test_the_adapter_holds_for_good_after_an_inconclusive_end() -> None:
    answer = make()
    for number in range(260):
        assert answer(canary(number, 0.5, canary=arm(0))) == "hold"
    assert {answer(canary(number, 0.5)) for number in range(260, 320)} == {"hold"}


numbers = st.one_of(st.none(), st.integers(-5, 10**15), st.floats(allow_nan=True, allow_infinity=True))


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["requests", "errors", "over_slo", "flagged"]), numbers), max_size=8))
def test_the_adapter_answers_whatever_the_counts_are(arms: list[dict[str, Any]]) -> None:
    answer, shadow = make(), make_shadow()
    for number, counts in enumerate(arms):
        given = {"block": number, "weight": 0.25, "stable": arms[-1], "canary": counts}
        assert answer(given) in ("hold", "advance", "rollback")
        pairs = {"block": number, "pairs": counts.get("requests"), "up": counts.get("errors")}
        assert shadow(pairs) in ("hold", "pass", "fail")


def pairs(number: int, count: int, up: int, down: int, total: float = 0.0) -> dict[str, Any]:
    sums = {"pairs": count, "up": up, "down": down, "sum_diff": total, "sum_diff2": 0.001 * count}
    raw = {"pairs": 9 * count, "up": 9 * count, "down": 0, "sum_diff": 0.0, "sum_diff2": 0.0}
    return {"block": number, **raw, "first": sums}


def test_the_shadow_adapter_judges_one_pair_an_entity() -> None:
    answer = make_shadow()
    said = [answer(pairs(number, 1500, 15, 15)) for number in range(40)]
    assert said[:5] == ["hold"] * 5
    assert "pass" in said
    assert "fail" not in said


def test_the_shadow_adapter_fails_what_flips_and_what_scores_elsewhere() -> None:
    flips, scores, nothing = make_shadow(), make_shadow(), make_shadow()
    assert [flips(pairs(number, 1500, 33, 3)) for number in range(4)][-1] == "fail"
    assert [scores(pairs(number, 1500, 0, 0, 45.0)) for number in range(9)][-1] == "fail"
    assert {nothing(pairs(number, 0, 0, 0)) for number in range(50)} == {"hold"}


def test_the_adapter_needs_neither_numpy_nor_a_database() -> None:
    code = (
        "import sys; import tests.bench.canary_adapter; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'psycopg', 'pandas', 'kubernetes')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
