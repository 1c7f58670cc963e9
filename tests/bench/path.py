"""What a request costs inside our own code, part by part, in microseconds: `python -m tests.bench.path`.

In one process without a network, the best of several repetitions: what the serving bench's CPU figure is made of,
besides the HTTP parser, the event loop and the kernel.
"""

import tempfile
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bentos.risk_scorer import features, requests, scorer
from bentos.risk_scorer.events import Event
from bentos.risk_scorer.metrics import LogCounts, ScorerMetrics
from bentos.risk_scorer.scoring import Scoring
from tests.bench import serving

HEADERS = {
    b"host": b"127.0.0.1",
    b"content-type": b"application/json",
    b"content-length": b"102",
    b"x-request-id": b"6f1b0c7e-9a44-4d07-8f4c-0b7c9f0f2a11",
    b"x-entity-id": b"e-17",
}
BODY = b'{"amount":249.9,"hour":2,"device_risk":2,"velocity_5m":7,"account_age_days":100.5,"channel":"online"}'


class Sink:
    """A log that keeps nothing: the cost of its queue is a deque's append."""

    def append(self, line: bytes) -> None:
        """Take a line."""


def microseconds(call: Callable[[], object], number: int = 20_000) -> float:
    """The best of five repetitions."""
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def parts(model: Path) -> dict[str, Callable[[], object]]:
    """Each part of the path as a call, the whole last."""
    loaded = scorer.load(model, "risk_scorer:0123456789ab")
    scoring = Scoring(loaded, ScorerMetrics("stable", loaded.tag, native=True, log=LogCounts()), log=Sink())
    now = datetime.now(UTC)
    event = Event.model_validate_json(BODY)
    row = features.row(event)
    answered = scoring.begin(HEADERS)
    scoring.answer(answered, HEADERS, b"", BODY)

    def whole() -> None:
        exchange = scoring.begin(HEADERS)
        requests.refuse_body(HEADERS, len(BODY), 16_384)
        scoring.answer(exchange, HEADERS, b"", BODY)
        scoring.record(exchange)

    return {
        "begin: id, time, an empty row": lambda: scoring.begin(HEADERS),
        "validate: pydantic on the bytes": lambda: Event.model_validate_json(BODY),
        "read: validate, duplicates, entity, matrix row": lambda: requests.read(BODY, HEADERS, now),
        "predict: LightGBM, one row": lambda: loaded.booster.raw_row(row),
        "score: predict, calibrate": lambda: loaded.score_row(row),
        "log line": answered.row.line,
        "record: metrics, log line": lambda: scoring.record(answered),
        "the whole path": whole,
    }


@click.command()
@click.option("--trees", default=200, show_default=True, help="Trees of the model, 31 leaves each.")
def main(trees: int) -> None:
    """Print the table."""
    made = Table(title="Our own part of a request")
    made.add_column("part")
    made.add_column("us", justify="right")
    with tempfile.TemporaryDirectory(prefix="vigil-path-") as folder:
        serving.small_model(Path(folder) / "model", trees)
        for name, call in parts(Path(folder) / "model").items():
            made.add_row(name, f"{microseconds(call):.2f}")
    Console().print(made)


if __name__ == "__main__":
    main()
