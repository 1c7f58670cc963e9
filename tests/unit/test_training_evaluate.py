from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from bentos.risk_scorer.policy import Costs, Policy
from monitoring import decision_costs, figures
from monitoring.evaluation import Evaluation
from monitoring.figures import Scored
from monitoring.ranking import Ranking
from monitoring.resampling import Resamples
from training import costs, datasets, evaluate, evaluation_report, synthesize
from training.evaluate import Candidate

LABELS = np.array([0, 0, 1, 0, 1, 1, 0, 1], dtype=np.int8)
SCORES = np.array([0.1, 0.2, 0.25, 0.4, 0.6, 0.7, 0.8, 0.95])
POLICY = Policy.from_costs(Costs(missed=100, review=46, false_block=150))  # review from .46, block from .69


@pytest.fixture(scope="module")
def dataset():
    return datasets.from_frame(synthesize.plain(3_000, 4, datetime(2026, 11, 1, tzinfo=UTC)))


def noisy(dataset, spread: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(3.0 * dataset.labels - 1.5 + rng.normal(0, spread, len(dataset)))))


def alone(labels, rng=None):
    """Resamples in which every row is a group of its own."""
    return Resamples(np.arange(len(labels)), rng or np.random.default_rng(0), count=50)


def judged(dataset, scores, baseline=None, policy=POLICY, seed=0):
    rival = None if baseline is None else Candidate(baseline, policy)
    return evaluate.evaluate(dataset, Candidate(scores, policy), rng=np.random.default_rng(seed), baseline=rival)


def test_figures_by_hand():
    metrics, _ = figures.measure(Scored(LABELS, SCORES, np.zeros(8), POLICY), alone(LABELS))
    # From the top: .95 positive, .8 not, .7 positive, .6 positive, .4 not, .25 positive.
    assert metrics.pr_auc.value == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 6) / 4, abs=1e-6)
    assert metrics.roc_auc == pytest.approx((4 + 3 + 3 + 2) / 16)
    recalls = {floor: each.value for floor, each in metrics.recall_at_precision.items()}
    assert recalls == {"0.5": 1.0, "0.8": 0.25, "0.9": 0.25}
    assert metrics.brier.value == pytest.approx(np.mean((SCORES - LABELS) ** 2), abs=1e-6)
    assert metrics.decisions == {"approve": 0.5, "review": 0.125, "block": 0.375}
    # Flagged: three of four positives, and one negative of four.
    assert (metrics.recall.value, metrics.precision.value, metrics.false_positive_share.value) == (0.75, 0.75, 0.25)
    # One positive approved (100), one review (46), one negative blocked (150), over eight events.
    assert metrics.cost_per_1000.value == pytest.approx(1000 * (100 + 46 + 150) / 8)


def test_a_missed_positive_costs_its_amount():
    policy = Policy(costs=Costs(missed=10, missed_per_amount=2, review=5, false_block=9), review_from=0.3, block_from=1)
    labels, scores = np.array([1, 1, 0], dtype=np.int8), np.array([0.1, 0.5, 0.1])
    assert decision_costs.row_costs(labels, scores, np.array([40.0, 40.0, 40.0]), policy).tolist() == [90, 5, 0]


def test_an_unknown_amount_counts_as_the_mean_of_the_known_ones(dataset):
    frame = dataset.frame.assign(amount=[np.nan, 10.0, 30.0] * 1000)
    assert costs.amounts(datasets.from_frame(frame))[:3].tolist() == [20, 10, 30]
    assert costs.amounts(datasets.from_frame(frame.assign(amount=np.nan))).max() == 0


def test_precision_at_capacity_by_hand():
    counts = Ranking(LABELS, SCORES).counts()
    # The two highest scores hold one positive, the four highest three.
    assert [float(counts.caught_by(share)) for share in (0.125, 0.25, 0.5, 1.0)] == [1, 1.5, 3, 4]
    policy = POLICY.model_copy(update={"review_capacity": 0.5})
    metrics, _ = figures.measure(Scored(LABELS, SCORES, np.zeros(8), policy), alone(LABELS))
    assert (metrics.at_capacity.share, metrics.at_capacity.precision.value) == (0.5, 0.75)
    assert metrics.at_capacity.recall.value == 0.75


