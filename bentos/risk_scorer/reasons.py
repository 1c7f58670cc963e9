"""Why a score is high, in words that a case worker understands.

A reason is a column of the model that raised this event's score above the average event's, by its TreeSHAP contribution
(Lundberg et al., 2020, exact for trees). It says what the model went by. It is no cause, and no proof.
"""

from typing import Final

from pydantic import BaseModel, Field

from .events import FEATURES, Event
from .features import DERIVED

MOST: Final = 4
"""How many reasons are given at most: what a notice of adverse action usually names."""

_WORDS: Final = {field.name: field.words for field in FEATURES}


class Reason(BaseModel):
    """One reason of an answer."""

    code: str = Field(description="Stable name of the reason: the column, and _UNKNOWN when its value is missing.")
    text: str = Field(description="The reason in a sentence.")
    effect: float = Field(description="How much it raised the score, in log-odds.")


def reasons(event: Event, contributions: dict[str, float]) -> list[Reason]:
    """At most `MOST` reasons, the strongest first; none when nothing raised the score."""
    raised = sorted(((effect, column) for column, effect in contributions.items() if effect > 0), reverse=True)
    return [_reason(event, column, effect) for effect, column in raised[:MOST]]


def _reason(event: Event, column: str, effect: float) -> Reason:
    fields = DERIVED.get(column, (column,))
    unknown = [name for name in fields if getattr(event, name) is None]
    if unknown:
        text = f"{_listed(unknown)} not known, which raised the risk."
        return Reason(code=f"{column.upper()}_UNKNOWN", text=text, effect=effect)
    values = " together with the ".join(f"{_WORDS[name]} ({_shown(getattr(event, name))})" for name in fields)
    return Reason(code=column.upper(), text=f"The {values} raised the risk.", effect=effect)


def _listed(names: list[str]) -> str:
    words = " and the ".join(_WORDS[name] for name in names)
    return f"The {words} {'is' if len(names) == 1 else 'are'}"


def _shown(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value).replace("_", " ")
