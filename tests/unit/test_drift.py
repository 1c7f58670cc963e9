from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from bentos.risk_scorer.reference import Reference, ReferenceField
from monitoring import drift
from monitoring.drift import FieldCounts, State, Verdict, Window

DAY = date(2026, 3, 2)
SHARES = np.array([0.1] * 10)
counts = st.lists(st.integers(0, 10_000_000), min_size=2, max_size=12).filter(lambda bins: sum(bins) > 0)


def reference(days=28, rows=6_000, missing=0.01, seed=1, **more):
    """A reference of one number in deciles, and whatever fields are given."""
    generator = np.random.default_rng(seed)
    daily = [tuple(int(count) for count in generator.multinomial(rows, SHARES)) for _ in range(days)]
    amount = ReferenceField(
        kind="number", edges=tuple(range(9)), daily=tuple(daily), missing=(int(rows * missing),) * days
    )
    return Reference(days=(), fields={"amount": amount, **more})


def window(bins=(600,) * 10, missing=60, **more):
    amount = FieldCounts(bins, missing)
    return Window(DAY, amount.rows, {"amount": amount}, **more)


def shifted(by):
    """The bins of a day of which a share has moved from the lowest bin to the highest."""
    moved = int(6_000 * by)
    return (600 - moved, *(600,) * 8, 600 + moved)


BASELINE = drift.calibrated(reference())


# --- psi


@given(counts, counts)
def test_a_psi_is_symmetric_and_never_negative(one, other):
    size = min(len(one), len(other))
    one, other = [*one[:size], 1], [*other[:size], 1]
    assert drift.psi(one, other) == pytest.approx(drift.psi(other, one))
    assert drift.psi(one, other) >= 0


@given(counts, st.integers(1, 1_000))
def test_a_psi_is_of_shares_not_of_numbers(bins, times):
    assert drift.psi([count * times for count in bins], bins) == pytest.approx(0, abs=1e-12)


def test_a_psi_is_the_sum_over_bins_of_difference_times_log_ratio():
    assert drift.psi([30, 70], [50, 50]) == pytest.approx(-0.2 * np.log(0.6) + 0.2 * np.log(1.4))


def test_one_row_in_an_empty_bin_says_no_more_than_none():
    many = 10_000_000
    assert drift.psi([many, 1], [many, many]) == pytest.approx(drift.psi([many, 0], [many, many]), abs=1e-6)
    assert drift.psi([many, 0], [many, many]) == pytest.approx(0.5 * np.log(2) + 0.4999 * np.log(5_000), abs=1e-3)


# --- thresholds


def _amounts(daily):
    counts = tuple(tuple(int(each) for each in day) for day in daily)
    return ReferenceField(kind="number", edges=tuple(range(9)), daily=counts, missing=(0,) * len(counts))


