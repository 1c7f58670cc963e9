"""What can be wrong with a request: problem details after RFC 9457, one for each kind of mistake."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pydantic import ValidationError

CLOSE: Final = (b"connection", b"close")
"""The header of an answer after which the connection ends."""

_SHOWN: Final = 40
_MOST_ERRORS: Final = 50
"""Errors that are named: an answer must not be a hundred times what was sent."""


@dataclass(frozen=True)
class Problem:
    """A refused request. `name` ends the problem's type URI; `errors` has a (field, problem) pair for each mistake."""

    status: int
    name: str
    title: str
    detail: str
    errors: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def fields(self) -> set[str]:
        """What is wrong, without its place in a batch: `amount`, also where it is `events.3.amount`."""
        return {name.rpartition(".")[2] for name, _ in self.errors}

    def body(self, request_id: str) -> bytes:
        """The problem as application/problem+json."""
        return json.dumps(
            {
                "type": f"urn:vigil:problem:{self.name}",
                "title": self.title,
                "status": int(self.status),
                "detail": self.detail,
                "errors": [{"field": name, "problem": problem} for name, problem in self.errors],
                "request_id": request_id,
            },
            ensure_ascii=False,
        ).encode()


class Refused(Exception):  # noqa: N818 - an outcome of a request, not a fault
    """A request that gets a problem instead of a score."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def not_found(path: str, paths: Iterable[str]) -> Problem:
    """404."""
    return Problem(HTTPStatus.NOT_FOUND, "not-found", "No such path", f"{path[:_SHOWN]} is none of {', '.join(paths)}")


def wrong_method(path: str, method: str, right: str) -> Problem:
    """405."""
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Wrong method",
        f"{path} takes {right}, not {method[:_SHOWN]}",
        headers=((b"allow", right.encode()),),
    )


def wrong_content_type(given: str) -> Problem:
    """415."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "wrong-content-type",
        "The body must be JSON",
        f"content-type is {given[:_SHOWN]}; send 'content-type: application/json'",
    )


def too_large(most: int) -> Problem:
    """413. The rest of the body is not read, so the connection ends."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-large",
        "The body is too large for an event",
        f"at most {most} bytes are read",
        headers=(CLOSE,),
    )


def client_left() -> Problem:
    """499, as nginx has it: the client left before its request was whole.

    Nobody reads this answer. It is given because a middleware that waits for one would wait for ever.
    """
    return Problem(499, "client-left", "The client left", "the connection ended before the request was whole")


def crowded(most: int) -> Problem:
    """503: too many requests wait for each other."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "crowded",
        "Too many requests at once",
        f"more than {most} wait to be answered here; try again in a second",
        headers=((b"retry-after", b"1"),),
    )


def internal() -> Problem:
    """500: a fault of ours, never of the input."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "The scorer failed",
        "the request was right, or was not refused as it should have been; the log has this request_id",
    )


def invalid_event(errors: tuple[tuple[str, str], ...]) -> Problem:
    """422: the body is JSON, but no event."""
    named = tuple((name[:_SHOWN], problem) for name, problem in errors[:_MOST_ERRORS])
    fields = ", ".join(dict.fromkeys(name for name, _ in named))
    more = f" and {len(errors) - len(named)} more" if len(errors) > len(named) else ""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-event",
        "The event can't be scored as it is",
        f"{len(errors)} problem(s), in: {fields}{more}. /openapi.json describes each field.",
        named,
    )


def invalid_json(detail: str) -> Problem:
    """400: the body is no JSON object, or one that says a thing twice."""
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-json", "The body is not a JSON object that can be read", detail)


def from_validation(error: ValidationError) -> Problem:
    """The problem for what pydantic found: every wrong field, none of its values repeated at length."""
    found = error.errors(include_url=False)
    broken = next((each for each in found if each["type"] == "json_invalid"), None)
    if broken is not None:
        return invalid_json(str(broken["msg"]))
    return invalid_event(tuple((".".join(map(str, each["loc"])) or "body", _said(each)) for each in found))


def _said(error: Any) -> str:
    """What is wrong, in a sentence. The value is shown cut short: nobody gains from a long one sent back."""
    kind, message = error["type"], error["msg"]
    if kind == "missing":
        return "is required; send null when it is not known"
    if kind == "extra_forbidden":
        return "is not a field of the event"
    if kind == "string_pattern_mismatch":
        return "must be 1 to 64 of A-Z a-z 0-9 _ . : - with a letter, and not look like a card number"
    value = json.dumps(error["input"], default=str)
    return f"{message}; got {value[:_SHOWN]}{'...' if len(value) > _SHOWN else ''}"
