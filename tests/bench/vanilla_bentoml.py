"""A BentoML service as its documentation writes one: a typed API, and scikit-learn's predict on a DataFrame."""

import bentoml
import lightgbm
import pandas as pd

from bentos.risk_scorer import model_files
from bentos.risk_scorer.features import COLUMNS
from tests.bench.servers import MODEL, Event, features


@bentoml.service(workers=1)
class Vanilla:
    def __init__(self) -> None:
        booster = lightgbm.Booster(model_file=str(MODEL / model_files.BOOSTER))
        self.model = lightgbm.LGBMClassifier(n_jobs=1)
        self.model.fit(pd.DataFrame([[0.0] * len(COLUMNS), [1.0] * len(COLUMNS)], columns=COLUMNS), [0, 1])
        self.model._Booster = booster

    @bentoml.api
    def score(self, event: Event) -> dict[str, float]:
        frame = pd.DataFrame([features(event)], columns=COLUMNS)
        return {"score": float(self.model.predict_proba(frame, num_threads=1)[0, 1])}
