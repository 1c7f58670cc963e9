import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import calibrate

rows = st.lists(st.tuples(st.floats(-50, 50, allow_nan=False), st.integers(0, 1)), min_size=1, max_size=80).map(
    lambda pairs: (np.array([raw for raw, _ in pairs]), np.array([label for _, label in pairs], dtype=np.int8))
)


@given(rows)
def test_probabilities_rise_with_the_raw_value_and_are_never_certain(sample):
    raw, labels = sample
    calibration = calibrate.fit(raw, labels)
    grid = np.linspace(-60, 60, 301)
    scores = calibration.many(grid)
    assert (np.diff(scores) >= 0).all()
    assert 0 < scores[0] <= scores[-1] < 1
    assert scores.tolist() == [calibration.one(value) for value in grid.tolist()]


@given(rows, st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(sample, seed):
    raw, labels = sample
    order = np.random.default_rng(seed).permutation(len(raw))
    one, other = calibrate.fit(raw, labels), calibrate.fit(raw[order], labels[order])
    assert one.raw == pytest.approx(other.raw)
    assert one.probability == pytest.approx(other.probability)


def test_blocks_by_hand():
    # Pool-adjacent-violators: {0, 1} all negative; {2, 3, 4}: 1, 0, 0 pooled to 1/3; {5}: 1/2; {6, 7} all 1.
    raw = np.array([0, 1, 2, 3, 4, 5, 5, 6, 7], dtype=float)
    labels = np.array([0, 0, 1, 0, 0, 0, 1, 1, 1], dtype=np.int8)
    calibration = calibrate.fit(raw, labels)
    assert calibration.raw == (0.0, 1.0, 3.0, 5.0, 6.0, 7.0)
    # The ends: distance 1 / (2 + 2), at most half way (1/6 below 1/3), and half of that at the outer edge.
    assert calibration.probability == pytest.approx((1 / 12, 1 / 6, 1 / 3, 1 / 2, 3 / 4, 7 / 8))


def test_known_probabilities_are_recovered():
    rng = np.random.default_rng(0)
    raw = rng.normal(-1, 2, 40_000)
    truth = 1 / (1 + np.exp(-0.5 * raw - 1))
    calibration = calibrate.fit(raw, (rng.random(len(raw)) < truth).astype(np.int8))
    assert np.abs(calibration.many(raw) - truth).mean() < 0.01


@pytest.mark.parametrize(("labels", "probability"), [([0, 0, 0], 1 / 5), ([1, 1, 1], 4 / 5), ([1, 0, 0], 1 / 3)])
def test_a_raw_value_that_says_nothing_gives_one_probability(labels, probability):
    calibration = calibrate.fit(np.array([1.0, 2.0, 3.0]), np.array(labels, dtype=np.int8))
    assert calibration.probability == pytest.approx((probability, probability))
    assert calibration.one(-9) == calibration.one(9)
