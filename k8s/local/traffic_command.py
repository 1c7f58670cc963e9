"""`traffic`: a bounded load on a running stack."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from k8s.local import live_load, options, outgoing
from k8s.local.demo_data import made_up
from k8s.local.errors import CheckFailedError
from k8s.local.score_request import found_url
from k8s.local.state import HOME
from k8s.local.traffic import MOST_PER_SECOND, MOST_REQUESTS, MOST_SECONDS, Arrivals, Load
from training import datasets

_rate = click.FloatRange(0, MOST_PER_SECOND, min_open=True)
_lasting = click.FloatRange(0, MOST_SECONDS, min_open=True)
_count = click.IntRange(1, MOST_REQUESTS)


@click.command("traffic")
@options.url
@options.data
@click.option("--rps", type=_rate, default=50.0, help="Requests a second.")
@click.option("--seconds", type=_lasting, default=30.0, help="For how long.")
@click.option("--requests", type=_count, default=None, help="How many, instead of for how long.")
@click.option("--arrivals", type=click.Choice(get_args(Arrivals)), default="poisson", help="When each one is due.")
@click.option(
    "--pseudonyms", type=click.IntRange(1, 10_000), default=1, help="Deal each entity's events to so many pseudonyms."
)
@click.option("--while", "while_file", type=options.FILE, default=None, help="End in order when this file is gone.")
@options.seed
@click.option("--ledger", type=options.FILE, default=HOME / "traffic" / "ledger.jsonl", help="File for the answers.")
def command(  # noqa: PLR0913 - one argument an option
    *,
    url: str | None,
    data: Path | None,
    rps: float,
    seconds: float,
    requests: int | None,
    arrivals: Arrivals,
    pseudonyms: int,
    while_file: Path | None,
    seed: int,
    ledger: Path,
) -> None:
    """Send events to a running stack and show a live table. Ends with 1 when a request failed."""
    target = found_url(url)
    load = Load(rps, requests or max(round(rps * seconds), 1), arrivals)
    dataset = datasets.read(data) if data else made_up(seed, datetime.now(UTC), ledger.with_name("events.csv"))
    events: Iterator[outgoing.Outgoing] = outgoing.again_and_again(outgoing.requests(dataset.frame), pseudonyms)
    if while_file is not None:
        events = takewhile(lambda _: while_file.exists(), events)
    rng = random.Random(seed)  # noqa: S311 - arrival times, no secret
    entries = live_load.run(target, events, load, rng, live_load.Audience(ledger, Console()))
    click.echo(f"each answer is in {ledger}")
    if failed := sum(not each.answered for each in entries):
        raise CheckFailedError(f"{failed:,} of {len(entries):,} requests failed")
