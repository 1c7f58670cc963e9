"""The drift page answers what drifted, since when and how far, from reports alone."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from monitoring import drift_page
from monitoring.drift import FieldReport, Report, State, Verdict
from monitoring.drift_findings import findings
from monitoring.drift_reports import JudgedDay

LAST = date(2026, 3, 28)
NOW = datetime(2026, 3, 29, 6, 30, tzinfo=UTC)
FINE = FieldReport(
    "amount", State.OK, psi=0.01, threshold=0.05, rows=6_000, missing_share=0.01, missing_limit=0.03,
    unseen_share=0.0, unseen_limit=0.02, refused=0,
)  # fmt: skip
DRIFTED = replace(FINE, state=State.DRIFT, psi=0.2)
MISSING = replace(FINE, state=State.MISSING, missing_share=0.2)


def report(back, *fields, verdict=None, reason="every field is within its threshold"):
    states = {each.state for each in fields}
    worked_out = Verdict.DRIFT if State.DRIFT in states else Verdict.OK
    return Report(
        LAST - timedelta(days=back), verdict or worked_out, reason, rows=6_000, late_rows=2, refused=12,
        refused_share=0.002, refused_limit=0.02, fields=fields,
    )  # fmt: skip


def days(*reports, tag="risk_scorer:000000000001"):
    return [(tag, each) for each in reports]


def page(*reports):
    return drift_page.render([JudgedDay(tag, NOW, 6_000, each) for tag, each in days(*reports)], NOW)


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL))


def test_a_finding_says_since_when_and_how_far():
    (found,) = findings(days(report(3, FINE), report(2, DRIFTED), report(1, DRIFTED), report(0, DRIFTED)))
    assert (found.field, found.since, found.days) == ("amount", LAST - timedelta(days=2), 3)
    assert (found.value, found.limit, found.times) == (0.2, 0.05, pytest.approx(4))


def test_a_run_is_of_the_same_state_and_the_same_model():
    (found,) = findings(days(report(2, MISSING), report(1, DRIFTED), report(0, DRIFTED)))
    assert found.days == 2
    before = days(report(2, DRIFTED), report(1, DRIFTED), tag="risk_scorer:000000000002")
    (found,) = findings(before + days(report(0, DRIFTED)))
    assert found.since == LAST


def test_days_on_which_nothing_could_be_said_neither_end_nor_begin_a_run():
    silent = [report(back, verdict=Verdict.MISSING_DATA) for back in (1, 0)]
    (found,) = findings(days(report(3, DRIFTED), report(2, DRIFTED), *silent))
    assert (found.since, found.days) == (LAST - timedelta(days=3), 2)
    assert findings(days(*silent)) == []


def test_the_furthest_comes_first_and_what_is_fine_does_not_come():
    other = replace(MISSING, name="channel", missing_share=0.3)
    third = replace(FINE, name="velocity_5m")
    assert [each.field for each in findings(days(report(0, DRIFTED, other, third)))] == ["channel", "amount"]


def test_the_page_says_what_drifted_since_when_and_how_far():
    said = text(page(report(2, FINE), report(1, DRIFTED), report(0, DRIFTED, reason="amount: PSI 0.200, above 0.050")))
    assert f"{LAST}: amount drifted" in said
    assert f"Something has been out of bounds since {LAST - timedelta(days=1)}." in said
    assert f"amount drifted {LAST - timedelta(days=1)} 2 PSI 0.200 0.050 4.0 6,000" in said


@pytest.mark.parametrize("verdict", Verdict)
def test_the_page_has_every_verdict_in_words_and_fetches_nothing(verdict):
    html = page(report(1, FINE), report(0, DRIFTED, verdict=verdict, reason="because <it> & that"))
    assert f"{verdict}, because &lt;it&gt; &amp; that" in html
    assert drift_page.SIGNS[verdict] in html
    assert not re.search(r"(?:src|href)=\"(?!#)", html)
    assert len(html) < 50_000


def test_a_field_that_a_day_lacks_has_an_empty_cell():
    html = page(report(1, FINE), report(0, replace(FINE, name="channel")))
    assert html.count(": not judged") == 2


def test_a_cell_is_as_warm_as_its_field_is_near_to_its_limit():
    heats = [drift_page.cell(report(0, replace(FINE, psi=psi)), "amount").heat for psi in (None, 0.0, 0.05, 0.1, 9.0)]
    assert heats == [0, 0, pytest.approx(1), pytest.approx(2), 2]
