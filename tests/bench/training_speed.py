"""A whole training beside LightGBM alone on the same matrix, in one run: `python -m tests.bench.training_speed`.

The two take turns, so that what else the machine does meets both. LightGBM alone grows as many trees with the same
options on all rows; a whole training also splits, finds the number of trees, calibrates, chooses thresholds, grows a
logistic regression, evaluates with intervals and makes the reference.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import lightgbm as lgb

from training import booster, datasets, synthesize
from training.booster import TreeOptions
from training.datasets import Dataset
from training.train import TrainOptions, train

TARGET = 1.5
"""A whole training takes at most so many times what LightGBM alone takes."""


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alone(dataset: Dataset, options: TreeOptions, trees: int) -> lgb.Booster:
    """LightGBM on the whole matrix, binning included."""
    rows = lgb.Dataset(
        dataset.matrix(),
        dataset.labels,
        categorical_feature=list(booster.CATEGORICAL),
        feature_name=list(booster.COLUMNS),
    )
    return lgb.train(booster._parameters(options), rows, num_boost_round=trees)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--recipe", choices=list(synthesize.RECIPES), default="realistic")
    given = parser.parse_args()
    frame = synthesize.RECIPES[given.recipe](given.rows, 1, datetime(2026, 11, 1, tzinfo=UTC))
    dataset, options = datasets.from_frame(frame), TreeOptions()
    trees = booster.tree_count(train(dataset, TrainOptions(options)).booster_text)  # also warms up
    pairs = [
        (seconds(lambda: train(dataset, TrainOptions(options))), seconds(lambda: alone(dataset, options, trees)))
        for _ in range(given.rounds)
    ]
    ratio = statistics.median(whole / only for whole, only in pairs)
    for whole, only in pairs:
        sys.stdout.write(f"whole training {whole:.1f} s, LightGBM alone {only:.1f} s, {whole / only:.2f} times\n")
    sys.stdout.write(f"{given.rows:,} rows, {trees} trees: {ratio:.2f} times, at most {TARGET} wanted\n")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
