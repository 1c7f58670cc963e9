"""Evidently sees a day as we do, from counts alone, and nothing that it meets makes it fail."""

import json
from datetime import date

import numpy as np
import pytest

from bentos.risk_scorer.reference import Reference, ReferenceField
from monitoring import drift, evidently_report
from monitoring.drift import FieldCounts, State, Window

DAY = date(2026, 3, 2)


def reference(rng, bins=10, rows=6_000, **more):
    days = rng.multinomial(rows, rng.dirichlet([1.0] * bins), 28)
    daily = tuple(tuple(int(each) for each in day) for day in days)
    edges = tuple(1.5**edge for edge in range(bins - 1))
    amount = ReferenceField(kind="number", edges=edges, daily=daily, missing=(60,) * 28)
    names = tuple(f"c{number}" for number in range(bins))
    channel = ReferenceField(kind="category", categories=names, daily=daily, missing=(0,) * 28)
    return Reference(days=(), fields={"amount": amount, "channel": channel, **more})


def rendered(window, made):
    return evidently_report.render(window, made, drift.judge(window, drift.calibrated(made)))


@pytest.mark.parametrize("rows", [500, 20_000, 10_000_000])
def test_its_psi_is_ours_whatever_the_shares_and_however_many_rows(rows):
    rng = np.random.default_rng(rows)
    for bins in (2, 6, 11):
        made = reference(rng, bins)
        counts = [
            rng.multinomial(rows, rng.dirichlet([0.3] * bins)),
            rng.multinomial(rows, [1 - 1e-5 * (bins - 1)] + [1e-5] * (bins - 1)),
        ]
        fields = {name: FieldCounts(tuple(each.tolist()), 3) for name, each in zip(made.fields, counts, strict=True)}
        window = Window(DAY, rows, fields)
        report = drift.judge(window, drift.calibrated(made))
        found = evidently_report.render(window, made, report)
        ours = {each.name: each.psi for each in report.fields}
        assert found.psis == pytest.approx(ours, abs=1e-3, rel=3e-3)
        assert max(ours.values()) > 0.3


def test_its_page_needs_no_network_and_names_every_bin():
    made = reference(np.random.default_rng(1), 3)
    found = rendered(Window(DAY, 6_000, {name: FieldCounts((2_000,) * 3, 100) for name in made.fields}), made)
    assert "<html" in found.html
    assert 'src="http' not in found.html
    for name in ("01: below 1", "02: 1 to 1.5", "03: 1.5 and above", "c2"):
        assert json.dumps(name)[1:-1] in found.html


def test_a_column_of_nothing_and_a_day_of_nothing_do_not_reach_it():
    rng = np.random.default_rng(2)
    nothing = ReferenceField(kind="number", edges=(1.0,), daily=((0, 0),) * 28, missing=(6_000,) * 28)
    made = reference(rng, nothing=nothing)
    fields = {
        "amount": FieldCounts((600,) * 10), "channel": FieldCounts((0,) * 10, missing=6_000),
        "nothing": FieldCounts((3_000, 3_000)),
    }  # fmt: skip
    window = Window(DAY, 6_000, fields)
    assert [each.state for each in drift.judge(window, drift.calibrated(made)).fields] == [
        State.DRIFT, State.MISSING, State.UNJUDGED,
    ]  # fmt: skip
    assert list(rendered(window, made).psis) == ["amount"]
    empty = Window(DAY, 6_000, {name: FieldCounts((0,) * each.bins, 6_000) for name, each in made.fields.items()})
    assert rendered(empty, made) is None
    assert rendered(Window(DAY, 0), made) is None


def test_a_bare_nan_of_its_becomes_nothing():
    assert [evidently_report._number(value) for value in (float("nan"), float("inf"), 0.5)] == [None, None, 0.5]


@pytest.mark.parametrize("counts", [(1, 0), (0, 10_000_000), (1, 10_000_000)])
def test_no_bin_is_left_empty(counts):
    assert min(evidently_report.rows_of_bins(counts)) == round(drift.EMPTY * evidently_report.ROWS)
