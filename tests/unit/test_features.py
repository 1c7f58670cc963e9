import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.risk_scorer.events import FEATURES, Event
from bentos.risk_scorer.features import CATEGORICAL, COLUMNS, matrix, row


def values(field) -> st.SearchStrategy[object]:
    if field.kind == "category":
        known = st.sampled_from(field.categories)
    elif field.kind == "integer":
        known = st.integers(int(field.low), int(field.high))
    else:
        known = st.floats(field.low, field.high, allow_nan=False)
    return st.none() | known


events = st.fixed_dictionaries({field.name: values(field) for field in FEATURES})


@given(st.lists(events, min_size=1, max_size=20))
def test_one_event_and_many_give_the_same_bits(batch: list[dict[str, object]]) -> None:
    """The whole event space, missing values included: training and serving see one matrix."""
    columns = {field.name: np.array([each[field.name] for each in batch], dtype=object) for field in FEATURES}
    singly = np.array([row(Event.model_validate(each)) for each in batch])
    assert matrix(columns).tobytes() == singly.tobytes()


def test_the_columns_begin_with_the_fields() -> None:
    assert COLUMNS[: len(FEATURES)] == tuple(field.name for field in FEATURES)
    assert set(CATEGORICAL) == {field.name for field in FEATURES if field.kind == "category"}


def test_a_feature_that_is_not_given_is_missing_in_every_row() -> None:
    made = matrix({"amount": [1.0, 2.0]})
    assert made.shape == (2, len(COLUMNS))
    assert np.isnan(made[:, COLUMNS.index("hour")]).all()


def test_a_missing_input_makes_its_derived_column_missing() -> None:
    made = matrix({"amount": [2.0, None], "velocity_5m": [3, 3]})
    assert made[0, COLUMNS.index("amount_x_velocity")] == 6
    assert np.isnan(made[1, COLUMNS.index("amount_x_velocity")])


def test_an_unknown_category_is_named() -> None:
    with pytest.raises(ValueError, match="channel: unknown category 'pigeon'"):
        matrix({"channel": np.array(["online", "pigeon"], dtype=object)})


def test_no_feature_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of the features"):
        matrix({"colour": [1]})
