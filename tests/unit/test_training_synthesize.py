from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from bentos.risk_scorer.events import Pseudonym
from training import datasets, synthesize

END = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def events():
    return synthesize.plain(20_000, 7, END)


def test_the_label_is_one_where_two_conditions_hold(events):
    holding = (
        (events["amount"] > 200).astype(int)
        + (events["device_risk"] == 2)
        + (events["velocity_5m"] >= 6)
        + (events["hour"] <= 3)
    )
    assert (events["label"] == (holding >= 2)).all()
    assert 0 < events["label"].mean() < 1


def test_fields_have_the_recipes_distributions(events):
    assert events["amount"].mean() == pytest.approx(50, rel=0.05)
    assert (events["amount"].round(2) == events["amount"]).all()
    for name, values in (("hour", 24), ("device_risk", 3), ("velocity_5m", 11)):
        shares = events[name].value_counts(normalize=True).sort_index()
        assert shares.index.tolist() == list(range(values))
        assert shares.to_numpy() == pytest.approx(1 / values, rel=0.15)


def test_times_are_sorted_inside_the_days_asked_for_and_agree_with_the_hour():
    events = synthesize.plain(5_000, 1, END, days=3)
    times = events["occurred_at"]
    assert times.is_monotonic_increasing
    assert times.min() >= END - timedelta(days=3)
    assert times.max() < END
    assert (times.dt.hour == events["hour"]).all()


def test_the_same_arguments_give_the_same_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2), ("a.parquet", 1), ("b.parquet", 1)):
        datasets.write(synthesize.plain(500, seed, END), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_an_end_in_another_offset_is_the_same_moment():
    there = END.astimezone(timezone(timedelta(hours=5)))
    pd.testing.assert_frame_equal(synthesize.plain(100, 1, END), synthesize.plain(100, 1, there))


def test_account_age_and_channel_carry_signal_and_are_sometimes_missing(events):
    fraud, fine = events[events["label"] == 1], events[events["label"] == 0]
    assert fraud["account_age_days"].median() < fine["account_age_days"].median() / 2
    by_channel = events.groupby("channel")["label"].mean()
    assert by_channel["transfer"] > 2 * by_channel["in_store"]
    for name in ("account_age_days", "channel"):
        assert events[name].isna().mean() == pytest.approx(0.03, abs=0.01)


def test_few_entities_make_much_of_the_traffic(events):
    counts = events["entity_id"].value_counts()
    assert counts.iloc[: len(counts) // 10].sum() > 0.35 * len(events)


def test_every_identifier_is_one_that_an_event_may_carry(events):
    TypeAdapter(list[Pseudonym]).validate_python([*events["event_id"], *events["entity_id"]])
    assert events["event_id"].is_unique


@pytest.mark.parametrize(("rows", "days"), [(0, 1), (1, 0)])
def test_nothing_to_make_is_refused(rows, days):
    with pytest.raises(ValueError, match="at least 1"):
        synthesize.plain(rows, 1, END, days)


def test_an_end_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="offset"):
        synthesize.plain(1, 1, END.replace(tzinfo=None))


def test_what_is_written_reads_back_as_the_same_data(tmp_path, events):
    fingerprints = {datasets.from_frame(events).fingerprint()}
    for name in ("a.csv", "a.parquet"):
        datasets.write(events, tmp_path / name)
        fingerprints.add(datasets.read(tmp_path / name).fingerprint())
    assert len(fingerprints) == 1
    assert not np.isnan(events["amount"]).any()
