"""The scores that a Bento gives to a whole data set at once: by its own code, away from any server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from bentos.risk_scorer.events import FEATURES
from k8s.local.errors import NotRunningError
from training.datasets import Dataset

_SECONDS: Final = 120
_PROGRAM: Final = """
import json, sys
from bentos.risk_scorer import features, identity, scorer
matrix = features.matrix(json.load(sys.stdin))
json.dump(scorer.load(identity.MODEL, "offline").score_matrix(matrix).tolist(), sys.stdout)
"""


def scores(bento: Path, dataset: Dataset) -> dict[str, float]:
    """The score of each event by its id, exact to the last bit. Raises NotRunningError when the Bento can't do it."""
    columns = {field.name: dataset.frame[field.name].tolist() for field in FEATURES}
    done = subprocess.run(  # noqa: S603 - our own program, without a shell
        [sys.executable, "-c", _PROGRAM],
        cwd=bento / "src",  # where `-c` imports from first
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(columns),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise NotRunningError(f"the Bento in {bento} can't score offline: {done.stderr.strip()[-1000:]}")
    return dict(zip(dataset.frame["event_id"].tolist(), json.loads(done.stdout), strict=True))
