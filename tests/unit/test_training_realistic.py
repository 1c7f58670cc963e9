"""The recipe `realistic`, at 100,000 events of one seed: bounds are wide enough to survive another one."""

from datetime import UTC, datetime, timedelta

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn.metrics import average_precision_score

from bentos.risk_scorer.events import Pseudonym
from training import baseline, datasets, splits, synthesize, velocity
from training.recipes.parameters import CHANNELS, NEW_CHANNEL, Customers, Labels, Missing, Realistic
from training.recipes.realistic import COLUMNS
from training.synthesize import Drift, DriftKind

END = datetime(2026, 11, 1, tzinfo=UTC)
STARTS = datetime(2026, 10, 11, tzinfo=UTC)


@pytest.fixture(scope="module")
def events():
    return synthesize.realistic(100_000, 7, END)


@pytest.fixture(scope="module")
def shifted():
    """The same events with each kind of drift from the middle of the window on."""
    return {kind: synthesize.realistic(100_000, 7, END, drift=Drift(kind, STARTS)) for kind in DriftKind}


def before(frame):
    return frame[frame["occurred_at"] < STARTS]


def after(frame):
    return frame[frame["occurred_at"] >= STARTS]


def grown(matrix, labels):
    """Plain LightGBM: what the data hold, not what our training makes of it."""
    options = {"objective": "binary", "learning_rate": 0.05, "num_threads": 2, "deterministic": True, "verbosity": -1}
    return lgb.train(options, lgb.Dataset(matrix, labels), 80)


# --- the table


def test_it_is_the_default_and_has_its_columns(events):
    assert synthesize.DEFAULT == next(iter(synthesize.RECIPES)) == "realistic"
    assert tuple(events.columns) == COLUMNS
    assert len(events) == 100_000


def test_the_same_arguments_give_the_same_table_and_another_seed_does_not(events):
    pd.testing.assert_frame_equal(events, synthesize.realistic(100_000, 7, END))
    assert (events["amount"] != synthesize.realistic(100_000, 8, END)["amount"]).mean() > 0.9


def test_times_lie_in_order_in_the_days_asked_for_and_agree_with_the_hour():
    end = datetime(2026, 11, 1, 7, 30, tzinfo=UTC)
    events = synthesize.realistic(5_000, 1, end, 3)
    times = events["occurred_at"]
    assert times.is_monotonic_increasing
    assert end - timedelta(days=3) <= times.min() < times.max() < end
    assert (times.dt.hour == events["hour"]).all()


def test_every_identifier_is_one_that_an_event_may_carry(events):
    TypeAdapter(list[Pseudonym]).validate_python([*events["event_id"], *events["entity_id"].unique()])
    assert events["event_id"].is_unique


@pytest.mark.parametrize("rows", [1, 2, 60])
def test_small_tables_have_as_many_rows_as_asked_for(rows):
    assert len(synthesize.realistic(rows, 1, END, 1)) == rows


def test_every_value_is_one_that_an_event_may_carry(events):
    assert len(datasets.from_frame(events)) == len(events)


@pytest.mark.parametrize(
    ("rows", "days", "end", "words"),
    [(0, 1, END, "rows"), (1, 0, END, "days"), (1, 1, END.replace(tzinfo=None), "offset")],
)
def test_nothing_to_make_is_refused(rows, days, end, words):
    with pytest.raises(ValueError, match=words):
        synthesize.realistic(rows, 1, end, days)


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="fraud_share"):
        Realistic(fraud_share=1.0)
    with pytest.raises(ValueError, match="sum to 1"):
        Realistic(patterns=Realistic().patterns[:2])


# --- customers


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_velocity_is_the_brute_force_count(drawn, seconds):
    entities = np.array([entity for entity, _ in drawn])
    at = np.array([second for _, second in drawn])
    counted = [
        sum(one == other and then - seconds <= past < then for other, past in drawn)
        for one, then in zip(entities, at, strict=True)
    ]
    found = velocity.counts(entities, at.astype("datetime64[s]"), np.timedelta64(seconds, "s"))
    assert found.tolist() == counted


def test_velocity_is_counted_from_the_events_of_the_table():
    bare = Realistic(missing=Missing(velocity_5m=0.0))
    events = synthesize.realistic(3_000, 3, END, 5, settings=bare)
    times = events["occurred_at"]
    for row in range(0, len(events), 7):
        past = (times < times[row]) & (times >= times[row] - timedelta(minutes=5))
        assert events["velocity_5m"][row] == (past & (events["entity_id"] == events["entity_id"][row])).sum()
    assert events["velocity_5m"].max() >= 3


def test_amounts_are_heavy_tailed_around_a_scale_that_is_the_customers_own(events):
    fine = events[events["label"] == 0]
    logs = np.log(fine["amount"].dropna())
    assert fine["amount"].mean() > 1.5 * fine["amount"].median()  # log-normal with sigma 1.1: 1.8
    assert abs(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3) < 0.3  # a normal logarithm has no skew
    known = fine.dropna(subset="amount")
    within = np.log(known["amount"]).groupby(known["entity_id"]).std().median()
    assert within < 0.92 * logs.std()  # drawn without a scale of one's own it would be about the same


