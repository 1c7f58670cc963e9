"""The bounds and the arrivals of a load; the figures of the live table; the demo's cut of its events."""

import io
import random
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bentos.risk_scorer.policy import Decision
from k8s.local import demo_data
from k8s.local.errors import NotEnoughDataError, UsageError
from k8s.local.ledger import Entry
from k8s.local.traffic import Load
from k8s.local.traffic_table import Figures, table
from training import datasets, synthesize


@pytest.mark.parametrize(
    ("per_second", "requests"), [(0, 1), (-1, 1), (2001, 1), (1, 0), (1, 500_001), (1, 3601), (float("nan"), 1)]
)
def test_a_load_beyond_the_bounds_is_refused(per_second: float, requests: int) -> None:
    with pytest.raises(UsageError):
        Load(per_second, requests)


@given(st.floats(0.5, 2000), st.integers(1, 300), st.sampled_from(["poisson", "even"]), st.integers(0, 2**32))
def test_arrivals_begin_at_once_and_never_go_back(per_second: float, count: int, kind: str, seed: int) -> None:
    due = list(Load(per_second, count, kind).due(random.Random(seed)))  # type: ignore[arg-type]
    assert len(due) == count
    assert due[0] == 0
    assert due == sorted(due)


def test_poisson_arrivals_have_the_rate_that_was_asked_for() -> None:
    last = list(Load(100, 10_000).due(random.Random(1)))[-1]
    assert last == pytest.approx(100, rel=0.05)  # 5 standard deviations


def test_even_arrivals_are_even() -> None:
    assert list(Load(4, 3, "even").due(random.Random(1))) == [0, 0.25, 0.5]


def _answer(version: str, decision: Decision, seconds: float = 0.002) -> Entry:
    return Entry("event", None, seconds, 200, "request", version, 0.5, decision)


def test_the_figures_count_what_was_answered_and_what_failed() -> None:
    now = [100.0]
    figures = Figures(lambda: now[0])
    assert (figures.rate, figures.latency_ms(0.99)) == (0, 0)
    for decision in (Decision.APPROVE, Decision.APPROVE, Decision.BLOCK):
        figures.add(_answer("a", decision))
    figures.add(_answer("b", Decision.REVIEW, seconds=0.5))
    figures.add(Entry("event", None, 0.1, 503, "request", error="503: no backend"))
    now[0] += 4.998
    assert (figures.answers, figures.failed, figures.last_error) == (4, 1, "503: no backend")
    assert figures.rate == pytest.approx(1)
    assert (figures.latency_ms(0.5), figures.latency_ms(0.99)) == (2, 500)
    assert figures.decisions["a", Decision.APPROVE] == 2


def test_the_table_says_who_answered_and_what_went_wrong() -> None:
    figures = Figures()
    for _ in range(3):
        figures.add(_answer("risk_scorer:aaa", Decision.APPROVE))
    figures.add(_answer("risk_scorer:bbb", Decision.BLOCK))
    figures.add(Entry("event", None, 0.1, 503, "request", error="503: no [backend]"))
    console = Console(width=120, file=io.StringIO())
    with console.capture() as shown:
        console.print(table(figures, 10, {"risk_scorer:aaa": "stable"}))
    text = shown.get()
    assert "5 of 10 requests" in text
    assert "stable" in text
    assert "75.0%" in text
    assert "risk_scorer:bbb" in text
    assert "1 x 503; the last one: 503: no [backend]" in text


def test_the_demo_learns_from_the_past_only(tmp_path: Path) -> None:
    data = demo_data.cut(demo_data.made_up(3, datetime(2026, 3, 2, 15, tzinfo=UTC), tmp_path / "events.csv"))
    assert (len(data.live), len(data.challenger), len(data.champion)) == (10_000, 30_000, 18_000)
    assert data.challenger.times.max() <= data.live.times.min()
    assert set(data.champion.frame["event_id"]) < set(data.challenger.frame["event_id"])
    assert not set(data.challenger.frame["event_id"]) & set(data.live.frame["event_id"])
    assert pd.Timestamp(data.live.times.max()) < pd.Timestamp("2026-03-02")


def test_too_little_for_two_models_says_how_much_is_needed() -> None:
    few = datasets.from_frame(synthesize.plain(900, 1, datetime(2026, 3, 2, tzinfo=UTC)))
    with pytest.raises(NotEnoughDataError, match=r"at least 1,100 rows") as caught:
        demo_data.cut(few)
    assert caught.value.exit_code == 4
