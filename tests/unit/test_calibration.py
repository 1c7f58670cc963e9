import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.risk_scorer.calibration import Calibration

finite = st.floats(-50, 50, allow_nan=False)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    raw = sorted(draw(st.sets(finite.map(lambda value: round(value, 6)), min_size=2, max_size=12)))
    probability = sorted(draw(st.lists(st.floats(0, 1), min_size=len(raw), max_size=len(raw))))
    return Calibration(raw=tuple(raw), probability=tuple(probability))


@given(calibrations(), st.lists(finite, min_size=1, max_size=50))
def test_one_and_many_agree_to_the_last_bit(calibration: Calibration, raw: list[float]) -> None:
    raw += calibration.raw
    assert [calibration.one(value) for value in raw] == calibration.many(np.array(raw)).tolist()


@given(calibrations(), finite, finite)
def test_a_higher_raw_value_never_has_a_lower_probability(calibration: Calibration, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= calibration.one(low) <= calibration.one(high) <= 1


@given(calibrations())
def test_it_goes_through_its_knots(calibration: Calibration) -> None:
    assert [calibration.one(raw) for raw in calibration.raw] == list(calibration.probability)


@pytest.mark.parametrize(
    ("raw", "probability", "problem"),
    [
        ((0.0,), (0.5,), "two knots"),
        ((0.0, 1.0), (0.5,), "one probability for each"),
        ((1.0, 1.0), (0.1, 0.2), "increase strictly"),
        ((0.0, 1.0), (0.2, 0.1), "may not decrease"),
        ((0.0, 1.0), (0.2, 1.1), "within 0 and 1"),
        ((0.0, float("nan")), (0.2, 0.3), "finite"),
        ((0.0, 5e-324), (0.2, 0.3), "too close"),
    ],
)
def test_a_calibration_that_is_none_is_refused(
    raw: tuple[float, ...], probability: tuple[float, ...], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        Calibration(raw=raw, probability=probability)
