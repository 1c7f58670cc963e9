"""The demo's events: a file of one's own or made up, cut into what the models learn from and what is sent live."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final

from k8s.local.errors import NotEnoughDataError
from training import datasets, synthesize
from training.datasets import MINIMUM_ROWS, Dataset
from training.errors import NotEnoughDataError as TooFewToTrainError

MADE_UP_ROWS: Final = 40_000
LIVE_SHARE: Final = 0.25
MOST_LIVE: Final = 10_000
"""About half a minute of traffic; a longer file has more to learn from instead."""

CHAMPION_SHARE: Final = 0.6
"""The champion knows the older part of the history only, as a model that was trained a while ago."""


@dataclass(frozen=True)
class DemoData:
    """Three parts by time: `champion` is the older part of `challenger`, and `live` comes after both."""

    champion: Dataset
    challenger: Dataset
    live: Dataset


def made_up(seed: int, now: datetime, path: Path) -> Dataset:
    """Events by the recipe `plain` up to last midnight (UTC), also written to `path`."""
    end = datetime.combine(now.astimezone(UTC).date(), time.min, tzinfo=UTC)
    frame = synthesize.plain(MADE_UP_ROWS, seed, end)
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.write(frame, path)
    return datasets.read(path)


def cut(dataset: Dataset) -> DemoData:
    """The three parts; without times, rows are drawn. Raises NotEnoughDataError when a model can't be trained."""
    share = min(LIVE_SHARE, MOST_LIVE / len(dataset))
    history, live = datasets.split_newest(dataset, share)
    older, _ = datasets.split_newest(history, 1 - CHAMPION_SHARE)
    try:
        datasets.require_enough(older)
    except TooFewToTrainError as problem:
        needed = round(MINIMUM_ROWS / CHAMPION_SHARE / (1 - LIVE_SHARE), -2)
        raise NotEnoughDataError(
            f"the demo trains one of its two models on the oldest {(1 - share) * CHAMPION_SHARE:.0%} of the "
            f"{len(dataset):,} rows: {problem}. Give it a file with at least {needed:,.0f} rows and some of both labels"
        ) from problem
    return DemoData(champion=older, challenger=history, live=live)
