"""The demo's drifted days: what is done to them, what must hold of them, and how they are shown."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from k8s.local import demo_days, demo_days_shown
from k8s.local.demo_days import LOST, STORY, Change, LivedDay
from monitoring.drift import FieldReport, Report, State, Verdict
from monitoring.drift_reports import JudgedDay
from training import datasets, synthesize

FIRST = date(2026, 3, 2)
SAID = {
    Change.NONE: Verdict.OK,
    Change.LOSES: Verdict.DATA_FAULT,
    Change.SILENT: Verdict.MISSING_DATA,
    Change.DEARER: Verdict.DRIFT,
}


def field(verdict: Verdict) -> FieldReport:
    missing, psi = (0.2, 0.01) if verdict is Verdict.DATA_FAULT else (0.0, 0.15 if verdict is Verdict.DRIFT else 0.01)
    return FieldReport("amount", State.OK, psi, 0.05, 1000, missing, 0.04, 0.0, 0.02, 0)


def day(number: int, change: Change, verdict: Verdict | None = None) -> LivedDay:
    found = verdict or SAID[change]
    fields = () if found is Verdict.MISSING_DATA else (field(found),)
    report = Report(FIRST + timedelta(days=number), found, f"because {number}", 1000, 0, 0, 0.0, 0.02, fields)
    return LivedDay(change, "channel", JudgedDay("risk_scorer:1", datetime(2026, 3, 3, tzinfo=UTC), 1000, report))


GOOD = tuple(day(number, change) for number, change in enumerate(STORY))


def broken(days: tuple[LivedDay, ...]) -> list[str]:
    return [check.name for check in demo_days_shown.checks(days, made_up=True) if not check.held]


def said(number: int, verdict: Verdict) -> tuple[LivedDay, ...]:
    return (*GOOD[:number], day(number, STORY[number], verdict), *GOOD[number + 1 :])


def test_every_check_holds_when_each_day_gets_its_verdict() -> None:
    assert len(demo_days_shown.checks(GOOD, made_up=True)) == 4
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("number", "verdict", "words"),
    [
        (3, Verdict.DRIFT, "data fault"),
        (3, Verdict.OK, "data fault"),
        (5, Verdict.OK, "missing data"),
        (9, Verdict.OK, "within 2 days, and stay"),
        (10, Verdict.OK, "within 2 days, and stay"),
    ],
)
def test_a_day_that_gets_another_verdict_breaks_its_check(number: int, verdict: Verdict, words: str) -> None:
    days = said(number, verdict)
    if number == 9:  # the first of the dear days may be missed, the second not
        days = (*days[:8], day(8, Change.DEARER, Verdict.OK), *days[9:])
    (name,) = broken(days)
    assert words in name


def test_a_drift_may_be_seen_a_day_late_and_one_ordinary_day_may_be_odd() -> None:
    assert broken(said(8, Verdict.OK)) == []
    assert broken(said(0, Verdict.DRIFT)) == []
    (name,) = broken((day(0, Change.NONE, Verdict.DRIFT), day(1, Change.NONE, Verdict.DRIFT), *GOOD[2:]))
    assert "at most 1 raises an alarm" in name


def test_of_events_of_ones_own_it_is_told_and_not_judged() -> None:
    checks = demo_days_shown.checks(
        tuple(day(n, change, Verdict.DRIFT) for n, change in enumerate(STORY)), made_up=False
    )
    assert all(check.held and "not judged" in check.detail for check in checks)


def test_the_picture_has_a_bar_for_each_day_in_the_colour_of_its_verdict() -> None:
    drawn = demo_days_shown.figure(GOOD)
    bars = {trace["name"]: dict(zip(trace["x"], trace["y"], strict=True)) for trace in drawn["data"]}
    assert bars["DRIFT"] == pytest.approx({"Mar 10": 3.0, "Mar 11": 3.0, "Mar 12": 3.0})
    assert bars["DATA_FAULT"] == pytest.approx({"Mar 05": 5.0})
    assert bars["MISSING_DATA"] == {"Mar 07": 0.0}
    assert sum(len(each) for each in bars.values()) == len(GOOD)
    words = demo_days_shown.caption(GOOD)
    assert "20% of channel get lost (DATA_FAULT), then as events come (OK), then nobody asks (MISSING_DATA)" in words


def test_what_is_done_to_a_days_events() -> None:
    frame = synthesize.plain(2000, 1, datetime(2026, 3, 2, tzinfo=UTC))
    drawn = datasets.from_frame(frame)
    lost = demo_days.losable(drawn)
    rng = np.random.default_rng(1)
    assert lost in {"channel", "account_age_days"}
    dear = demo_days.changed(drawn, Change.DEARER, lost, rng).frame
    assert dear["amount"].to_numpy() == pytest.approx(1.5 * drawn.frame["amount"].to_numpy())
    gone = demo_days.changed(drawn, Change.LOSES, lost, rng).frame[lost].isna().mean()
    before = drawn.frame[lost].isna().mean()
    assert gone == pytest.approx(before + LOST * (1 - before), abs=0.03)
    assert demo_days.changed(drawn, Change.NONE, lost, rng).frame["amount"].equals(drawn.frame["amount"])


def test_where_nothing_can_get_lost_nothing_does() -> None:
    frame = synthesize.plain(500, 1, datetime(2026, 3, 2, tzinfo=UTC))
    drawn = datasets.from_frame(frame)
    bare = drawn.frame.assign(channel=None, account_age_days=np.nan)
    assert demo_days.losable(replace(drawn, frame=bare)) == ""
