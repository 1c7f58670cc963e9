"""One event has one score, to the last bit, whichever way it is scored."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.risk_scorer import scorer as scorers
from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.features import matrix
from bentos.risk_scorer.metrics import LogCounts, ScorerMetrics
from bentos.risk_scorer.scorer import Scorer
from bentos.risk_scorer.scoring import Scoring
from tests.unit.test_features import events

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def scorer(model_dir: Path) -> Scorer:
    return scorers.load(model_dir, "risk_scorer:0123456789ab")


def served(scorer: Scorer, batch: list[dict[str, object]]) -> tuple[list[float], list[float]]:
    """Scores of the events sent one by one, and together."""
    scoring = Scoring(scorer, ScorerMetrics("stable", scorer.tag, native=True, log=LogCounts()), now=lambda: NOW)
    singly = [scoring.answer(scoring.begin({}), {}, b"", json.dumps(each).encode()).body for each in batch]
    together = scoring.answer_batch(scoring.begin({}), {}, b"", json.dumps({"events": batch}).encode(), 1_000).body
    return [json.loads(body)["score"] for body in singly], [each["score"] for each in json.loads(together)["results"]]


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=12))
def test_single_batch_and_offline_scores_are_equal(scorer: Scorer, batch: list[dict[str, object]]) -> None:
    columns = {field.name: np.array([each[field.name] for each in batch], dtype=object) for field in FEATURES}
    offline = scorer.score_matrix(matrix(columns)).tolist()
    singly, together = served(scorer, batch)
    assert singly == offline
    assert together == offline


@pytest.mark.parametrize("amount", ["0.1", "1e-7", "123456789.123456789", "0.30000000000000004", "5e-324", "1E2"])
def test_a_number_means_the_same_however_it_is_written(scorer: Scorer, amount: str) -> None:
    body = f'{{"amount":{amount},"hour":1,"device_risk":1,"velocity_5m":1}}'.encode()
    scoring = Scoring(scorer, ScorerMetrics("stable", scorer.tag, native=True, log=LogCounts()), now=lambda: NOW)
    answer = json.loads(scoring.answer(scoring.begin({}), {}, b"", body).body)
    columns = {"amount": [float(amount)], "hour": [1], "device_risk": [1], "velocity_5m": [1]}
    assert answer["score"] == scorer.score_matrix(matrix(columns))[0]


@pytest.mark.parametrize(
    "occurred_at", ["2026-03-02T12:00:00Z", "2026-03-02T13:30:00+01:30", "2026-03-02T00:00:00-12:00"]
)
def test_the_offset_of_a_time_changes_neither_score_nor_moment(scorer: Scorer, occurred_at: str) -> None:
    scoring = Scoring(scorer, ScorerMetrics("stable", scorer.tag, native=True, log=LogCounts()), now=lambda: NOW)
    exchange = scoring.begin({})
    body = json.dumps({"amount": 1, "hour": 1, "device_risk": 1, "velocity_5m": 1, "occurred_at": occurred_at})
    scoring.answer(exchange, {}, b"", body.encode())
    assert exchange.row.status == 200
    assert exchange.row.occurred_at == NOW
