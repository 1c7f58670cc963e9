"""PR-AUC of one set of scores under many weightings of its rows, sorted only once."""

import numpy as np
from numpy.typing import NDArray


class Ranking:
    """Rows sorted from the highest score to the lowest, tied scores kept together."""

    def __init__(self, labels: NDArray[np.int8], scores: NDArray[np.float64]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._labels = labels[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.diff(scores[self._order], append=np.nan))

    def pr_auc(self, weights: NDArray[np.int64]) -> float:
        """Average precision with a weight a row, as scikit-learn's with sample_weight; NaN when no positive weighs."""
        weight = weights[self._order].astype(np.float64)
        positives = np.cumsum(weight * self._labels)[self._ends]
        if positives[-1] == 0:
            return float("nan")
        flagged = np.cumsum(weight)[self._ends]
        precision = np.divide(positives, flagged, out=np.zeros_like(positives), where=flagged > 0)
        return float(np.diff(positives, prepend=0.0) @ precision / positives[-1])
