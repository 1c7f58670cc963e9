"""The scores that a Bento gives to a whole data set at once: by its own code, away from any server."""

from pathlib import Path

from bentos import offline
from k8s.local.errors import NotRunningError
from training import event_rows
from training.datasets import Dataset


def scores(bento: Path, dataset: Dataset) -> dict[str, float]:
    """The score of each event by its id, exact to the last bit. Raises NotRunningError when the Bento can't do it."""
    try:
        answers = offline.score(offline.Program.of_bento(bento), event_rows.known_features(dataset))
    except offline.OfflineError as error:
        raise NotRunningError(f"the Bento in {bento} can't score offline: {error}") from error
    return dict(zip(dataset.frame["event_id"].tolist(), answers.scores.tolist(), strict=True))
