"""Monotone constraints, the search for hyper-parameters, and slices that follow the event's own declaration."""

from datetime import UTC, datetime

import numpy as np
import pytest

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.features import COLUMNS
from monitoring import slices
from training import booster, datasets, evaluate, monotone, search, synthesize
from training.booster import Rows, TreeOptions
from training.errors import DataError

END = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def dataset():
    """Events whose risk rises and falls with the amount, so that an unbound model is not monotone."""
    frame = synthesize.plain(6_000, 3, END)
    rng = np.random.default_rng(0)
    risky = (frame["amount"] < 10) | (frame["amount"] > 120)
    return datasets.from_frame(frame.assign(label=(rng.random(len(frame)) < np.where(risky, 0.4, 0.05)).astype(int)))


def falls(dataset, directions):
    """Along how many steps of the amount the score falls, over events that differ in nothing else."""
    text = booster.fit(Rows(dataset.matrix(), dataset.labels), TreeOptions(trees=80, monotone=directions))
    steps = 0
    for row in range(30):
        frame = dataset.frame.iloc[[row]].loc[lambda rows: rows.index.repeat(60)]
        walk = datasets.Dataset(frame.assign(amount=np.geomspace(0.5, 2_000, 60)))
        steps += int((np.diff(booster.raw_scores(text, walk.matrix())) < 0).sum())
    return steps


def test_a_bound_model_is_monotone_and_an_unbound_one_is_not(dataset):
    assert falls(dataset, ()) > 0
    assert falls(dataset, (("amount", 1),)) == 0


def test_a_computed_column_is_bound_with_its_field():
    signs = dict(zip(COLUMNS, monotone.column_constraints((("amount", 1),)), strict=True))
    assert (signs["amount"], signs["amount_x_velocity"], signs["velocity_5m"]) == (1, 1, 0)
    falling = dict(zip(COLUMNS, monotone.column_constraints((("velocity_5m", -1),)), strict=True))
    assert (falling["velocity_5m"], falling["amount_x_velocity"]) == (-1, -1)


def test_directions_that_contradict_each_other_are_refused():
    with pytest.raises(DataError, match="amount_x_velocity follows it both ways, or is bound the other way"):
        monotone.column_constraints((("amount", 1), ("velocity_5m", -1)))


def test_directions_are_read_and_sorted():
    assert monotone.parse("velocity_5m=+1, account_age_days=-1") == (("account_age_days", -1), ("velocity_5m", 1))
    assert monotone.parse("") == ()


@pytest.mark.parametrize("text", ["amount", "amount=2", "amount=+1,amount=-1", "channel=+1", "shoe_size=+1"])
def test_what_is_no_direction_is_refused(text):
    with pytest.raises(DataError, match=r"no direction|no number of the event"):
        monotone.parse(text)


# --- search


def test_a_search_keeps_to_its_budget_begins_with_the_defaults_and_is_deterministic(dataset):
    rows, options = Rows(dataset.matrix(), dataset.labels), TreeOptions(trees=60)
    found, tried = search.best(rows, options, 4)
    assert len(tried) == 4
    assert (tried[0].leaves, tried[0].learning_rate) == (options.leaves, options.learning_rate)
    assert min(each.log_loss for each in tried) < tried[0].log_loss  # 31 leaves are too many for this data
    assert booster.held_out(rows, found)[1] == pytest.approx(min(each.log_loss for each in tried), abs=1e-8)
    assert search.best(rows, options, 4) == (found, tried)


def test_candidates_are_never_tried_twice():
    found = search.candidates(TreeOptions(seed=1), 50)
    assert len(set(found)) == len(found) == 50


# --- slices


def test_every_field_of_the_event_has_slices_and_every_row_is_in_one(dataset):
    known = np.arange(len(dataset)) % 2 == 0
    found = {each.field: each for each in slices.dimensions(evaluate.columns(dataset), known)}
    assert set(found) == {field.name for field in FEATURES} | {"missing values", "entity"}
    for each in found.values():
        assert each.place.min() >= 0
        assert each.place.max() < len(each.bands)
        assert len(set(each.bands)) == len(each.bands)


def test_bands_are_what_their_names_say(dataset):
    found = {each.field: each for each in slices.dimensions(evaluate.columns(dataset))}
    assert found["hour"].bands == ("0-5", "6-11", "12-17", "18-23")
    assert found["device_risk"].bands == ("0", "1", "2")
    for number, band in enumerate(found["hour"].bands):
        low, high = (int(part) for part in band.split("-"))
        inside = dataset.frame["hour"].between(low, high).to_numpy()
        assert (inside == (found["hour"].place == number)).all()
    amounts = dataset.frame["amount"].to_numpy()
    edges = [float(band.split(" to ")[0]) for band in found["amount"].bands[1:-1]]
    assert (found["amount"].place[amounts < edges[0]] == 0).all()
    assert found["amount"].bands[0] == f"below {edges[0]:g}"
    assert found["channel"].bands[-1] == "missing"
    missing = dataset.frame["channel"].isna().to_numpy()
    assert (missing == (found["channel"].place == len(found["channel"].bands) - 1)).all()


def test_a_field_that_is_missing_everywhere_has_one_slice(dataset):
    bare = datasets.from_frame(dataset.frame.assign(account_age_days=np.nan))
    found = {each.field: each for each in slices.dimensions(evaluate.columns(bare))}["account_age_days"]
    assert [found.bands[place] for place in np.unique(found.place)] == ["missing"]