def test_ages_grow_by_a_day_a_day(events):
    known = events.dropna(subset="account_age_days")
    opened = known["occurred_at"] - pd.to_timedelta(known["account_age_days"], unit="D")
    spread = opened.groupby(known["entity_id"]).agg(lambda times: times.max() - times.min())
    assert spread.max() < timedelta(days=1)  # ages are whole days, rounded down
    assert events["account_age_days"].min() == 0


def test_traffic_has_the_rhythm_of_its_day_and_week(events):
    weights = np.array(Customers().hour_weights)
    shares = events["hour"].value_counts(normalize=True).sort_index().to_numpy()
    assert np.corrcoef(shares, weights)[0, 1] > 0.95
    daily = events.groupby(events["occurred_at"].dt.dayofweek).size()
    assert (
        np.corrcoef(daily, Customers().weekday_weights)[0, 1] > 0.9
    )  # a day's noise is 5 %, and there are six of each


def test_customers_have_hours_and_channels_of_their_own(events):
    busy = events.groupby("entity_id").filter(lambda rows: len(rows) >= 40)
    hours = busy.groupby("entity_id")["hour"].mean()
    assert hours.std() > 1.2  # without habits, 40 draws from one profile: a standard error of 5.6 / sqrt(40) = .9
    top = busy.groupby("entity_id")["channel"].agg(lambda used: used.value_counts(normalize=True).iloc[0])
    assert top.quantile(0.75) > 0.6  # of the whole traffic the first channel has .37


def test_values_are_missing_at_random_and_for_a_reason(events):
    shares = events.isna().mean()
    assert shares["channel"] == pytest.approx(0.01, abs=0.003)
    assert shares["amount"] == pytest.approx(0.001, abs=0.0008)
    assert shares[["event_id", "entity_id", "occurred_at", "hour", "label"]].max() == 0
    by_label = events["device_risk"].isna().groupby(events["label"]).mean()
    assert by_label[1] > 3 * by_label[0]
    guests = events.groupby("entity_id")["account_age_days"].agg(lambda ages: ages.isna().all())
    assert 0.02 < guests.mean() < 0.09


# --- fraud


def test_one_to_three_percent_are_positive():
    shares = [synthesize.realistic(30_000, seed, END)["label"].mean() for seed in range(3)]
    assert all(0.01 < share < 0.03 for share in shares)


def test_fraud_comes_in_bursts_by_night_on_other_devices_and_channels(events):
    fraud, fine = events[events["label"] == 1], events[events["label"] == 0]
    assert (fraud["velocity_5m"] >= 3).mean() > 5 * (fine["velocity_5m"] >= 3).mean()
    assert (fraud["hour"] < 5).mean() > 2 * (fine["hour"] < 5).mean()
    assert (fraud["device_risk"] > 0).mean() > 8 * (fine["device_risk"] > 0).mean()
    assert (fraud["channel"] == "transfer").mean() > 2 * (fine["channel"] == "transfer").mean()
    assert (fraud["account_age_days"] < 14).mean() > 3 * (fine["account_age_days"] < 14).mean()


def test_most_that_is_fast_or_new_is_honest(events):
    assert events.loc[events["velocity_5m"] >= 3, "label"].mean() < 0.5
    assert events.loc[events["account_age_days"] < 14, "label"].mean() < 0.5
    assert events.loc[events["device_risk"] == 1, "label"].mean() < 0.5


def test_without_fraud_only_mistakes_are_positive():
    honest = synthesize.realistic(30_000, 1, END, settings=Realistic(fraud_share=0.0))
    assert 0 < honest["label"].mean() < 0.004


def test_trees_find_what_a_sum_of_effects_misses(events):
    """PR-AUC between .3 and .7, as in published card data, and trees .08 or more above logistic regression."""
    data = datasets.from_frame(events)
    parts = splits.three_parts(data, 0)
    train, test = parts.train.matrix(), parts.test.matrix()
    trees = average_precision_score(parts.test.labels, grown(train, parts.train.labels).predict(test))
    line = baseline.fit(train, parts.train.labels)
    straight = average_precision_score(parts.test.labels, baseline.log_odds(line, test))
    assert 0.3 < trees < 0.7
    assert trees > straight + 0.08


# --- labels


def test_labels_are_known_after_the_event(events):
    late = events["label_known_at"] - events["occurred_at"]
    assert late.min() > timedelta(0)
    assert late.max() <= timedelta(days=Labels().most_days)
    assert events["label_known_at"].notna().all()


