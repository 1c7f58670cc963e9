"""Numbers are said so that they can't be misread; times are cut so that they can be drawn."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import captions, report, store


def said(text):
    return text.replace(captions.SPACE, " ")


@pytest.mark.parametrize(
    ("part", "words"),
    [(0, "0 %"), (1, "100 %"), (0.25, "25.0 %"), (0.0033, "0.33 %"), (0.00001, "0.001 %"), (0.9999, "almost 100 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part, words):
    assert said(captions.share(part)) == words


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_between_is_said_to_be_between(part):
    assert said(captions.share(part)) not in ("0 %", "100 %", "0.0 %", "100.0 %")


@pytest.mark.parametrize(
    ("microseconds", "words"), [(950, "0.95 ms"), (12_345.6, "12.3 ms"), (999_499, "999 ms"), (2_500_000, "2.5 s")]
)
def test_latencies_have_three_digits_and_a_unit(microseconds, words):
    assert said(captions.milliseconds(microseconds)) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0.0123, "+0.0123"), (-0.5, "\N{MINUS SIGN}0.5"), (0.0, "0"), (-0.0, "0")]
)
def test_differences_carry_their_sign(number, words):
    assert captions.signed(number) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.4321, "0.432"), (0.9994, "0.999"), (0.999999, "above 0.999"), (1.0, "1.000")]
)
def test_an_area_below_one_is_not_said_to_be_one(value, words):
    assert captions.area(value) == words


def test_lists_and_plurals_read_as_sentences():
    assert captions.listed(["a"]) == "a"
    assert captions.listed(["a", "b", "c"]) == "a, b and c"
    assert captions.plural(1, "check") == "1 check"
    assert captions.plural(1200, "entity", "entities") == "1,200 entities"
    assert captions.capital("") == ""


@given(st.timedeltas(timedelta(0), timedelta(days=100)))
def test_a_timeline_has_few_enough_intervals(lasted):
    step = report.timeline_step(lasted)
    assert lasted / step <= 120
    assert step == timedelta(seconds=1) or lasted / step >= 120 / 6


def pairs(low, high):
    return store.Pairs(pairs=2, mean=0, sd=0, low=low, p05=low, p50=0, p95=high, high=high, flips=0)


@given(st.floats(-1, 0), st.floats(0, 1))
def test_the_bins_of_differences_lie_around_zero_and_hold_every_difference(low, high):
    edges = report.difference_edges(pairs(low, high))
    assert edges[0] <= low <= high <= edges[-1]
    assert edges[0] == -edges[-1]
    assert edges == sorted(edges)
    middle = len(edges) // 2
    assert edges[middle - 1] < 0 < edges[middle]


def labelled(scores, labels):
    return store.Labelled(np.array(scores, np.float64), np.array(labels, np.int8))


def test_a_perfect_ranking_has_the_whole_area_and_a_reversed_one_little():
    perfect = report.quality(labelled([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]))
    assert perfect.pr_auc == 1
    assert all(point.precision == 1 for point in perfect.curve if point.recall > 0)
    reversed_ = report.quality(labelled([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]))
    assert reversed_.pr_auc == pytest.approx((1 / 3 + 2 / 4) / 2)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_has_no_area(labels):
    assert report.quality(labelled([0.1, 0.2], labels)) == report.Quality(pr_auc=None, curve=())


def test_a_curve_is_thinned_but_keeps_its_ends():
    generator = np.random.default_rng(1)
    curve = report.quality(labelled(generator.random(5000), generator.random(5000) < 0.1)).curve
    assert len(curve) <= 200
    assert (curve[0].recall, curve[-1].recall) == (1, 0)
    precisions = [point.precision for point in curve]
    assert precisions == sorted(precisions), "the best precision at a recall or higher can't fall with the recall"
