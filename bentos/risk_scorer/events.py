"""The event: what a client sends to be scored, and everything that is known about each of its fields.

A field is declared once, as an attribute of `Event`: its type and range, its meaning, whether it may be
left out, and whether drift watches it. Validation, the model's matrix, the prediction log, the reference, the
evaluation's slices and the OpenAPI page are all derived from `Event` and `FEATURES`. To add a field, add an
attribute here (and a line in `features.py` if the model should see something other than its value).

A feature may be null, which means "not known". It may never be out of range, and there are no unknown fields:
a new field ships in the running version first, so that clients may then send it.
"""

import types
import typing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Le
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

OLDEST: Final = timedelta(days=30)
"""How far back `occurred_at` may lie when an event is scored: labels of older events are final."""

NEWEST: Final = timedelta(minutes=5)
"""How far ahead `occurred_at` may lie: room for clocks that disagree."""

PSEUDONYM_PATTERN: Final = r"^(?:[0-9]{1,11}|[0-9]{20,64}|[0-9_.:-]*[A-Za-z][A-Za-z0-9_.:-]*)$"
"""Letters, digits and `_ . : -`, with at least one letter. Digits alone are fine unless there are 12 to 19 of them,
which is what a card number looks like; a mail address or a name with a space never fits."""

Pseudonym = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PSEUDONYM_PATTERN)]

Channel = Literal["in_store", "online", "in_app", "phone", "recurring", "transfer"]


@dataclass(frozen=True)
class Feature:
    """Marks a field of `Event` as an input of the model.

    `words` name it in a reason, after "The"; by default its name does. `watch` says whether drift is measured on it: a
    field that is a function of the clock is not watched, because any window shorter than its period would seem to
    have drifted.
    """

    unit: str
    words: str = ""
    watch: bool = True


class Event(BaseModel):
    """One event to be scored. The four plain fields must be present (null when not known); the rest is optional."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [{"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}],
        },
    )

    amount: Annotated[float | None, Feature("account currency", "amount of the payment")] = Field(
        ge=0, le=1e9, description="Amount of the payment, in the account's currency."
    )
    hour: Annotated[int | None, Feature("hour of day", "hour of the day", watch=False)] = Field(
        ge=0, le=23, description="Local hour of day at which the event happened."
    )
    device_risk: Annotated[int | None, Feature("level", "risk level of the device")] = Field(
        ge=0, le=2, description="Risk level of the device: 0 known, 1 new, 2 suspicious."
    )
    velocity_5m: Annotated[int | None, Feature("events", "number of events in the last five minutes")] = Field(
        ge=0, le=1_000_000, description="Events of the same entity in the five minutes before this one."
    )
    account_age_days: Annotated[float | None, Feature("days", "age of the account in days")] = Field(
        default=None, ge=0, le=100_000, description="Days since the entity's account was opened."
    )
    channel: Annotated[Channel | None, Feature("channel", "channel of the payment")] = Field(
        default=None, description="How the payment was started."
    )

    event_id: Pseudonym | None = Field(
        default=None, description="The client's name for this event; made up and returned when absent."
    )
    entity_id: Pseudonym | None = Field(
        default=None, description="Pseudonym of the customer. Absent, or equal to the header x-entity-id."
    )
    occurred_at: AwareDatetime | None = Field(
        default=None,
        description="When the event happened, RFC 3339 with an offset; the time of arrival when absent. "
        "Refused when more than 30 days old or more than 5 minutes ahead.",
    )


@dataclass(frozen=True)
class FeatureField:
    """What the rest of Vigil needs to know of one feature of `Event`, read off its declaration."""

    name: str
    kind: Literal["number", "integer", "category"]
    unit: str
    words: str
    description: str
    required: bool
    watch: bool
    low: float | None
    high: float | None
    categories: tuple[str, ...]


def _feature_fields(model: type[BaseModel]) -> tuple[FeatureField, ...]:
    found = []
    for name, info in model.model_fields.items():
        mark = next((each for each in info.metadata if isinstance(each, Feature)), None)
        if mark is None:
            continue
        categories, number = _inner_type(info.annotation)
        found.append(
            FeatureField(
                name=name,
                kind="category" if categories else "integer" if number is int else "number",
                unit=mark.unit,
                words=mark.words or name.replace("_", " "),
                description=info.description or "",
                required=info.is_required(),
                watch=mark.watch,
                low=_bound(info.metadata, Ge, "ge"),
                high=_bound(info.metadata, Le, "le"),
                categories=categories,
            )
        )
    return tuple(found)


def _bound(metadata: list[Any], kind: type, attribute: str) -> float | None:
    return next((float(getattr(each, attribute)) for each in metadata if isinstance(each, kind)), None)


def _inner_type(annotation: Any) -> tuple[tuple[str, ...], type | None]:
    """The categories of `Literal[...] | None`, or the number type of `float | None`."""
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    (inner,) = (option for option in options if option is not type(None))
    if typing.get_origin(inner) is Literal:
        return tuple(typing.get_args(inner)), None
    if inner not in (int, float):
        raise TypeError(f"a feature is a number, an integer or a Literal of strings, each '| None'; got {annotation!r}")
    return (), inner


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (types.UnionType, typing.Union)


FEATURES: Final = _feature_fields(Event)
"""The features of `Event`, in the order of their declaration."""


def time_problem(occurred_at: datetime, now: datetime) -> str | None:
    """Why an event of that time can't be scored now, or None when it can. Both times carry an offset."""
    if occurred_at < now - OLDEST:
        return f"is more than {OLDEST.days} days before now ({now.astimezone(UTC).isoformat(timespec='seconds')})"
    if occurred_at > now + NEWEST:
        return f"is more than 5 minutes after now ({now.astimezone(UTC).isoformat(timespec='seconds')})"
    return None
