"""Events of a data set as requests to POST /score.

A request's body holds every feature, null where it is not known, and the event's id. It leaves `occurred_at` out: the
data may be older than the 30 days that the scorer accepts, so what is replayed counts as happening now. The
entity goes into the header that the gateway splits by.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
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


def again_and_again(once: list[Outgoing], pseudonyms: int = 1) -> Iterator[Outgoing]:
    """The requests over and over; from the second time on as other events, with ids derived from theirs.

    Each entity's events are dealt in turns to so many pseudonyms: a file may have fewer entities than a split needs.
    """
    time, turns = 1, Counter[str]()
    while once:
        for each in once:
            sent = each if time == 1 else _renamed(each, time)
            if each.entity_id is not None and pseudonyms > 1:
                turn = turns[each.entity_id] % pseudonyms
                turns[each.entity_id] += 1
                sent = replace(sent, entity_id=_other(each.entity_id, turn) if turn else each.entity_id)
            yield sent
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
    event_id = _other(request.event_id, time)
    # The id is the body's first value, and pattern-checked, so it needs no escaping.
    body = request.body.replace(request.event_id.encode(), event_id.encode(), 1)
    return Outgoing(event_id, request.entity_id, body)


def _other(name: str, time: int) -> str:
    """Another id. One may be as long as it is allowed to be already, so the other one is no longer form of it."""
    return f"again-{hashlib.sha256(f'{time} {name}'.encode()).hexdigest()[:24]}"
