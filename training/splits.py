"""The data set in three parts, oldest first: 60 % to train, 20 % to calibrate, 20 % to test.

Each part only ever sees the past of the next one, as the model will in service. Events of the same moment stay in
one part. Without times the rows are drawn at random, each entity's rows in one part.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from .datasets import Dataset, boundary, ordered
from .errors import NotEnoughDataError

TRAIN_SHARE: Final = 0.6
CALIBRATION_SHARE: Final = 0.2
MINIMUM_OF_A_CLASS: Final = 5
"""Fewer positives or negatives in a part, and its calibration or its PR-AUC would be chance."""


@dataclass(frozen=True)
class Parts:
    """Three disjoint data sets that together are all of it; `by_time` tells how they were cut."""

    train: Dataset
    calibration: Dataset
    test: Dataset
    by_time: bool


def three_parts(dataset: Dataset, seed: int) -> Parts:
    """The parts of a data set. The seed matters only without times.

    Raises NotEnoughDataError when a part has too few positives or negatives.
    """
    order, keys = ordered(dataset, seed)
    cuts = [boundary(keys, TRAIN_SHARE), boundary(keys, TRAIN_SHARE + CALIBRATION_SHARE)]
    train, calibration, test = (dataset.take(rows) for rows in np.split(order, cuts))
    parts = Parts(train, calibration, test, dataset.has_times)
    for name, part in (("training", train), ("calibration", calibration), ("test", test)):
        require_classes(part, f"the {name} part")
    return parts


def require_classes(dataset: Dataset, what: str) -> None:
    """Raise NotEnoughDataError when the data set, called `what`, has too few rows of one class."""
    for label, count in (("positives", dataset.positives), ("negatives", len(dataset) - dataset.positives)):
        if count < MINIMUM_OF_A_CLASS:
            raise NotEnoughDataError(
                f"{what} has {count} {label} among {len(dataset)} rows, and at least {MINIMUM_OF_A_CLASS} are needed; "
                "bring more data, or data that covers more time"
            )
