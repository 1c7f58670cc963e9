"""How long the drift job takes for a day of a million rows and of ten, and how much memory; beside Evidently's preset.

    python tests/bench/drift_speed.py [--rows 1000000 --rows 10000000] [--runs 3]

Fills a real PostgreSQL with days of these sizes. Each side is a process of its own, and they take turns. Ours is all
that the job does with a day: the store counts it, the rule judges it, Evidently draws the counts. The other is
Evidently's DataDriftPreset on the rows themselves, of the smallest size only: it gets them as a frame, and to read them
into one is not in its time. Both find their modules compiled, as in an image: the first round is not measured.
Exit code 1 when a day of the smallest size takes us more than half of the preset's time, or the largest takes more
than a tenth more memory than the smallest.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import psycopg

REFERENCE_ROWS = 1_000_000
"""Of the preset's other side: 28 days of 36,000 events."""
DAY = date(2026, 3, 2)
TAG = "risk_scorer:000000000001"
MOST_TIME, MOST_GROWTH = 0.5, 1.1

_FILL = """
    insert into predictions (role, request_id, event_id, entity_id, tag, occurred_at, scored_at, status, fields, score,
        decision, latency_us)
    select 'stable', 'r' || n, 'e' || n, 'c' || n % 100000, %(tag)s, at, at, 200,
        jsonb_strip_nulls(jsonb_build_object(
            'amount', case when n % 500 <> 0 then round(exp(random_normal(3.2, 1.1))::numeric, 2) end,
            'hour', n % 24,
            'device_risk', case when n % 50 <> 0 then (random() < 0.1)::int + (random() < 0.02)::int end,
            'velocity_5m', floor(-ln(1 - random()) / 1.4),
            'account_age_days', case when n % 28 <> 0 then floor(-ln(1 - random()) * 700) end,
            'channel', (array['in_store', 'online', 'recurring', 'transfer', 'phone'])[1 + floor(5 * random() ^ 2)::int]
        )),
        score, case when score < 0.9 then 'approve' when score < 0.98 then 'review' else 'block' end, 900
    from generate_series(1, %(rows)s::bigint) as n
    cross join lateral (
        select %(start)s::timestamptz + interval '1 day' * (n - 1) / %(rows)s as at, random() ^ 3 as score
    ) as drawn
"""
_ROWS = """
    copy (
        select fields ->> 'amount', fields ->> 'device_risk', fields ->> 'velocity_5m', fields ->> 'account_age_days',
            fields ->> 'channel', score
        from predictions where scored_at >= {start} and scored_at < {end}
    ) to stdout (format csv)
"""
COLUMNS = ("amount", "device_risk", "velocity_5m", "account_age_days", "channel", "score")


@click.command()
@click.option("--rows", "sizes", type=click.IntRange(10_000), multiple=True, default=(1_000_000, 10_000_000))
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
def main(sizes: tuple[int, ...], runs: int) -> None:
    """Measure the drift job and Evidently's preset on the same days."""
    from k8s.local import postgres as local_postgres  # noqa: PLC0415 - a measured process has nothing that it needs not

    folder = Path(tempfile.mkdtemp(prefix="vigil-drift-"))
    try:
        with local_postgres.running(folder) as server:
            found = _measured(server.dsn(), folder, sorted(sizes), runs)
    finally:
        local_postgres.discard(folder)
    sys.exit(0 if _told(found) else 1)


def _measured(dsn: str, folder: Path, sizes: list[int], runs: int) -> dict[str, list[dict[str, float]]]:
    from monitoring import migrations, partitions  # noqa: PLC0415 - as above

    days = {DAY + timedelta(days=2 * number): size for number, size in enumerate(sizes)}
    with psycopg.connect(dsn, autocommit=True) as owner:
        migrations.migrate(owner, {})
        partitions.ensure(owner, DAY, 2 * len(sizes))
        for day, size in days.items():
            began = time.monotonic()
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            owner.execute(_FILL.replace("% ", "%% "), {"tag": TAG, "rows": size, "start": start})
            _say(f"filled a day with {size:,} rows in {time.monotonic() - began:.0f} s")
        owner.execute("vacuum analyze predictions")
        _export(owner, folder / "day.csv")
        reference = folder / "reference.json"
        reference.write_text(_reference(folder / "day.csv"), encoding="utf-8")
    found: dict[str, list[dict[str, float]]] = {}
    compiled = folder / "compiled"
    for _ in range(1 + runs):
        for day, size in days.items():
            ours = _run(compiled, "ours", dsn, str(reference), str(day))
            found.setdefault(f"ours, {size:,} rows", []).append(ours)
        preset = _run(compiled, "preset", str(folder / "day.csv"))
        found.setdefault(f"the preset, {sizes[0]:,} rows", []).append(preset)
    return {name: measured[1:] for name, measured in found.items()}


