"""Events of a data set as requests to POST /score.

A request's body holds every feature, null where it is not known, and the event's id. It leaves `occurred_at` out: the
data may be older than the 30 days that the scorer accepts, so what is replayed counts as happening now. The
entity goes into the header that the gateway splits by.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bentos.risk_scorer.events import FEATURES, FeatureField
from k8s.rollout.routers import ENTITY_HEADER


@dataclass(frozen=True)
class Outgoing:
    """A request to be sent."""

    event_id: str
    entity_id: str | None
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        entity = {} if self.entity_id is None else {ENTITY_HEADER: self.entity_id}
        return {"content-type": "application/json", **entity}


def requests(frame: pd.DataFrame) -> list[Outgoing]:
    """One request for each row of a `training.datasets.Dataset.frame`, in its order."""
    names = ["event_id", "entity_id", *(field.name for field in FEATURES)]
    columns = (frame[name].tolist() for name in names)
    return [_request(str(event), entity, values) for event, entity, *values in zip(*columns, strict=True)]


def again_and_again(once: list[Outgoing]) -> Iterator[Outgoing]:
    """The requests over and over; from the second time on as other events, with ids derived from theirs."""
    time = 1
    while once:
        yield from once if time == 1 else (_renamed(each, time) for each in once)
        time += 1


def _request(event_id: str, entity: Any, values: list[Any]) -> Outgoing:
    fields = {field.name: json_value(field, value) for field, value in zip(FEATURES, values, strict=True)}
    body = json.dumps({"event_id": event_id, **fields}, allow_nan=False).encode()
    return Outgoing(event_id, None if _is_missing(entity) else str(entity), body)


def json_value(field: FeatureField, value: Any) -> float | int | str | None:
    """A cell as the event's JSON has it: None when missing, an int for an integer field even if pandas kept a float.

    Raises ValueError for a fraction in an integer field.
    """
    if _is_missing(value):
        return None
    if field.kind == "category":
        return str(value)
    number = float(value)
    if field.kind == "number":
        return number
    if not number.is_integer():
        raise ValueError(f"{field.name} is {value!r}; expected a whole number")
    return int(number)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _renamed(request: Outgoing, time: int) -> Outgoing:
    # An id may be as long as it is allowed to be already, so the other one is no longer form of it.
    event_id = f"again-{hashlib.sha256(f'{time} {request.event_id}'.encode()).hexdigest()[:24]}"
    # The id is the body's first value, and pattern-checked, so it needs no escaping.
    body = request.body.replace(request.event_id.encode(), event_id.encode(), 1)
    return Outgoing(event_id, request.entity_id, body)
