"""Comparisons of a candidate with the stable model: added by `training compare`, read by the rollout."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from .migrations import Connection


@dataclass(frozen=True)
class Comparison:
    """A row of the table `comparisons`, whose schema says what each column is. All None: there is no prediction."""

    stable: str
    candidate: str
    made_at: datetime
    verdict: str
    numbers: dict[str, Any]
    inputs_from: datetime | None = None
    inputs_until: datetime | None = None
    entities: int | None = None
    net_flips: float | None = None
    net_flips_se: float | None = None
    score_difference: float | None = None
    score_difference_se: float | None = None
    flagged_ratio: float | None = None


_COLUMNS: Final[LiteralString] = (
    "stable, candidate, made_at, verdict, numbers, inputs_from, inputs_until, entities, net_flips, net_flips_se, "
    "score_difference, score_difference_se, flagged_ratio"
)
_ADD: Final[LiteralString] = f"""
    insert into comparisons ({_COLUMNS}) values (
        %(stable)s, %(candidate)s, %(made_at)s, %(verdict)s, %(numbers)s, %(inputs_from)s, %(inputs_until)s,
        %(entities)s, %(net_flips)s, %(net_flips_se)s, %(score_difference)s, %(score_difference_se)s, %(flagged_ratio)s
    )"""  # noqa: S608 - made of this module's own text
_NEWEST: Final[LiteralString] = f"""
    select {_COLUMNS} from comparisons where stable = %(stable)s and candidate = %(candidate)s
    order by made_at desc, id desc limit 1"""  # noqa: S608 - as above


def add(connection: Connection, comparison: Comparison) -> None:
    """Adds a row. Rows are never changed."""
    values = {field.name: getattr(comparison, field.name) for field in fields(comparison)}
    connection.execute(_ADD, values | {"numbers": Jsonb(comparison.numbers)})


def newest(connection: Connection, stable: str, candidate: str) -> Comparison | None:
    """The newest row of two models, by `made_at`; None when they were never compared."""
    with connection.cursor(row_factory=class_row(Comparison)) as cursor:
        return cursor.execute(_NEWEST, {"stable": stable, "candidate": candidate}).fetchone()