def test_a_review_is_fast_a_report_takes_days_and_silence_counts_after_three(events):
    late = (events["label_known_at"] - events["occurred_at"]) / timedelta(days=1)
    reviewed = events["reviewed"] == 1
    assert late[reviewed].median() == pytest.approx(0.25, rel=0.15)
    assert late[~reviewed & (events["label"] == 1)].median() == pytest.approx(2.0, rel=0.15)
    assert late[~reviewed & (events["label"] == 0)].to_numpy() == pytest.approx(3.0)


def test_people_review_little_and_find_much_of_the_fraud(events):
    reviewed = events["reviewed"] == 1
    assert 0.005 < reviewed.mean() < 0.05
    assert events.loc[reviewed, "label"].mean() > 10 * events.loc[~reviewed, "label"].mean()
    assert set(events["reviewed"]) == {0, 1}


def test_labels_are_noisy_by_as_much_as_said():
    """Honest payments that are disputed, and frauds that nobody reports: the rest of the truth is kept."""
    quiet = Labels(random_review_share=0.0, review_most=0.0)
    silent = synthesize.realistic(60_000, 2, END, settings=Realistic(labels=quiet))
    sure = Labels(random_review_share=0.0, review_most=0.0, unreported_share=0.0, false_report_share=0.0)
    truth = synthesize.realistic(60_000, 2, END, settings=Realistic(labels=sure))
    assert truth["label"].mean() == pytest.approx(0.018)
    kept = silent.loc[truth["label"] == 1, "label"].mean()
    disputed = silent.loc[truth["label"] == 0, "label"].mean()
    assert kept == pytest.approx(0.88, abs=0.04)  # 1,080 frauds: a standard error of .01
    assert disputed == pytest.approx(0.0006, abs=0.0004)  # 58,920 honest ones: .0001


# --- drift


@pytest.mark.parametrize("kind", list(DriftKind))
def test_before_its_day_drift_changes_nothing_and_after_it_something(events, shifted, kind):
    pd.testing.assert_frame_equal(before(shifted[kind]), before(events))
    assert len(after(events)) == len(after(shifted[kind])) > 0
    assert not after(events).reset_index(drop=True).equals(after(shifted[kind]).reset_index(drop=True))


def test_amounts_grow_by_the_factor(events, shifted):
    ratio = after(shifted[DriftKind.AMOUNT])["amount"] / after(events)["amount"]
    assert ratio.median() == pytest.approx(1.5, rel=0.01)  # amounts are rounded to cents


def test_a_share_of_the_device_risk_goes_missing(events, shifted):
    was, now = (after(frame)["device_risk"].isna().mean() for frame in (events, shifted[DriftKind.MISSING]))
    assert now - was == pytest.approx(0.2, abs=0.01)


def test_known_devices_seem_new(events, shifted):
    was, now = ((after(frame)["device_risk"] == 1).mean() for frame in (events, shifted[DriftKind.DEVICE]))
    assert now - was == pytest.approx(0.25 * (after(events)["device_risk"] == 0).mean(), abs=0.01)


def test_a_channel_comes_that_the_data_never_had(events, shifted):
    assert NEW_CHANNEL in CHANNELS
    assert NEW_CHANNEL not in set(events["channel"])
    online = (after(events)["channel"] == "online").mean()
    assert (after(shifted[DriftKind.CATEGORY])["channel"] == NEW_CHANNEL).mean() == pytest.approx(
        0.4 * online, abs=0.01
    )


def test_a_new_concept_defeats_the_model_while_the_fields_look_the_same(events, shifted):
    moved = shifted[DriftKind.CONCEPT]
    for name in ("device_risk", "channel", "hour", "velocity_5m"):
        was, now = (after(frame)[name].value_counts(normalize=True) for frame in (events, moved))
        assert was.sub(now, fill_value=0).abs().max() < 0.02
    old = datasets.from_frame(before(events))
    model = grown(old.matrix(), old.labels)
    was, now = (
        average_precision_score(data.labels, model.predict(data.matrix()))
        for data in map(datasets.from_frame, (after(events), after(moved)))
    )
    assert now < 0.6 * was


def test_a_strength_may_be_chosen():
    more = synthesize.realistic(2_000, 1, END, drift=Drift(DriftKind.AMOUNT, STARTS, 3.0))
    base = synthesize.realistic(2_000, 1, END)
    assert (after(more)["amount"] / after(base)["amount"]).median() == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize(("kind", "strength"), [("missing", 1.5), ("amount", 0.0), ("concept", -0.1)])
def test_a_strength_that_is_none_is_refused(kind, strength):
    with pytest.raises(ValueError, match=f"drift {kind}"):
        Drift(DriftKind(kind), STARTS, strength)


@pytest.mark.parametrize("starts", [END, END - timedelta(days=43), STARTS.replace(tzinfo=None)])
def test_a_drift_outside_of_the_window_is_refused(starts):
    with pytest.raises(ValueError, match=r"not in the 42 days|needs an offset"):
        synthesize.realistic(100, 1, END, drift=Drift(DriftKind.AMOUNT, starts))
