"""One event, scored over HTTP: what `score` sends and how its outcome is told."""

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from bentos.risk_scorer.events import FEATURES, Event
from k8s.local.errors import NotRunningError, UsageError
from k8s.local.state import DEFAULT, DEMO, State, owner
from k8s.rollout.routers import ENTITY_HEADER

_ANSWER_SECONDS: Final = 10.0
_EXAMPLE: Final[dict[str, Any]] = Event.model_json_schema()["examples"][0]


@dataclass(frozen=True)
class Answer:
    """The status, and the body as indented JSON."""

    status: int
    body: str


def curl_line(url: str) -> str:
    """A command that scores an example event."""
    headers = f"-H 'content-type: application/json' -H '{ENTITY_HEADER}: customer-1'"
    return f"curl -s {url}/score {headers} -d '{json.dumps(_EXAMPLE)}'"


def found_url(given: str | None) -> str:
    """Where to send: what was given, or the stack that runs below this folder. Raises NotRunningError."""
    running = (owner(State(folder)) for folder in (DEFAULT, DEMO))
    url = given or next((each.url for each in running if each and each.url), None)
    if url is None:
        raise NotRunningError("no stack runs here: start one with `python -m k8s.local up`, or give its --url")
    return url.rstrip("/")


def event_text(whole: str | None, values: dict[str, Any]) -> str:
    """The body: `whole` as it is, or the features that have a value, with null for the required ones that have none.

    Raises UsageError when there are both, or none.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if (whole is None) == (not given):
        raise UsageError("give the event's fields as options, or the whole event with --json: one of the two")
    required = {field.name: None for field in FEATURES if field.required}
    return json.dumps({**required, **given}) if whole is None else whole


def post(url: str, body: str, entity: str | None) -> Answer:
    """What POST /score answers. Raises NotRunningError when nothing does, UsageError for what can't be sent."""
    if entity is not None and not (entity.isascii() and entity.isprintable()):
        raise UsageError(f"{entity!r} can't stand in a header: an entity is a pseudonym of letters, digits and _ . : -")
    headers = {"content-type": "application/json", **({ENTITY_HEADER: entity} if entity else {})}
    host, port = _address(url)
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", "/score", body.encode(), headers)
        answer = connection.getresponse()
        return Answer(answer.status, _indented(answer.read()))
    except (OSError, http.client.HTTPException) as problem:
        raise NotRunningError(f"{url} does not answer: {problem}") from problem
    finally:
        connection.close()


def _address(url: str) -> tuple[str, int]:
    try:
        place = urlsplit(url)
        if place.scheme == "http" and place.hostname:
            return place.hostname, place.port or 80
    except ValueError:  # a bracket that does not close, a port that is none
        pass
    raise UsageError(f"{url!r} is no address of a gateway, such as http://127.0.0.1:8000")


def _indented(content: bytes) -> str:
    try:
        return json.dumps(json.loads(content), indent=2)
    except ValueError:
        return content.decode(errors="replace")
