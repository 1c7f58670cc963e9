"""The servers that the serving bench compares, as small as each of them is usually written.

Run as `python -m tests.bench.servers NAME PORT`, with the model's folder in SCORER_MODEL_DIR. All answer the same
event with the same model. Only ours keeps a prediction log and metrics.
"""

import os
import sys
from pathlib import Path
from typing import Any, Literal

import lightgbm
import numpy as np
import uvicorn
from pydantic import BaseModel, Field

from bentos.risk_scorer import model_files

MODEL = Path(os.environ["SCORER_MODEL_DIR"])
ANSWER = (
    b'{"event_id":"v0123456789abcdef-1","request_id":"6f1b0c7e-9a44-4d07-8f4c-0b7c9f0f2a11",'
    b'"score":0.0123456789,"decision":"approve","model_version":"risk_scorer:0123456789ab"}'
)


class Event(BaseModel):
    amount: float = Field(ge=0)
    hour: int = Field(ge=0, le=23)
    device_risk: int = Field(ge=0, le=2)
    velocity_5m: int = Field(ge=0)
    account_age_days: float | None = None
    channel: Literal["in_store", "online", "in_app", "phone", "recurring", "transfer"] | None = None


CHANNELS = ["in_store", "online", "in_app", "phone", "recurring", "transfer"]


def features(event: Event) -> list[float]:
    nan = float("nan")
    return [
        event.amount,
        event.hour,
        event.device_risk,
        event.velocity_5m,
        nan if event.account_age_days is None else event.account_age_days,
        nan if event.channel is None else CHANNELS.index(event.channel),
        event.amount * event.velocity_5m,
    ]


def booster() -> lightgbm.Booster:
    return lightgbm.Booster(model_file=str(MODEL / model_files.BOOSTER))


def fastapi_app() -> Any:
    """FastAPI with pydantic, and Booster.predict on an array."""
    from fastapi import FastAPI  # noqa: PLC0415 - the limit must not pay for it

    app, model = FastAPI(), booster()

    @app.post("/score")
    async def score(event: Event) -> dict[str, Any]:
        value = float(model.predict(np.array([features(event)]), num_threads=1)[0])
        return {"score": value, "decision": "review" if value > 0.5 else "approve"}

    return app


async def constant(scope: Any, receive: Any, send: Any) -> None:
    """The limit: the barest ASGI app, which reads nothing and always answers the same."""
    if scope["type"] == "http":
        length = b"%d" % len(ANSWER)
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})


def main(name: str, port: int) -> None:
    app = {"fastapi": fastapi_app, "constant": lambda: constant}[name]()
    uvicorn.run(app, host="127.0.0.1", port=port, http="httptools", loop="uvloop", access_log=False, log_level="error")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
