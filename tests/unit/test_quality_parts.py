"""The pure parts of quality: how long labels take, what a week is compared with, and figures that compare."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from monitoring.label_delays import FEWEST, Waited, delays
from monitoring.quality_rule import Basis, Verdict, Week, judge, limit
from monitoring.ranking import Ranking

BASIS = Basis(pr_auc=0.4, sd=0.01, positives=400)


def week(**changes):
    return Week(**({"events": 10_000, "labelled": 9_000, "positives": 400, "pr_auc": 0.4} | changes))


# --- the rule


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, Verdict.OK, "the limit is 0.3400"),
        ({"pr_auc": 0.33}, Verdict.QUALITY_LOSS, "below the limit of 0.3400"),
        ({"events": 0, "labelled": 0}, Verdict.MISSING_DATA, "answered nothing"),
        ({"labelled": 0, "positives": 0, "pr_auc": None}, Verdict.MISSING_DATA, "none of 10,000 events has a label"),
        ({"positives": 99, "pr_auc": 0.1}, Verdict.INSUFFICIENT_DATA, "99 labelled positives, 100 are needed"),
        ({"labelled": 4_999, "pr_auc": 0.1}, Verdict.INSUFFICIENT_DATA, "labels cover 50% of the events"),
        ({"labelled": 5_000, "pr_auc": 0.1}, Verdict.QUALITY_LOSS, "PR-AUC 0.1000"),
        ({"positives": 9_000, "pr_auc": None}, Verdict.INSUFFICIENT_DATA, "no event is known to be good"),
    ],
)
def test_a_week_is_judged_by_what_is_known_of_it(changes, verdict, words):
    judged = judge(week(**changes), BASIS)
    assert judged.verdict is verdict
    assert words in judged.reason


def test_the_limit_is_the_lower_of_three_deviations_and_fifteen_per_cent():
    assert limit(BASIS, 400) == pytest.approx(0.85 * 0.4)
    noisy = Basis(0.4, 0.03, 400)
    assert limit(noisy, 400) == pytest.approx(0.4 - 3 * 0.03 * 2**0.5)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_fewer_positives_never_raise_the_limit(one, other):
    assert limit(BASIS, min(one, other)) <= limit(BASIS, max(one, other))


# --- the figure


def scores_and_labels(rng, rows, share):
    labels = (rng.random(rows) < share).astype(np.int8)
    return np.round(rng.normal(labels, 1.0), 2), labels


def test_at_its_own_base_rate_it_is_the_plain_figure():
    scores, labels = scores_and_labels(np.random.default_rng(1), 3_000, 0.1)
    counts = Ranking(labels, scores).counts()
    assert counts.pr_auc_at(labels.mean()) == pytest.approx(float(counts.pr_auc()))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1_000), st.floats(0.01, 0.9))
def test_at_another_base_rate_it_is_scikit_learns_with_weights(seed, base):
    scores, labels = scores_and_labels(np.random.default_rng(seed), 400, 0.2)
    positives, negatives = labels.sum(), (1 - labels).sum()
    weights = np.where(labels == 1, 1.0, positives * (1 - base) / (negatives * base))
    expected = average_precision_score(labels, scores, sample_weight=weights)
    assert float(Ranking(labels, scores).counts().pr_auc_at(base)) == pytest.approx(expected)


def test_labels_of_one_class_that_come_late_move_the_plain_figure_and_not_the_judged_one():
    rng = np.random.default_rng(2)
    scores, labels = scores_and_labels(rng, 200_000, 0.05)
    known = (labels == 1) | (rng.random(len(labels)) < 0.2)
    whole, part = Ranking(labels, scores).counts(), Ranking(labels[known], scores[known]).counts()
    assert float(part.pr_auc()) > float(whole.pr_auc()) + 0.1
    assert float(part.pr_auc_at(0.05)) == pytest.approx(float(whole.pr_auc_at(0.05)), abs=0.01)


def test_without_negatives_there_is_no_figure():
    assert np.isnan(Ranking(np.ones(3, dtype=np.int8), np.array([0.1, 0.2, 0.3])).counts().pr_auc_at(0.5))


# --- delays


def test_when_all_labels_are_there_the_shares_are_plain_ones():
    found = delays([Waited(1, 10, 20), Waited(0, 30, 160), Waited(None, 200, 120)])
    assert found.watched_hours == 201
    assert found.quantiles == ((0.5, 31), (0.9, None), (0.99, None))
    day, three_days, _ = found.by_age
    assert (day.share, day.positives_among) == (pytest.approx(20 / 300), 1.0)
    assert (three_days.share, three_days.positives_among) == (pytest.approx(180 / 300), pytest.approx(20 / 180))


def test_events_that_are_young_do_not_make_labels_look_fast():
    """Labels take 1 to 100 hours, evenly; half of the events are watched for 50 hours only."""
    rng = np.random.default_rng(3)
    delay, watched = rng.integers(0, 100, 20_000), np.repeat([49, 149], 10_000)
    waited = [
        Waited(0, int(wait), 1) if wait <= age else Waited(None, int(age), 1)
        for wait, age in zip(delay, watched, strict=True)
    ]
    found = delays(waited)
    known = [each.hours for each in waited if each.label is not None]
    assert np.median(known) < 40
    assert dict(found.quantiles)[0.5] == pytest.approx(50, abs=2)
    assert dict(found.quantiles)[0.9] == pytest.approx(90, abs=2)


def test_of_ages_that_too_few_have_reached_nothing_is_said():
    found = delays([Waited(0, 5, 1_000), Waited(None, 300, FEWEST - 1)])
    assert found.watched_hours == 6
    assert found.by_age == ()
    assert delays([]).watched_hours == 0


waits = st.lists(
    st.builds(Waited, st.sampled_from([0, 1, None]), st.integers(0, 400), st.integers(1, 500)), max_size=40
)


@given(waits)
def test_shares_are_shares_and_never_fall(waited):
    found = delays(waited)
    shares = [(each.positive, each.negative) for each in found.by_age]
    assert all(0 <= one <= 1 and 0 <= other <= 1 and one + other <= 1 + 1e-9 for one, other in shares)
    assert all(b[0] >= a[0] - 1e-12 and b[1] >= a[1] - 1e-12 for a, b in pairwise(shares))
    hours = [hours for _, hours in found.quantiles if hours is not None]
    assert hours == sorted(hours)
