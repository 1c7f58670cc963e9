"""From a request's bytes to a row of the model's matrix, or to a problem that names every mistake."""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import problems
from .events import FEATURES, PSEUDONYM_PATTERN, Event, time_problem
from .features import row as feature_row
from .problems import Refused

Headers = dict[bytes, bytes]
Content = TypeVar("Content", bound=BaseModel)

_PSEUDONYM: Final = re.compile(PSEUDONYM_PATTERN)
_LONGEST_ID: Final = 64
_STRINGS: Final = ("event_id", "entity_id", "occurred_at", *(f.name for f in FEATURES if f.kind == "category"))


class ClientLeftError(Exception):
    """The client closed the connection before its request was whole."""


class Read(NamedTuple):
    """A request that can be scored: its event, the event as a row of the matrix, and the entity it is counted for."""

    event: Event
    row: list[float]
    entity_id: str | None


async def body(headers: Headers, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], most: int) -> bytes:
    """The whole body. Raises Refused as soon as it is clear that the body is too large or no JSON."""
    refuse_body(headers, 0, most)
    content, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        content += message.get("body", b"")
        refuse_body(headers, len(content), most)
        more = message.get("more_body", False)
    return content


def refuse_body(headers: Headers, length: int, most: int) -> None:
    """Raise Refused for another content type than JSON (415), or a body of more than `most` bytes (413)."""
    content_type = headers.get(b"content-type", b"application/json")
    if content_type != b"application/json" and content_type.split(b";")[0].strip().lower() != b"application/json":
        raise Refused(problems.wrong_content_type(content_type.decode("latin-1")))
    declared = headers.get(b"content-length", b"0")
    if length > most or (declared.isdigit() and int(declared) > most):
        raise Refused(problems.too_large(most))


MOST_EVENTS: Final = 1_000
"""Most events that any setting can allow in a batch: validation ends there, so a huge one costs no more."""


class Batch(BaseModel):
    """A body with many events."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    events: tuple[Event, ...] = Field(
        min_length=1, max_length=MOST_EVENTS, description="The events, at least one; each as for /score."
    )


def read(content: bytes, headers: Headers, now: datetime) -> Read:
    """The event of a body, validated. Raises Refused: 400 for broken JSON, 422 with every field's problem."""
    event = _validated(Event, content)
    _refuse_duplicates(content, (event,))
    entity_id, header = _entity(event, headers)
    if wrong := _contradictions(event, entity_id, header, now):
        raise Refused(problems.invalid_event(tuple(wrong)))
    return Read(event, feature_row(event), entity_id)


def read_batch(content: bytes, headers: Headers, now: datetime, most: int) -> list[Read]:
    """The events of a body, in order. Raises Refused as `read` does; a problem's field begins with events.NUMBER."""
    events = _validated(Batch, content).events
    if len(events) > most:
        raise Refused(problems.invalid_event((("events", f"has {len(events)}; at most {most} are taken at once"),)))
    _refuse_duplicates(content, events, outer_keys=1)
    wrong: list[tuple[str, str]] = []
    reads = []
    seen: set[str] = set()
    for number, event in enumerate(events):
        entity_id, header = _entity(event, headers)
        found = _contradictions(event, entity_id, header, now)
        if event.event_id is not None and event.event_id in seen:
            found.append(("event_id", "stands in this batch already: an event is scored once a request"))
        seen.add(event.event_id or "")
        wrong += [(f"events.{number}.{field}", problem) for field, problem in found]
        reads.append(Read(event, feature_row(event), entity_id))
    if wrong:
        raise Refused(problems.invalid_event(tuple(wrong)))
    return reads


def _validated(model: type[Content], content: bytes) -> Content:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise Refused(problems.from_validation(error)) from None


def _entity(event: Event, headers: Headers) -> tuple[str | None, str | None]:
    """The entity that a request is counted for, and what its header says."""
    given = headers.get(b"x-entity-id")
    header = None if given is None else given.decode("latin-1")
    return (event.entity_id if header is None else header), header


def header_entity(headers: Headers) -> str | None:
    """The entity that the header names; None when it names none, or no pseudonym."""
    header = headers.get(b"x-entity-id", b"").decode("latin-1")
    return header if len(header) <= _LONGEST_ID and _PSEUDONYM.fullmatch(header) else None


def _contradictions(event: Event, entity_id: str | None, header: str | None, now: datetime) -> list[tuple[str, str]]:
    """What is wrong with a valid event beside its header and the clock, as (field, problem) pairs."""
    wrong = []
    if header is not None and not (len(header) <= _LONGEST_ID and _PSEUDONYM.fullmatch(header)):
        wrong.append(("header x-entity-id", "must be a pseudonym as entity_id in /openapi.json"))
    elif event.entity_id is not None and event.entity_id != entity_id:
        wrong.append(("entity_id", "differs from the header x-entity-id: leave it out, or make them equal"))
    if event.occurred_at is not None and (problem := time_problem(event.occurred_at, now)):
        wrong.append(("occurred_at", problem))
    return wrong


def wants_reasons(query: bytes) -> bool:
    """Whether the query asks for reasons: explain=true. Anything else there is refused rather than ignored."""
    if not query:
        return False
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if len(pairs) == 1 and pairs[0] in {("explain", "true"), ("explain", "false")}:
        return pairs[0][1] == "true"
    raise Refused(problems.invalid_event((("query", "takes explain=true or explain=false, and nothing else"),)))


def _refuse_duplicates(content: bytes, events: Sequence[Event], outer_keys: int = 0) -> None:
    """Refuse an object that says a key twice, where parsers differ in which one counts.

    A valid event has two quotes for each key and two for each string, and no value in which one could hide: only when
    there are more is the body parsed again.
    """
    quoted = outer_keys
    for event in events:
        quoted += len(event.model_fields_set)
        for name in _STRINGS:
            if getattr(event, name) is not None:
                quoted += 1
    if content.count(b'"') != 2 * quoted:
        json.loads(content, object_pairs_hook=_refuse_said_twice)


def _refuse_said_twice(pairs: list[tuple[str, Any]]) -> None:
    counted = Counter(key for key, _ in pairs)
    if twice := [key[:40] for key, count in counted.items() if count > 1][:5]:
        raise Refused(problems.invalid_json(f"said more than once: {', '.join(twice)}"))
