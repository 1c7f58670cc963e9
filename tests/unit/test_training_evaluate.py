from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bentos.risk_scorer.policy import Costs, Policy
from training import datasets, evaluate, evaluation_report, synthesize
from training.evaluation import Evaluation
from training.ranking import Ranking

LABELS = np.array([0, 0, 1, 0, 1, 1, 0, 1], dtype=np.int8)
SCORES = np.array([0.1, 0.2, 0.25, 0.4, 0.6, 0.7, 0.8, 0.95])
POLICY = Policy.from_costs(Costs(missed=100, review=46, false_block=150))  # review from .46, block from .69


@pytest.fixture(scope="module")
def dataset():
    return datasets.from_frame(synthesize.plain(3_000, 4, datetime(2026, 11, 1, tzinfo=UTC)))


def noisy(dataset, spread: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(3.0 * dataset.labels - 1.5 + rng.normal(0, spread, len(dataset)))))


def test_figures_by_hand():
    metrics = evaluate.measure(LABELS, SCORES, POLICY, np.array([0.5, 0.7]))
    # From the top: .95 positive, .8 not, .7 positive, .6 positive, .4 not, .25 positive.
    assert metrics.pr_auc.value == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 6) / 4, abs=1e-6)
    assert metrics.roc_auc == pytest.approx((4 + 3 + 3 + 2) / 16)
    assert metrics.recall_at_precision == {"0.5": 1.0, "0.8": 0.25, "0.9": 0.25}
    assert metrics.brier == pytest.approx(np.mean((SCORES - LABELS) ** 2), abs=1e-6)
    assert metrics.decisions == {"approve": 0.5, "review": 0.125, "block": 0.375}
    # One positive approved (100), one review (46), one negative blocked (150), over eight events.
    assert metrics.cost_per_1000 == pytest.approx(1000 * (100 + 46 + 150) / 8)
    assert metrics.pr_auc.sd == pytest.approx(np.std([0.5, 0.7], ddof=1), abs=1e-6)


def test_calibration_error_by_hand():
    scores = np.array([0.2] * 10 + [0.6] * 10)
    labels = np.array([1, *[0] * 9, *[1] * 9, 0], dtype=np.int8)
    bins = evaluate.calibration_bins(labels, scores)
    assert [(each.rows, each.mean_score, each.positive_share) for each in bins] == [(10, 0.2, 0.1), (10, 0.6, 0.9)]
    assert evaluate.calibration_error(bins) == pytest.approx((0.1 + 0.3) / 2)


def test_bins_have_equal_mass_where_scores_differ():
    scores = np.random.default_rng(0).random(1_000)
    assert [each.rows for each in evaluate.calibration_bins((scores > 0.5).astype(np.int8), scores)] == [100] * 10


@given(st.floats(0, 1), st.floats(0.01, 1e3), st.floats(0.01, 1e3), st.floats(0.01, 1e3))
def test_decisions_of_an_array_are_those_of_the_policy(score, missed, review, false_block):
    policy = Policy.from_costs(Costs(missed=missed, review=review, false_block=false_block))
    scores = np.array([score, policy.review_from, policy.block_from])
    decided = evaluate.decide_all(scores, policy)
    for row, each in enumerate(scores.tolist()):
        assert [decision for decision in decided if decided[decision][row]] == [policy.decide(each)]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=60).filter(
        lambda rows: any(label and weight for label, _, weight in rows)
    )
)
def test_the_fast_pr_auc_is_scikit_learns(rows):
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    expected = average_precision_score(labels, scores, sample_weight=weights)
    assert Ranking(labels.astype(np.int8), scores / 7).pr_auc(weights) == pytest.approx(expected)


def test_a_resample_without_positives_has_no_pr_auc():
    assert np.isnan(Ranking(LABELS, SCORES).pr_auc(1 - LABELS))


def test_resamples_draw_whole_groups():
    # Two groups, one of them perfect, the other the wrong way round: a resample is one of three mixtures.
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    scores = {"model": np.array([0.1, 0.9, 0.8, 0.2])}
    values = evaluate.resampled_pr_auc(labels, scores, np.array([0, 0, 1, 1]), np.random.default_rng(0))["model"]
    assert len(set(np.round(values, 9))) == 3
    assert values.max() == 1.0


def test_a_clearly_better_model_is_told_apart_and_a_twin_is_not(dataset):
    good, poor = noisy(dataset, 1.0), noisy(dataset, 2.5)
    for baseline, apart in ((poor, True), (noisy(dataset, 1.0, seed=2), False)):
        result = evaluate.evaluate(dataset, good, POLICY, rng=np.random.default_rng(0), baseline=baseline)
        assert (result.comparison.pr_auc_difference.low > 0) is apart
        assert result.model.pr_auc.low < result.model.pr_auc.value < result.model.pr_auc.high


def test_the_same_generator_gives_the_same_evaluation_and_json_brings_it_back(dataset):
    one, other = (evaluate.evaluate(dataset, noisy(dataset, 1), POLICY, rng=np.random.default_rng(3)) for _ in "ab")
    assert one == other
    assert Evaluation.model_validate_json(one.model_dump_json()) == one


def test_the_curve_falls_from_the_best_precision_to_the_base_rate(dataset):
    result = evaluate.evaluate(dataset, noisy(dataset, 2), POLICY, rng=np.random.default_rng(0))
    precision = [point.precision for point in result.model.curve]
    assert [point.recall for point in result.model.curve] == pytest.approx(np.linspace(0, 1, 51).tolist())
    assert precision == sorted(precision, reverse=True)
    assert precision[-1] >= result.base_rate


def test_approving_all_costs_the_missed_ones(dataset):
    result = evaluate.evaluate(dataset, np.zeros(len(dataset)), POLICY, rng=np.random.default_rng(0))
    assert result.approve_all_cost_per_1000 == pytest.approx(result.model.cost_per_1000, abs=1e-3)
    assert result.model.pr_auc.value == pytest.approx(result.base_rate, abs=1e-6)


def test_the_report_says_what_was_found(dataset):
    scores = noisy(dataset, 1.0)
    result = evaluate.evaluate(dataset, scores, POLICY, rng=np.random.default_rng(0), baseline=noisy(dataset, 2.5))
    page = evaluation_report.render(result)
    assert f"**PR-AUC {result.model.pr_auc.value:.4f}**" in page
    assert "It is better than logistic regression" in page
    assert "| approve all" in page
    assert "resamples of whole entities" in page
    assert all(f"- {note}" in page for note in dataset.notes)
    assert "None" not in page
    worse = evaluate.evaluate(dataset, noisy(dataset, 2.5), POLICY, rng=np.random.default_rng(0), baseline=scores)
    assert "**worse than**" in evaluation_report.render(worse)


def test_the_report_warns_of_what_is_too_good(dataset):
    pages = [
        evaluation_report.render(evaluate.evaluate(dataset, scores, POLICY, rng=np.random.default_rng(0)))
        for scores in (dataset.labels.astype(float), noisy(dataset, 2.5))
    ]
    assert ["knows the answer" in page for page in pages] == [True, False]
