"""The label gate's bench: that its streams are what they claim, and that a gate that errs is found out."""

import numpy as np
import pytest

from tests.bench.label_gate import PLANNED, Scenario, stream, too_often, wrongs
from tests.bench.label_streams import Candidate, first, losing, loss, pairs


def test_a_candidate_loses_what_it_should() -> None:
    assert loss(Candidate(), 400_000) == pytest.approx(0, abs=0.003)
    assert loss(losing(0.06), 400_000) == pytest.approx(-0.06, abs=0.006)


def test_a_look_sees_the_pairs_up_to_its_positives() -> None:
    found = pairs(np.random.default_rng(3), 10_000, Candidate())
    some = first(found, 300)
    assert some.positives == 300
    assert some.labels[-1] == 1
    assert set(some.groups.tolist()) == set(range(int(some.groups.max()) + 1))


def test_a_stream_is_looked_at_as_planned_and_a_loss_is_seen() -> None:
    said = stream(1, 7, Candidate(worse=3.0))
    assert said == ("failed",) * len(PLANNED)
    assert stream(1, 7, Candidate()) == stream(1, 7, Candidate())


def test_a_gate_that_errs_more_often_than_it_may_is_found_out() -> None:
    scenario = Scenario("as good", Candidate(), "failed", (0, 1), 0.01)
    ran = [("ok", "failed")] * 20 + [("gathering", "ok")] * 380
    assert wrongs(scenario, ran) == 20
    assert too_often(scenario, ran)
    assert not too_often(scenario, [("failed", "failed")] * 4 + ran[20:])
    assert not too_often(Scenario("anything", Candidate()), ran)
