"""Days of traffic in a store, and a reference that they are like or unlike."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import psycopg

from bentos.risk_scorer.reference import Reference, ReferenceField
from monitoring import partitions

TAG = "risk_scorer:000000000001"
ROWS = 800
CHANNELS = ("online", "phone")


def reference() -> Reference:
    """28 days of 5,000 rows: amounts and scores even over ten bins, channels 7 : 3, 95 % approved, 1 % not known."""
    rng = np.random.default_rng(1)
    ten = [1.0 * edge for edge in range(1, 10)]
    shares = {"channel": (0.7, 0.3), "decision": (0.95, 0.04, 0.01)}
    categories = {"channel": CHANNELS, "decision": ("approve", "review", "block")}
    fields = {}
    for name in ("amount", "channel", "score", "decision"):
        missing = 50 if name in {"amount", "channel"} else 0
        drawn = rng.multinomial(5_000 - missing, shares.get(name, (0.1,) * 10), 28)
        edges = ten if name == "amount" else [edge / 10 for edge in ten]
        fields[name] = ReferenceField(
            kind="category" if name in categories else "number",
            edges=() if name in categories else tuple(edges),
            categories=categories.get(name, ()),
            daily=tuple(tuple(int(each) for each in day) for day in drawn),
            missing=(missing,) * 28,
        )
    return Reference(days=tuple(f"2026-01-{day:02}" for day in range(1, 29)), fields=fields)


def add_day(
    owner: psycopg.Connection,
    day: date,
    rows: int = ROWS,
    *,
    factor: float = 1.0,
    missing: float = 0.01,
    refused: int = 0,
    tag: str = TAG,
    role: str = "stable",
) -> None:
    """A day of rows like the reference; amounts times `factor`, a share of them `missing`, and `refused` requests."""
    partitions.ensure(owner, day - timedelta(days=1), 3)
    start = datetime.combine(day, time.min, tzinfo=UTC)
    owner.execute(
        _ANSWERED,
        {
            "day": str(day), "tag": tag, "role": role, "start": start, "rows": rows, "factor": factor,
            "missing": round(missing * rows),
        },
    )  # fmt: skip
    owner.execute(_REFUSED, {"day": str(day), "tag": tag, "role": role, "start": start, "rows": refused})
    owner.commit()


_ANSWERED = """
    insert into predictions
        (request_id, event_id, role, tag, scored_at, status, fields, score, decision, latency_us)
    select %(day)s || %(role)s || n, %(day)s || n, %(role)s, %(tag)s,
        %(start)s + n * interval '1 day' / %(rows)s, 200,
        jsonb_strip_nulls(jsonb_build_object(
            'amount', case when n >= %(missing)s then %(factor)s * ((n * 7) %% 100) / 10.0 end,
            'channel', case when n %% 10 < 7 then 'online' else 'phone' end
        )),
        ((n * 7) %% 100) / 100.0,
        case when n %% 100 < 95 then 'approve' when n %% 100 < 99 then 'review' else 'block' end, 900
    from generate_series(0, %(rows)s - 1) as n"""
_REFUSED = """
    insert into predictions (request_id, event_id, role, tag, scored_at, status, fields, latency_us)
    select %(day)s || 'bad' || n, %(day)s || 'bad' || n, %(role)s, %(tag)s, %(start)s, 422, '["amount"]', 900
    from generate_series(1, %(rows)s) as n"""
