"""Every gate, seen to pass and to fail; and what can't be judged is said to be so."""

import pytest

from bentos.risk_scorer.policy import Costs, Policy
from monitoring.evaluation import AtCapacity, Comparison, DataPart, Evaluation, Interval, Metrics, Slice
from training import floors, gates


def at(value, low=None, high=None):
    return Interval(value=value, low=value if low is None else low, high=value if high is None else high, sd=0.01)


def metrics(pr_auc=0.5, low=0.45, error=0.01, recall=0.6, troubled=0.02):
    return Metrics(
        pr_auc=at(pr_auc, low),
        roc_auc=0.9,
        recall_at_precision={},
        at_capacity=AtCapacity(share=0.01, precision=at(0.5), recall=at(0.2)),
        brier=at(0.01),
        calibration_error=at(error),
        recall=at(recall),
        precision=at(0.5),
        false_positive_share=at(troubled),
        cost_per_1000=at(10),
        decisions={},
        curve=(),
        calibration=(),
        lift=(),
        cost_curve=(),
    )


def compared(better=0.97, inferior=0.01, difference=0.02):
    interval = at(difference, difference - 0.03, difference + 0.03)
    return Comparison(
        pr_auc_difference=interval, better_share=better, inferior_share=inferior, cost_difference=at(-1.0)
    )


def evaluation(*, positives=300, base_rate=0.02, model=None, comparison=None):
    return Evaluation(
        tested_on=DataPart(rows=15_000, positives=positives),
        split=None,
        entities=None,
        base_rate=base_rate,
        resampled="event",
        resamples=200,
        policy=Policy.from_costs(Costs(missed=100, review=5, false_block=50)),
        approve_all_cost_per_1000=1,
        model=model or metrics(),
        baseline=None,
        comparison=comparison,
        notes=(),
    )


def part(recall, positives=150, *, band="2", rows=1_000, troubled=0.02):
    return Slice(
        field="device_risk",
        band=band,
        rows=rows,
        positives=positives,
        flagged=0.1,
        pr_auc=None,
        recall=recall,
        false_positive_share=None if troubled is None else at(troubled),
        calibration_gap=0,
        cost_per_1000=1,
    )


def verdicts(found):
    return {gate.name: gate.verdict for gate in found}


ABSOLUTE = ["enough positives", "better than chance", "not worse than logistic regression", "calibrated"]


def test_a_good_model_passes_every_absolute_gate():
    assert verdicts(gates.absolute(evaluation(comparison=compared()))) == dict.fromkeys(ABSOLUTE, "passed")


COMMON = {"base_rate": 0.9}  # 1.3 times that is more than there is


@pytest.mark.parametrize(
    ("name", "flawed", "just_right"),
    [
        ("enough positives", {"positives": 199}, {"positives": 200}),
        ("better than chance", {"model": metrics(low=0.026)}, {"model": metrics(low=0.0261)}),
        ("better than chance", COMMON | {"model": metrics(low=0.95)}, COMMON | {"model": metrics(low=0.951)}),
        (ABSOLUTE[2], {"comparison": compared(better=0.05)}, {"comparison": compared(better=0.06)}),
        ("calibrated", {"model": metrics(error=0.0501)}, {"model": metrics(error=0.05)}),
    ],
)  # fmt: skip
def test_each_absolute_gate_fails_on_its_own_flaw_and_not_before(name, flawed, just_right):
    usual = {"comparison": compared()}
    assert verdicts(gates.absolute(evaluation(**usual | just_right)))[name] == "passed"
    found = verdicts(gates.absolute(evaluation(**usual | flawed)))
    assert [each for each, verdict in found.items() if verdict == "failed"] == [name]


def test_without_a_baseline_its_gate_is_not_evaluated_and_says_why():
    gate = next(each for each in gates.absolute(evaluation()) if each.name == "not worse than logistic regression")
    assert gate.verdict == "not evaluated"
    assert "no logistic regression" in gate.detail


@pytest.mark.parametrize(
    ("mode", "comparison", "verdict"),
    [
        ("non-inferior", compared(better=0.4, inferior=0.05), "passed"),
        ("non-inferior", compared(better=0.4, inferior=0.051), "failed"),
        ("better", compared(better=0.9), "passed"),
        ("better", compared(better=0.899), "failed"),
    ],
)
def test_ranking_is_judged_by_the_mode(mode, comparison, verdict):
    assert verdicts(gates.relative(comparison, metrics(), metrics(), mode))[mode] == verdict


@pytest.mark.parametrize(("error", "verdict"), [(0.07, "passed"), (0.0701, "failed"), (0.001, "passed")])
def test_calibration_may_be_a_little_worse_than_the_champions(error, verdict):
    found = gates.relative(compared(), metrics(error=0.02), metrics(error=error), "better")
    assert verdicts(found)["calibration kept"] == verdict


@pytest.mark.parametrize(
    ("ours", "positives", "verdict"),
    [(0.55, 100, "passed"), (0.549, 100, "failed"), (0.1, 99, "not evaluated"), (0.9, 100, "passed")],
)
def test_a_slice_keeps_its_recall(ours, positives, verdict):
    (gate,) = gates.slice_recalls([part(at(0.6), positives)], [part(at(ours), positives)])
    assert (gate.name, gate.verdict) == ("recall kept where device_risk is 2", verdict)


def test_slices_that_only_one_of_the_two_has_are_not_compared():
    assert gates.slice_recalls([part(at(0.6), band="1")], [part(at(0.1))]) == ()


def test_a_gate_tells_its_numbers():
    gate = gates.enough_positives(150)
    assert gate.numbers == {"positives": 150, "limit": 200}
    assert "150 positives, at least 200 wanted" in gate.detail


# --- fairness floors


@pytest.mark.parametrize(
    ("recall", "positives", "held", "clear"),
    [
        (at(0.5), 100, True, False),
        (at(0.499, 0.45, 0.55), 100, False, False),
        (at(0.4, 0.35, 0.45), 100, False, True),
        (at(0.1), 99, None, False),
        (None, 3, None, False),
    ],
)
def test_a_slices_recall_may_be_ten_points_below_the_whole(recall, positives, held, clear):
    found = next(each for each in floors.check(metrics(), [part(recall, positives)]) if each.figure == "recall")
    assert (found.limit, found.held, found.clear) == (0.5, held, clear)


@pytest.mark.parametrize(
    ("troubled", "rows", "held"), [(0.07, 1_000, True), (0.071, 1_000, False), (0.5, 199, None), (None, 152, None)]
)
def test_a_slices_false_positives_may_be_five_points_above_the_whole(troubled, rows, held):
    (_, found) = floors.check(metrics(), [part(at(0.6), 100, rows=rows, troubled=troubled)])
    assert (found.figure, found.limit, found.held) == ("false_positive_share", 0.07, held)
    assert found.clear is (held is False)