@pytest.mark.parametrize("days", [27, 28])
def test_a_reference_day_is_compared_with_the_other_half(days):
    generator = np.random.default_rng(2)
    daily = [generator.multinomial(6_000, day) for day in generator.dirichlet([40] * 10, days)]
    (baseline,) = drift.calibrated(Reference(days=(), fields={"amount": _amounts(daily)})).fields
    earlier, later = daily[: days // 2], daily[days // 2 :]
    null = [drift.psi(day, np.sum(later, axis=0)) for day in earlier]
    null += [drift.psi(day, np.sum(earlier, axis=0)) for day in later]
    assert baseline.psis == pytest.approx(null)
    assert baseline.threshold == pytest.approx(max(*null, np.mean(null) * chi2.isf(1e-4, 9) / 9), rel=0.02)
    assert baseline.threshold > max(drift.LEAST_THRESHOLD, *null)


def test_one_day_of_the_reference_that_stood_out_is_within_the_threshold():
    daily = np.full((28, 10), 600)
    daily[3] = [1_800, *[466] * 9]
    (baseline,) = drift.calibrated(Reference(days=(), fields={"amount": _amounts(daily)})).fields
    assert baseline.threshold == max(baseline.psis) > 0.25


def test_a_slow_change_within_the_reference_raises_the_threshold():
    """Payers that grow older move their field from week to week; next to its neighbours each day looks like them."""
    weights = [np.linspace(1 - 0.02 * day, 1 + 0.02 * day, 10) for day in range(28)]
    daily = [np.round(600 * each) for each in weights]
    (baseline,) = drift.calibrated(Reference(days=(), fields={"amount": _amounts(daily)})).fields
    tomorrow = np.round(600 * np.linspace(0.38, 1.62, 10)).astype(int)
    assert drift.psi(tomorrow, baseline.counts) > drift.LEAST_THRESHOLD
    assert drift.psi(tomorrow, baseline.counts) < baseline.threshold


def test_days_that_are_all_alike_leave_the_least_threshold():
    assert BASELINE.fields[0].threshold == drift.LEAST_THRESHOLD


@pytest.mark.parametrize("days", [1, 2, 6])
def test_less_than_a_week_of_reference_asks_for_a_significant_shift(days):
    assert drift.calibrated(reference(days=days)).fields[0].threshold == drift.CUSTOMARY


def test_a_reference_day_without_values_teaches_nothing():
    whole = reference().fields["amount"]
    gaps = ReferenceField(
        kind="number", edges=whole.edges, daily=((0,) * 10,) * 5 + whole.daily, missing=(0,) * 5 + whole.missing
    )
    assert drift.calibrated(Reference(days=(), fields={"amount": gaps})) == BASELINE


def test_a_reference_without_values_judges_nothing():
    empty = ReferenceField(kind="category", categories=("a", "b"), daily=((0, 0),) * 28, missing=(6_000,) * 28)
    report = drift.judge(
        replace(window(), fields={**window().fields, "channel": FieldCounts((3_000, 3_000))}),
        drift.calibrated(reference(channel=empty)),
    )
    assert [each.state for each in report.fields] == [State.OK, State.UNJUDGED]
    assert report.verdict is Verdict.OK


def test_a_day_with_few_values_needs_more_than_chance():
    chance = drift.sampling_noise(500, 168_000, 10)
    assert drift.sampling_noise(5_000, 168_000, 10) < drift.LEAST_THRESHOLD < chance
    generator = np.random.default_rng(3)
    expected = BASELINE.fields[0].counts
    beyond = [drift.psi(day, expected) for day in generator.multinomial(500, SHARES, 20_000)]
    assert np.mean(np.array(beyond) > chance) <= 5e-4
    assert np.mean(np.array(beyond) > drift.LEAST_THRESHOLD) > 1e-3


# --- verdicts


def test_a_day_like_the_reference_is_ok():
    report = drift.judge(window(), BASELINE)
    assert (report.verdict, report.drifted) == (Verdict.OK, ())


def test_a_day_without_rows_is_missing_data():
    report = drift.judge(Window(DAY, 0, refused=7), BASELINE)
    assert (report.verdict, report.reason) == (Verdict.MISSING_DATA, "no row was scored, 7 were refused")


def test_few_rows_are_not_judged_however_they_look():
    report = drift.judge(window((0,) * 9 + (drift.LEAST_ROWS - 1,), 0), BASELINE)
    assert report.verdict is Verdict.INSUFFICIENT_DATA
    assert drift.judge(window((0,) * 9 + (drift.LEAST_ROWS,), 0), BASELINE).verdict is Verdict.DRIFT


def test_a_shift_is_drift_and_names_its_field_and_numbers():
    report = drift.judge(window(shifted(0.05)), BASELINE)
    assert (report.verdict, report.drifted) == (Verdict.DRIFT, ("amount",))
    assert report.reason == f"amount: PSI {report.fields[0].psi:.3f}, above 0.050"


def test_missing_values_are_a_fault_and_never_drift():
    report = drift.judge(window(shifted(0.05), missing=1_500), BASELINE)
    assert report.verdict is Verdict.DATA_FAULT
    assert report.reason == "amount: 20.0% missing, above 3.0%"


def test_missing_values_do_not_move_a_psi():
    few, many = (drift.judge(window(shifted(0.01), missing), BASELINE).fields[0].psi for missing in (0, 6_000))
    assert few == many


@pytest.mark.parametrize(("worst", "limit"), [(0.0, 0.02), (0.03, 0.05), (0.2, 0.3)])
def test_a_fault_is_above_the_worst_day_by_two_points_or_half_of_it(worst, limit):
    (baseline,) = drift.calibrated(reference(rows=10_000, missing=worst / (1 - worst))).fields
    assert baseline.missing_limit == pytest.approx(limit, abs=1e-3)


def test_unseen_categories_are_a_fault():
    channel = ReferenceField(kind="category", categories=("a", "b"), daily=((3_000, 3_000),) * 28, missing=(0,) * 28)
    seen = FieldCounts((2_900, 2_900), unseen=200)
    report = drift.judge(Window(DAY, 6_000, {"channel": seen}), drift.calibrated(reference(channel=channel)))
    assert (report.verdict, report.reason) == (Verdict.DATA_FAULT, "channel: 3.3% unseen values, above 2.0%")


def test_refused_requests_are_a_fault_that_names_the_field():
    counts = FieldCounts((600,) * 10, refused=180)
    report = drift.judge(Window(DAY, 6_000, {"amount": counts}, refused=200), BASELINE)
    assert report.verdict is Verdict.DATA_FAULT
    assert report.reason == "3.2% of the requests were refused, mostly for amount, above 2.0%"


def test_the_field_that_went_furthest_comes_first():
    both = reference(hour=reference().fields["amount"])
    fields = {"amount": FieldCounts(shifted(0.06)), "hour": FieldCounts(shifted(0.09))}
    report = drift.judge(Window(DAY, 6_000, fields), drift.calibrated(both))
    assert report.drifted == ("hour", "amount")
    assert report.reason.startswith("hour: PSI")


def test_counts_may_be_arrays():
    bins = np.array(shifted(0.05))
    assert drift.judge(window(bins), BASELINE) == drift.judge(window(tuple(bins.tolist())), BASELINE)


@given(st.lists(st.integers(0, 3_000), min_size=10, max_size=10), st.integers(0, 3_000), st.integers(0, 3_000))
def test_every_day_has_a_verdict_with_a_reason(bins, missing, refused):
    report = drift.judge(window(tuple(bins), missing, refused=refused), BASELINE)
    assert report.reason
    rows = sum(bins) + missing
    assert (report.verdict is Verdict.MISSING_DATA) == (rows == 0)
    assert (report.verdict is Verdict.INSUFFICIENT_DATA) == (0 < rows < drift.LEAST_ROWS)
    if report.verdict is Verdict.OK:
        assert all(each.psi <= each.threshold for each in report.fields if each.psi is not None)
