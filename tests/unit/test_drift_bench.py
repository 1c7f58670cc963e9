"""The drift bench: that its streams are what they claim, that it measures right, and that an idle rule is found out."""

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import distance

from bentos.risk_scorer import features
from bentos.risk_scorer.policy import Costs, Policy
from bentos.risk_scorer.reference import SCORE
from monitoring.drift import Verdict
from tests.bench import drift_changes, drift_model
from tests.bench.drift_events import CHANNELS, LOST, NEW_CHANNEL, Events, stream
from tests.bench.drift_figures import Cell, Delays, cell, missed, rate, table
from tests.bench.drift_judges import ALWAYS_OK, DRIFT, EVIDENTLY, INSUFFICIENT, JUDGES, KS, LOSS, OURS, PSI
from tests.bench.drift_people import DAYS, REFERENCE_DAYS
from tests.bench.drift_scenarios import NONE, ORDINARY, SCENARIOS, Scenario
from tests.bench.drift_simulation import main
from tests.bench.drift_streams import Case, Days, case, first_day, run, starts, triggers
from training import datasets, reference_days

NAMED = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def drawn() -> Case:
    return case(ORDINARY, seed=1, number=1)


@pytest.fixture(scope="module")
def plain(drawn: Case) -> Days:
    return run(drawn, NONE, JUDGES[OURS])


def frame(events: Events, scores) -> pd.DataFrame:
    """Events as a person would have them in a table."""
    names = np.array([*CHANNELS, None], dtype=object)
    code = np.nan_to_num(events.fields["channel"], nan=len(CHANNELS)).astype(int)
    watched = {field.name: events.fields[field.name] for field in drift_model.WATCHED if field.name in events.fields}
    return pd.DataFrame(watched | {"channel": names[code], "score": scores})


# --- the streams


def test_a_stream_has_about_six_thousand_events_a_day_that_slowly_become_more(drawn):
    a_day = np.bincount(drawn.stream.events.day, minlength=DAYS)
    assert 4_500 < a_day[:28].mean() < 7_500
    assert a_day.min() > 3_000
    weeks = [np.bincount(stream(np.random.default_rng(n)).events.day, minlength=DAYS) for n in range(4)]
    assert np.mean([week[-14:].mean() / week[:14].mean() for week in weeks]) > 1.05


def test_weekdays_pay_days_and_the_beginning_of_the_month_differ():
    many = [stream(np.random.default_rng(number)) for number in range(6)]
    day = np.concatenate([each.events.day + DAYS * number for number, each in enumerate(many)])
    weekday, since, month_day = (
        np.concatenate([getattr(each.when, name) for each in many]) for name in ("weekday", "since_payday", "month_day")
    )
    a_day = np.bincount(day)
    assert a_day[weekday == 5].mean() > 1.2 * a_day[weekday == 6].mean()
    assert a_day[since == 0].mean() > 1.1 * a_day[since > 2].mean()
    channel = np.concatenate([each.events.fields["channel"] for each in many])
    recurring = np.bincount(day, channel == CHANNELS.index("recurring")) / a_day
    assert recurring[month_day == 1].mean() > 1.3 * recurring[(month_day > 3) & (month_day != 15)].mean()
    amount = np.concatenate([each.events.fields["amount"] for each in many])
    median = pd.Series(amount).groupby(day).median().to_numpy()
    assert median[since == 0].mean() > 1.05 * median[since > 2].mean()