def test_a_tie_at_the_capacity_counts_in_proportion():
    labels = np.array([1, 0, 0, 0], dtype=np.int8)
    assert float(Ranking(labels, np.full(4, 0.5)).counts().caught_by(0.5)) == 0.5


def test_calibration_error_by_hand():
    scores = np.array([0.2] * 10 + [0.6] * 10)
    labels = np.array([1, *[0] * 9, *[1] * 9, 0], dtype=np.int8)
    metrics, _ = figures.measure(Scored(labels, scores, np.zeros(20), POLICY), alone(labels))
    bins = metrics.calibration
    assert [(each.rows, each.mean_score, each.positive_share) for each in bins] == [(10, 0.2, 0.1), (10, 0.6, 0.9)]
    assert all(each.low <= each.positive_share <= each.high for each in bins)
    assert metrics.calibration_error.value == pytest.approx((0.1 + 0.3) / 2)


def test_bins_have_equal_mass_where_scores_differ():
    scores = np.random.default_rng(0).random(1_000)
    rows = Scored((scores > 0.5).astype(np.int8), scores, np.zeros(1_000), POLICY)
    assert [each.rows for each in figures.calibration_bins(rows, alone(rows.labels))] == [100] * 10


def test_lift_begins_with_the_highest_scores():
    scores = np.arange(100) / 100
    labels = (np.arange(100) >= 85).astype(np.int8)
    metrics, _ = figures.measure(Scored(labels, scores, np.zeros(100), POLICY), alone(labels))
    assert [each.upto for each in metrics.lift[:3]] == pytest.approx([0.1, 0.2, 0.3])
    assert [each.lift.value for each in metrics.lift[:3]] == pytest.approx([1 / 0.15, 0.5 / 0.15, 0], abs=1e-5)
    assert [each.caught for each in metrics.lift[:2]] == pytest.approx([10 / 15, 1], abs=1e-5)


def test_the_cost_curve_is_what_other_thresholds_would_have_cost(dataset):
    scores, amounts = noisy(dataset, 2.0), costs.amounts(dataset)
    scores[:100] = POLICY.review_from  # a score at a threshold belongs to the stricter decision
    metrics, _ = figures.measure(Scored(dataset.labels, scores, amounts, POLICY), alone(dataset.labels))
    for point in metrics.cost_curve:
        policy = POLICY.model_copy(update={"review_from": point.review_from})
        expected = 1000 * decision_costs.row_costs(dataset.labels, scores, amounts, policy).mean()
        assert point.cost_per_1000 == pytest.approx(expected, rel=1e-3)
        assert point.low <= point.cost_per_1000 <= point.high
    assert POLICY.review_from in [point.review_from for point in metrics.cost_curve]
    assert metrics.cost_curve[-1].review_share == 0


