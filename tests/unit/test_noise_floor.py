"""tau from counts in slices: what it finds, and what it leaves unknown."""

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from k8s.rollout.blocks import UNKNOWN_NOISE, NoiseFloor
from k8s.rollout.noise_floor import noise_floor, tau
from monitoring.rollout_noise import USED, Metric, Slice, slice_of

HOUR = datetime(2026, 3, 2, 10, tzinfo=UTC)


def drawn(seed: int, sd: float, hours: int = 24, exposure: int = 2000, rate: float = 0.02) -> list[Slice]:
    """Slices whose rates differ by a lasting relative sd, and hours that differ for all slices alike."""
    rng = np.random.default_rng(seed)
    expected = exposure * rate * np.exp(rng.normal(0, sd, USED))
    return [
        Slice(HOUR + timedelta(hours=hour), "errors", j, int(rng.poisson(busy * expected[j])), exposure)
        for hour, busy in enumerate(rng.uniform(0.3, 3, hours))
        for j in range(USED)
    ]


def test_slices_that_differ_by_chance_alone_have_a_small_tau():
    assert max(tau(drawn(seed, 0)) for seed in range(20)) < 0.07


@pytest.mark.parametrize("sd", [0.1, 0.2, 0.3])
def test_tau_is_how_much_slices_differ_beyond_chance(sd):
    found = [tau(drawn(seed, sd)) for seed in range(40)]
    assert abs(np.mean(found) / sd - 1) < 0.15


def test_few_events_an_hour_still_tell_over_a_day():
    found = [tau(drawn(seed, 0.3, exposure=200, rate=0.005)) for seed in range(40)]  # an event a slice an hour
    assert abs(np.mean(found) - 0.3) < 0.12


def test_a_whole_hour_that_is_worse_is_no_difference_between_slices():
    slices = [Slice(HOUR + timedelta(hours=n), "errors", j, 100 * n, 10_000) for n in range(1, 4) for j in range(USED)]
    assert tau(slices) == 0


def test_below_200_events_nothing_is_known():
    slices = [Slice(HOUR, "flagged", j, 10, 1000) for j in range(USED)]
    assert tau(slices) == UNKNOWN_NOISE
    more = [*slices, Slice(HOUR + timedelta(hours=1), "flagged", 0, 10, 1000)]
    assert tau(more) != UNKNOWN_NOISE
    assert noise_floor([]) == NoiseFloor()


def test_each_metric_has_its_own():
    slices: list[Slice] = []
    for metric in ("errors", "over_slo", "flagged"):
        assert metric in Metric.__args__  # type: ignore[attr-defined]
        spread = {"errors": 0, "over_slo": 60, "flagged": 120}[metric]
        slices += [Slice(HOUR, metric, j, 100 + spread * (j % 2), 1000) for j in range(USED)]  # type: ignore[arg-type]
    floor = noise_floor(slices)
    assert floor.errors == 0 < floor.over_slo < floor.flagged


def test_the_slices_are_even_and_always_the_same():
    draw = random.Random(1)
    found = [slice_of(f"entity-{draw.random()}") for _ in range(20_000)]
    assert min(found.count(j) for j in range(20)) > 850
    assert [slice_of(name) for name in ("", "c1", "ü", "customer-7")] == [13, 5, 5, 5]
