import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.risk_scorer.reference import BINS, ReferenceField, category_counts, number_counts, number_edges

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=200)


@given(numbers)
def test_every_value_is_in_one_bin_or_missing(values: list[float]) -> None:
    array = np.array(values)
    edges = number_edges(array)
    counts, missing = number_counts(array, edges)
    assert sum(counts) + missing == len(values)
    assert len(counts) == len(edges) + 1 <= BINS


def test_a_value_on_an_edge_is_in_the_bin_above() -> None:
    assert number_counts(np.array([1.0, 2.0, 3.0]), (2.0,)) == ((1, 2), 0)


def test_few_values_have_a_bin_each() -> None:
    assert number_edges(np.array([0.0, 1, 2, 1, 0, np.nan])) == (1.0, 2.0)


def test_many_values_are_cut_at_their_deciles() -> None:
    counts, _ = number_counts(np.arange(1000.0), number_edges(np.arange(1000.0)))
    assert len(counts) == BINS
    assert max(counts) - min(counts) <= 2


def test_unseen_categories_are_neither_counted_nor_missing() -> None:
    assert category_counts(["a", "b", "a", None, float("nan"), "z"], ("a", "b")) == ((2, 1), 2)


def test_counts_that_do_not_fit_the_bins_are_refused() -> None:
    with pytest.raises(ValidationError, match="each day needs 2 counts"):
        ReferenceField(kind="number", edges=(1.0,), daily=((1, 2, 3),), missing=(0,))
