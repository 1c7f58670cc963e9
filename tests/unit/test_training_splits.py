from datetime import UTC, datetime

import numpy as np
import pytest

from training import datasets, splits, synthesize
from training.errors import NotEnoughDataError

END = datetime(2026, 11, 1, tzinfo=UTC)


def shuffled(rows: int = 1_000) -> datasets.Dataset:
    data = datasets.from_frame(synthesize.plain(rows, 3, END))
    return data.take(np.random.default_rng(5).permutation(rows))


def test_parts_are_60_20_20_and_each_only_sees_the_past_of_the_next():
    parts = splits.three_parts(shuffled(), seed=0)
    assert (len(parts.train), len(parts.calibration), len(parts.test)) == (600, 200, 200)
    assert parts.train.times.max() < parts.calibration.times.min()
    assert parts.calibration.times.max() < parts.test.times.min()
    assert parts.by_time


def test_parts_are_disjoint_and_together_everything():
    data = shuffled()
    parts = splits.three_parts(data, seed=0)
    names = [set(part.frame["event_id"]) for part in (parts.train, parts.calibration, parts.test)]
    assert sum(map(len, names)) == len(set.union(*names)) == len(data)


def test_events_of_the_same_moment_stay_in_one_part():
    frame = synthesize.plain(3_000, 3, END)
    frame["occurred_at"] = frame["occurred_at"].dt.floor("D")
    parts = splits.three_parts(datasets.from_frame(frame), seed=0)
    assert parts.train.times.max() < parts.calibration.times.min()
    assert parts.calibration.times.max() < parts.test.times.min()


def test_the_seed_matters_only_without_times():
    timed = shuffled()
    untimed = datasets.from_frame(timed.frame.drop(columns="occurred_at"))
    for data, differs in ((timed, False), (untimed, True)):
        one, other = (splits.three_parts(data, seed).train.fingerprint() for seed in (1, 2))
        assert (one != other) is differs
    assert not splits.three_parts(untimed, 1).by_time


def test_few_large_entities_do_not_spoil_a_random_split():
    frame = shuffled().frame.drop(columns="occurred_at")
    frame["entity_id"] = ["a", "b"] * 500
    parts = splits.three_parts(datasets.from_frame(frame), seed=0)
    assert len(parts.train) == 600


@pytest.mark.parametrize(("label", "words"), [(1, "calibration part has 0 positives"), (0, "0 negatives")])
def test_a_part_without_a_class_is_not_enough(label, words):
    frame = synthesize.plain(1_000, 3, END)
    frame["label"] = [label] * 300 + [1 - label] * 700
    with pytest.raises(NotEnoughDataError, match=words):
        splits.three_parts(datasets.from_frame(frame), seed=0)


def test_one_moment_for_all_events_is_not_enough():
    frame = synthesize.plain(1_000, 3, END).assign(occurred_at=END)
    with pytest.raises(NotEnoughDataError, match="covers more time"):
        splits.three_parts(datasets.from_frame(frame), seed=0)