def test_payers_come_and_go_and_a_few_of_them_make_most_events(drawn):
    events = drawn.stream.events
    a_payer = np.sort(np.bincount(events.payer))[::-1]
    a_payer = a_payer[a_payer > 0]
    assert a_payer[: len(a_payer) // 10].sum() > 0.4 * len(events)
    assert a_payer[0] < 0.03 * len(events)
    days_of = pd.Series(events.day).groupby(events.payer)
    seen = days_of.nunique() > 3
    lasted = (days_of.max() - days_of.min() + 1)[seen]
    assert (lasted < 40).mean() > 0.15, "some are gone for good"
    assert (days_of.nunique()[seen] / lasted).median() < 0.8, "and pause in between"


def test_payers_of_one_day_are_those_of_the_next_more_than_of_a_later_week(drawn):
    here = [set(drawn.stream.events.days(day, day + 1).payer.tolist()) for day in range(DAYS)]
    shared = [[len(here[day] & here[day + gap]) / len(here[day]) for day in range(28)] for gap in (1, 21)]
    assert np.mean(shared[0]) > np.mean(shared[1]) + 0.03


def test_amounts_have_a_heavy_tail_and_ties(drawn):
    amount = drawn.stream.events.fields["amount"]
    assert np.nanquantile(amount, 0.99) > 10 * np.nanmedian(amount)
    assert Counter(amount.tolist()).most_common(1)[0][1] > 0.01 * len(amount)


def test_a_channel_is_rare_and_another_is_not_used_yet(drawn):
    channel = drawn.stream.events.fields["channel"]
    assert not (channel == NEW_CHANNEL).any()
    assert 0.003 < (channel == CHANNELS.index("phone")).mean() < 0.02


def test_values_are_missing_at_a_rate_that_varies_by_day(drawn):
    for name, share in LOST.items():
        lost = np.isnan(drawn.stream.events.fields[name])
        a_day = np.bincount(drawn.stream.events.day, lost) / np.bincount(drawn.stream.events.day)
        assert 0.5 * share < a_day.mean() < 2 * share
        assert a_day.var() > 1.5 * share / 6_000, "more than chance alone would"


def test_most_labels_are_known_within_three_days_and_some_take_weeks(drawn):
    events = drawn.stream.events
    delay = events.known - events.day
    assert 0.7 < (delay < 3).mean() < 0.95
    assert 0.01 < (delay > 14).mean() < 0.1
    assert 0.012 < events.label.mean() < 0.022


def test_the_model_is_of_use_and_scores_as_the_scorer_would(drawn):
    basis, base_rate = drawn.evaluated.basis, drawn.evaluated.base_rate
    assert basis.pr_auc > 5 * base_rate
    some = drawn.stream.events.days(40, 41)
    table_ = frame(some, 0.0)
    columns = {name: table_[name].to_numpy() for name in table_.columns if name != "score"}
    columns["hour"] = some.fields["hour"]
    np.testing.assert_array_equal(drift_model.matrix(some), features.matrix(columns))


def test_the_same_seed_gives_the_same_stream_and_another_another(drawn, plain):
    again = case(ORDINARY, seed=1, number=1)
    assert again.reference == drawn.reference
    assert run(again, NONE, JUDGES[OURS]).verdicts == plain.verdicts
    assert case(ORDINARY, seed=1, number=2).reference != drawn.reference


def test_the_reference_is_the_one_that_training_would_make(drawn):
    """Row by row through pandas: the bench counts by arrays, and must not have bins of its own."""
    seen = drawn.stream.events.days(0, REFERENCE_DAYS)
    scores = drawn.model.scores(seen)
    rows = frame(seen, scores).drop(columns=["score"])
    within = (np.arange(len(seen)) - np.searchsorted(seen.day, seen.day)) / np.bincount(seen.day)[seen.day]
    midnight = np.datetime64(drawn.reference.days[0], "ms")
    rows["occurred_at"] = pd.DatetimeIndex(midnight + ((seen.day + within) * 86_400_000).astype("timedelta64[ms]"))
    rows["occurred_at"] = rows["occurred_at"].dt.tz_localize("UTC")
    rows["hour"], rows["label"] = seen.fields["hour"], seen.label
    dataset = datasets.from_frame(rows)
    assert len(dataset) == len(seen)
    review_from, block_from = drawn.model.thresholds
    policy = Policy(costs=Costs(missed=1, review=1, false_block=1), review_from=review_from, block_from=block_from)
    held_out = seen.day >= drawn.model.held_out_from
    made = reference_days.build(dataset, reference_days.Answers(scores, held_out, policy))
    assert made == drawn.reference


# --- the changes


def changed(drawn: Case, change: drift_changes.Change) -> tuple[Events, Events]:
    before = drawn.stream.events.days(40, 54)
    return before, change(np.random.default_rng(0), drawn.stream, 40, before)


def test_a_change_of_concept_changes_labels_and_nothing_else(drawn):
    before, after = changed(drawn, drift_changes.concept)
    assert all(np.array_equal(before.fields[name], after.fields[name], equal_nan=True) for name in before.fields)
    assert after.label.mean() == pytest.approx(before.label.mean(), rel=0.25)
    assert (before.label * after.label).sum() < 0.3 * before.label.sum()


def test_losing_loses_a_fifth_of_one_field(drawn):
    before, after = changed(drawn, drift_changes.losing)
    more = {name: np.isnan(after.fields[name]).mean() - np.isnan(before.fields[name]).mean() for name in before.fields}
    assert max(more.values()) == pytest.approx(0.2, abs=0.02)
    assert sum(share > 0 for share in more.values()) == 1


def test_slow_drift_ends_where_the_sudden_one_is(drawn):
    before, after = changed(drawn, drift_changes.slowly)
    factor = after.fields["amount"] / before.fields["amount"]
    known = ~np.isnan(factor)
    assert factor[known].max() == pytest.approx(1.5 ** (14 / drift_changes.SLOW_DAYS))
    assert (np.diff(factor[known]) >= -1e-9).all()


def test_a_holiday_is_over_after_a_week(drawn):
    before, after = changed(drawn, drift_changes.holiday)
    a_day = np.bincount(after.day - 40) / np.bincount(before.day - 40)
    assert (a_day[:7] > 1.3).all()
    assert (a_day[7:] == 1).all()
    assert (np.diff(after.day) >= 0).all()


def test_low_traffic_is_low_on_every_day(drawn):
    _, after = changed(drawn, drift_changes.few)
    assert set(np.bincount(after.day - 40)) == {drift_changes.LOW_TRAFFIC}


def test_a_new_channel_is_used_by_whole_payers(drawn):
    before, after = changed(drawn, drift_changes.new_channel)
    online = before.fields["channel"] == CHANNELS.index("online")
    moved = after.fields["channel"] == NEW_CHANNEL
    shares = pd.Series(moved[online]).groupby(before.payer[online]).mean()
    assert set(shares) == {0.0, 1.0}


# --- the other rules


def test_distances_are_those_of_scipy(drawn):
    day = drawn.stream.events.days(50, 51)
    for name in ("amount", "velocity_5m"):
        values = np.sort(day.fields[name][~np.isnan(day.fields[name])])
        column = drawn.columns[name]
        assert column.wasserstein(values) == pytest.approx(stats.wasserstein_distance(column.values, values))
        expected = stats.ks_2samp(column.values, values, method="asymp")
        assert column.ks(values) == pytest.approx(expected.pvalue, rel=0.02, abs=1e-6)
    column, values = drawn.columns["channel"], np.array([0.0] * 10 + [2.0] * 5)
    p, q = [*column.shares], [10 / 15, 0, 0, 0, 0]
    q.insert(2, 5 / 15)
    p.insert(2, 0)
    assert column.jensen_shannon(values) == pytest.approx(distance.jensenshannon(p, q))


@pytest.mark.parametrize(
    ("change", "days"),
    [(drift_changes.nothing, (41, 42)), (drift_changes.amounts, (45, 46)), (drift_changes.few, (45, 46))],
)
def test_evidently_s_preset_says_the_same(drawn, change, days):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Report  # noqa: PLC0415 - takes seconds
        from evidently.presets import DataDriftPreset  # noqa: PLC0415
    seen = drawn.stream.events.days(0, REFERENCE_DAYS)
    scores = drawn.model.scores(seen)
    known = np.where(seen.day >= drawn.model.held_out_from, scores, np.nan)
    today = changed(drawn, change)[1].days(*days)
    scored = drawn.model.scores(today)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Report([DataDriftPreset()]).run(frame(today, scored), frame(seen, known)).dict()["metrics"]
    drifted = 0
    for name, column in drawn.columns.items():
        (value,) = [each["value"] for each in found if each["config"].get("column") == name]
        values = scored if name == SCORE else today.fields[name]
        values = np.sort(values[~np.isnan(values)])
        distance_ = (
            column.wasserstein(values) / column.spread if hasattr(column, "spread") else column.jensen_shannon(values)
        )
        assert distance_ == pytest.approx(value, rel=1e-6)
        drifted += column.drifted(values)
    assert found[0]["value"]["count"] == drifted


# --- the verdict of the bench


@pytest.mark.parametrize("name", ["amount x1.5", "device mix", "new category", "20 % missing", "300 rows a day"])
def test_our_rule_meets_its_aims_and_one_that_is_always_ok_does_not(drawn, name):
    scenario = NAMED[name]
    assert missed(scenario, cell(scenario, [run(drawn, scenario, JUDGES[OURS])])) == []
    assert missed(scenario, cell(scenario, [run(drawn, scenario, JUDGES[ALWAYS_OK])])) != []


def test_a_rule_that_is_always_ok_fails_the_bench():
    with pytest.raises(SystemExit) as ended:
        main(["--rule", ALWAYS_OK, "--streams", "1", "--only", "20 % missing"])
    assert ended.value.code == 1


def said(verdicts, quality=(), flag=False) -> Days:
    return Days(
        verdicts=tuple(verdicts),
        drifted=(("amount",),) * len(verdicts),
        quality=tuple(quality) or ("OK",) * len(verdicts),
        flags={rule: np.full(len(verdicts), flag) for rule in (EVIDENTLY, KS, PSI)},
    )


def judged(name: str, *ran: Days) -> tuple[Scenario, Cell]:
    return NAMED[name], cell(NAMED[name], ran)


OK, FAULT = Verdict.OK.value, Verdict.DATA_FAULT.value


def test_false_windows_beyond_the_aim_are_missed():
    quiet, loud = said([OK] * 42), said([DRIFT] + [OK] * 41)
    assert missed(*judged("none", *[quiet] * 195, *[loud] * 5)) == []
    assert missed(*judged("none", *[quiet] * 100, *[loud] * 100)) != []


def test_a_late_or_a_lost_change_is_missed():
    soon, late, lost = said([DRIFT] * 14), said([OK] * 2 + [DRIFT] * 12), said([OK] * 14)
    assert missed(*judged("amount x1.5", *[soon] * 100)) == []
    assert "after 4 days" in missed(*judged("amount x1.5", *[late] * 100))[0]
    assert "98.0%" in missed(*judged("amount x1.5", *[soon] * 98, *[lost] * 2))[0]


def test_a_fault_that_is_called_drift_is_missed():
    fault, once = said([FAULT] * 14), said([FAULT] * 13 + [DRIFT])
    assert missed(*judged("20 % missing", *[fault] * 200)) == []
    assert "never wanted" in missed(*judged("20 % missing", *[fault] * 197, *[once] * 3))[0]


def test_any_other_verdict_on_low_traffic_is_missed():
    assert missed(*judged("300 rows a day", *[said([INSUFFICIENT] * 14)] * 100)) == []
    assert missed(*judged("300 rows a day", *[said([INSUFFICIENT] * 13 + [OK])] * 100)) != []


def test_a_change_of_concept_is_found_by_the_quality_rule_alone():
    found = judged("concept change", said([DRIFT] * 14, [OK] * 4 + [LOSS] * 10))[1]
    assert found.delays[OURS].each == (5,)
    assert "found after None" in missed(*judged("concept change", said([DRIFT] * 14)))[0]


# --- figures


def test_two_of_the_last_three_windows_are_a_trigger_that_counts_once():
    assert triggers([1, 0, 0, 1, 1, 0, 0]).tolist() == [False, False, False, False, True, True, False]
    assert triggers([1, 0, 1]).tolist() == [False, False, True]
    assert starts(np.array([False, True, True, False, True])) == 2
    assert first_day(np.array([False, True])) == 2
    assert first_day(np.array([False])) is None


def test_rates_have_limits_that_are_exact_for_none_and_wide_for_bunches():
    assert rate([0] * 100, 30).high == pytest.approx(2.996 / 100, rel=1e-3)
    spread, bunched = rate([1] * 10 + [0] * 90, 30), rate([10] + [0] * 99, 30)
    assert spread.value == bunched.value == 0.1
    assert spread.high == pytest.approx(0.1696, rel=1e-3)
    assert bunched.high > spread.high
    assert (bunched.low, bunched.streams) == (0, 1)


def test_quantiles_count_the_streams_in_which_nothing_was_found():
    delays = Delays((2, 3, None, 2))
    assert (delays.quantile(0.5), delays.quantile(0.75), delays.quantile(0.95), delays.found) == (2, 3, None, 0.75)


def test_the_table_has_a_line_for_each_rule_and_each_change():
    text = table([judged("none", said([OK] * 42))[1], judged("amount x1.5", said([DRIFT] * 14))[1]])
    assert all(f"| none | {rule} |" in text for rule in (OURS, EVIDENTLY, KS, PSI))
    assert "| amount x1.5 | DRIFT 100% | 2 / 2 / 2, 100% | never | never | never |" in text


def test_the_change_sets_in_at_the_same_day_whatever_the_rule(drawn):
    scenario = replace(NAMED["amount x1.5"], days=3)
    ours, idle = (run(drawn, scenario, JUDGES[name]) for name in (OURS, ALWAYS_OK))
    assert (ours.flags[PSI] == idle.flags[PSI]).all()