@given(st.floats(0, 1), st.floats(0.01, 1e3), st.floats(0.01, 1e3), st.floats(0.01, 1e3))
def test_decisions_of_an_array_are_those_of_the_policy(score, missed, review, false_block):
    policy = Policy.from_costs(Costs(missed=missed, review=review, false_block=false_block))
    scores = np.array([score, policy.review_from, policy.block_from])
    decided = decision_costs.decide_all(scores, policy)
    for row, each in enumerate(scores.tolist()):
        assert [decision for decision in decided if decided[decision][row]] == [policy.decide(each)]


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(ROWS)
def test_the_figures_of_a_ranking_are_scikit_learns(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    counts = Ranking(labels.astype(np.int8), scores / 7).counts()
    assert float(counts.pr_auc()) == pytest.approx(average_precision_score(labels, scores))
    precision, recall, _ = precision_recall_curve(labels, scores)
    for floor in (0.3, 0.5, 0.9):
        assert float(counts.recall_at(floor)) == pytest.approx(recall[precision >= floor].max())
    for at, best in zip((0.0, 0.5, 1.0), counts.best_precision(np.array([0.0, 0.5, 1.0])), strict=True):
        assert best == pytest.approx(precision[:-1][recall[:-1] >= at].max())
    assert figures.roc_auc(labels, scores / 7) == pytest.approx(roc_auc_score(labels, scores))


@given(ROWS, st.integers(0, 5))
def test_a_resample_counts_a_group_as_often_as_it_was_drawn(rows, seed):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    groups = np.arange(len(labels)) % 7
    resamples = Resamples(groups, np.random.default_rng(seed), count=5)
    times = resamples.sums(np.arange(len(labels)), len(labels))
    assert all(len(set(times[:, groups == group].T.ravel().tolist())) <= 5 for group in range(7))
    drawn = Ranking(labels.astype(np.int8), scores / 7).resampled(resamples).pr_auc()
    for turn, weights in enumerate(times):
        if weights[labels == 1].any():
            expected = average_precision_score(labels, scores, sample_weight=weights)
            assert drawn[turn] == pytest.approx(expected)
        else:
            assert np.isnan(drawn[turn])
    assert resamples.total(scores.astype(float)) == pytest.approx(times @ scores)


def test_resamples_draw_whole_groups():
    # Two groups, one of them perfect, the other the wrong way round: a resample is one of three mixtures.
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    resamples = Resamples(np.array([0, 0, 1, 1]), np.random.default_rng(0))
    values = Ranking(labels, np.array([0.1, 0.9, 0.8, 0.2])).resampled(resamples).pr_auc()
    assert len(set(np.round(values, 9))) == 3
    assert values.max() == 1.0


def test_many_groups_thrown_together_keep_the_spread(monkeypatch):
    rng = np.random.default_rng(0)
    groups = np.arange(20_000) // 2
    values = np.repeat(rng.lognormal(0, 1, 10_000), 2)  # an entity's rows are alike
    spreads = []
    for most in (20_000, 1_000):
        monkeypatch.setattr("monitoring.resampling._MOST_UNITS", most)
        spreads.append(Resamples(groups, np.random.default_rng(1), count=2_000).total(values).std() / len(values))
    assert spreads[0] == pytest.approx(np.std(values[::2]) / np.sqrt(10_000), rel=0.08)
    assert spreads[1] == pytest.approx(spreads[0], rel=0.08)


def test_a_clearly_better_model_is_told_apart_and_a_twin_is_not(dataset):
    good, poor = noisy(dataset, 1.0), noisy(dataset, 2.5)
    for baseline, apart in ((poor, True), (noisy(dataset, 1.0, seed=2), False)):
        result = judged(dataset, good, baseline)
        assert (result.comparison.pr_auc_difference.low > 0) is apart
        assert result.model.pr_auc.low < result.model.pr_auc.value < result.model.pr_auc.high


def test_the_same_generator_gives_the_same_evaluation_and_json_brings_it_back(dataset):
    one, other = (judged(dataset, noisy(dataset, 1), seed=3) for _ in "ab")
    assert one == other
    assert Evaluation.model_validate_json(one.model_dump_json()) == one


def test_the_curve_falls_from_the_best_precision_to_the_base_rate(dataset):
    result = judged(dataset, noisy(dataset, 2))
    precision = [point.precision for point in result.model.curve]
    assert [point.recall for point in result.model.curve] == pytest.approx(np.linspace(0, 1, 51).tolist())
    assert precision == sorted(precision, reverse=True)
    assert precision[-1] >= result.base_rate


def test_approving_all_costs_the_missed_ones(dataset):
    result = judged(dataset, np.zeros(len(dataset)))
    assert result.approve_all_cost_per_1000 == pytest.approx(result.model.cost_per_1000.value, abs=1e-3)
    assert result.model.pr_auc.value == pytest.approx(result.base_rate, abs=1e-6)


def test_the_report_says_what_was_found(dataset):
    scores = noisy(dataset, 1.0)
    result = judged(dataset, scores, noisy(dataset, 2.5))
    page = evaluation_report.render(result)
    assert f"**PR-AUC {result.model.pr_auc.value:.4f}**" in page
    assert "It is better than logistic regression" in page
    assert "| approve all" in page
    assert "resamples of whole entities" in page
    assert "| not worse than logistic regression | passed" in page
    assert "| device_risk: 2 " in page
    assert "floors held" in page
    assert all(f"- {note}" in page for note in dataset.notes)
    assert "None" not in page
    worse = judged(dataset, noisy(dataset, 2.5), scores)
    assert "**worse than**" in evaluation_report.render(worse)


def test_the_report_warns_of_what_is_too_good(dataset):
    pages = [
        evaluation_report.render(judged(dataset, scores))
        for scores in (dataset.labels.astype(float), noisy(dataset, 2.5))
    ]
    assert ["knows the answer" in page for page in pages] == [True, False]