def _export(owner: psycopg.Connection[Any], file: Path) -> None:
    """The first day's rows, as whoever uses the preset has them."""
    query = _ROWS.format(start=f"'{DAY} 00:00+00'", end=f"'{DAY + timedelta(days=1)} 00:00+00'")
    with owner.cursor().copy(query) as copy, file.open("wb") as target:
        for data in copy:
            target.write(data)


def _reference(file: Path) -> str:
    """A reference of 28 days that are like the day, made of its first rows with the scorer's own bins."""
    from bentos.risk_scorer import reference as bins  # noqa: PLC0415 - as above
    from bentos.risk_scorer.events import FEATURES  # noqa: PLC0415 - as above

    frame = _frame(file, 168_000)
    parts = np.array_split(np.arange(len(frame)), 28)
    fields = {}
    for field in (each for each in FEATURES if each.watch):
        values = frame[field.name].to_numpy()
        if bins.is_number(field):
            edges = bins.number_edges(values.astype(float))
            counted = [bins.number_counts(values[part].astype(float), edges) for part in parts]
            kind: dict[str, Any] = {"kind": "number", "edges": edges}
        else:
            counted = [bins.category_counts(values[part], field.categories) for part in parts]
            kind = {"kind": "category", "categories": field.categories}
        fields[field.name] = bins.ReferenceField(
            **kind, daily=tuple(day for day, _ in counted), missing=tuple(none for _, none in counted)
        )
    scores = frame["score"].to_numpy()
    edges = bins.number_edges(scores)
    daily = tuple(bins.number_counts(scores[part], edges)[0] for part in parts)
    fields[bins.SCORE] = bins.ReferenceField(kind="number", edges=edges, daily=daily, missing=(0,) * 28)
    days = tuple(str(DAY - timedelta(days=28 - number)) for number in range(28))
    return bins.Reference(days=days, fields=fields).model_dump_json()


def _frame(file: Path, rows: int | None = None) -> Any:
    import pandas as pd  # noqa: PLC0415 - as above

    return pd.read_csv(file, names=COLUMNS, nrows=rows)


def _run(compiled: Path, *words: str) -> dict[str, float]:
    """Seconds and megabytes of a process that finds its modules compiled in a folder, or compiles them there."""
    command = [sys.executable, "-m", "tests.bench.drift_speed", "--side", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(compiled)
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _side(name: str, *words: str) -> None:
    seconds = _ours(*words) if name == "ours" else _preset(*words)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _say(json.dumps({"seconds": seconds, "megabytes": peak}))


def _ours(dsn: str, file: str, day: str) -> float:
    from bentos.risk_scorer.reference import Reference  # noqa: PLC0415 - as above
    from monitoring import drift, evidently_report, windows  # noqa: PLC0415 - as above

    began = time.monotonic()
    made = Reference.model_validate_json(Path(file).read_bytes())
    with psycopg.connect(dsn) as connection:
        window = windows.count(connection, date.fromisoformat(day), TAG, made).window
    report = drift.judge(window, drift.calibrated(made))
    rendered = evidently_report.render(window, made, report)
    assert rendered is not None
    assert report.verdict is drift.Verdict.OK, report.reason
    return time.monotonic() - began


def _preset(file: str) -> float:
    frame = _frame(Path(file))
    reference = frame.sample(REFERENCE_ROWS, replace=True, random_state=1).reset_index(drop=True)
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Report  # noqa: PLC0415 - in its time, as in ours
        from evidently.presets import DataDriftPreset  # noqa: PLC0415 - as above

        snapshot = Report([DataDriftPreset()]).run(frame, reference)
        assert snapshot.dict()["metrics"]
        assert snapshot.get_html_str(as_iframe=False)
    return time.monotonic() - began


def _told(found: dict[str, list[dict[str, float]]]) -> bool:
    """Says the medians and what they come to."""
    middle = {
        name: {key: statistics.median(each[key] for each in runs) for key in runs[0]} for name, runs in found.items()
    }
    for name, each in middle.items():
        _say(f"{name}: {each['seconds']:.1f} s, {each['megabytes']:.0f} MB")
    *ours, preset = middle.values()
    time_, memory = ours[0]["seconds"] / preset["seconds"], ours[-1]["megabytes"] / ours[0]["megabytes"]
    _say(f"{time_:.2f} of the preset's time, {ours[0]['megabytes'] / preset['megabytes']:.2f} of its memory")
    _say(f"{memory:.2f} times the memory for the largest day")
    return time_ <= MOST_TIME and memory <= MOST_GROWTH


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        _side(*sys.argv[2:])
    else:
        main()
