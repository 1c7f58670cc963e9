"""The controller's log: structured events with stable names, one line each, on standard error.

The event is the logging call's message, its fields are what `extra` gave:
`_log.info("rollout.step", extra={"words": ...})`.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

REPEAT_SECONDS: Final = 60.0
"""A problem that stays is said again so often, not at every tick."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """A record as one line: JSON, or for a person."""

    def __init__(self, form: Literal["json", "text"]) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content = {"at": at, "level": record.levelname.lower(), "event": record.getMessage(), **_fields(record)}
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        if self._form == "json":
            return json.dumps(content, ensure_ascii=False, default=str)
        at, level, event = content.pop("at"), content.pop("level"), content.pop("event")
        rest = " ".join(" ".join(str(value).split()) for value in content.values() if value not in (None, {}))
        return f"{at} {level} {event} {rest}".rstrip()


class Seldom(logging.Filter):
    """Lets a warning through that is new, and one that stays once in a while."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._ticks = ticks
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        now = self._ticks()
        self._said = {key: at for key, at in self._said.items() if now - at < REPEAT_SECONDS}
        key = f"{record.getMessage()} {_fields(record)}"
        if key in self._said:
            return False
        self._said[key] = now
        return True


def install(form: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """From now on this process logs so: our events from info on, libraries' from warning on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(form))
    handler.addFilter(Seldom())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("k8s").setLevel(logging.INFO)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` gave. An `event` in it is its number: the event itself is the message."""
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if "event" in given:
        given["number"] = given.pop("event")
    return given
