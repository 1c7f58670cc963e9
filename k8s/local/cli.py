"""Commands of the local stack: up, score, traffic, demo. The exit codes are listed in `errors`."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import click
from rich.console import Console

from bentos.artifacts import ArtifactError, pull
from bentos.risk_scorer.events import FEATURES
from k8s.local import bentos_made, live_load, outgoing
from k8s.local.demo import Demo, DemoOptions
from k8s.local.demo_data import made_up
from k8s.local.envoy import NoEnvoyError
from k8s.local.errors import INTERRUPTED, CheckFailedError, DataError, LocalError, NotRunningError
from k8s.local.gateway_manifests import ManifestError
from k8s.local.interrupts import Interrupted, Interrupts
from k8s.local.postgres import PostgresError
from k8s.local.processes import Supervisor
from k8s.local.score_command import curl_line, event_text, feature_option, found_url, post
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import ARTIFACTS, DEFAULT, DEMO, HOME, State, StateLock
from k8s.local.story import Story
from k8s.local.traffic import MOST_PER_SECOND, MOST_REQUESTS, MOST_SECONDS, Arrivals, Load
from k8s.rollout.routers import Role, RouterError, Split
from monitoring.errors import MonitoringError
from training import datasets
from training.errors import TrainingError
from training.train import TrainOptions

_CODES: Final = """\b
Exit codes:
  0    done; for the demo: every check held
  1    a check of the demo failed
  2    a wrong call
  3    data that can't be read or used
  4    not enough data: too few rows, or too few of one class
  5    a process died or did not start, or there is no stack to talk to
  6    a stack is running in this state folder already
  130  interrupted; everything that was started is stopped
"""

_POLL_SECONDS: Final = 0.25
_FILE: Final = click.Path(path_type=Path)
_PORT: Final = click.IntRange(1, 65535)
_SEED: Final = click.IntRange(0, 2**31 - 1)
"""Of the seeds that training takes."""


class _Commands(click.Group):
    """Commands whose expected errors are one message on standard error and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Interrupted as interrupted:
            click.echo(f"\ninterrupted by {interrupted}; everything that was started is stopped", err=True)
            ctx.exit(INTERRUPTED)
        except (LocalError, TrainingError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except (PostgresError, RouterError, ManifestError, NoEnvoyError, ArtifactError, MonitoringError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(NotRunningError.exit_code)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}, epilog=_CODES
)
def main() -> None:
    """Vigil on one machine: no Docker, no cluster."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")


_state = click.option("--state", type=_FILE, help="Folder of the stack's data, logs and lock.")
_port = click.option("--port", type=_PORT, default=None, show_default="a free one", help="Port of the gateway.")
_artifacts = click.option("--artifacts", type=_FILE, default=ARTIFACTS, help="Folder of the artifact store.")
_url = click.option(
    "--url", default=None, show_default="of the stack that runs here", help="Where the gateway listens."
)


@main.command()
@click.option(
    "--data", type=_FILE, default=None, show_default="made-up events", help="Labelled events, .csv or .parquet."
)
@click.option("--keep", is_flag=True, help="Leave the stack running at the end, until Ctrl-C.")
@click.option("--seed", type=_SEED, default=0, help="Of the made-up events and of the arrivals.")
@_port
@_artifacts
@_state
def demo(data: Path | None, *, keep: bool, seed: int, port: int | None, artifacts: Path, state: Path | None) -> None:
    """Train two models, serve them behind a split with a mirror, send traffic, check what happened, write a report."""
    place = State(state or DEMO)
    story = Story(Console(stderr=True))
    options = DemoOptions(artifacts, data, seed, port)
    with _owned(place) as (lock, supervisor):
        result = Demo(place, options, lock, supervisor, story).run()
        if keep:
            _stay(supervisor, result.url)
    if result.broken:
        raise CheckFailedError(f"did not hold: {'; '.join(result.broken)}")


@main.command()
@click.option("--bento", default=None, show_default="published last", help="Tag to run as stable.")
@click.option("--canary", default=None, show_default="stable's", help="Tag to run as canary.")
@click.option("--shadow", default=None, show_default="canary's", help="Tag to run as shadow.")
@click.option("--weight", type=click.IntRange(0, 100), default=0, help="Per cent of the entities for the canary.")
@click.option(
    "--mirror", type=click.IntRange(0, 100), default=0, help="Per cent of the requests to copy to the shadow."
)
@_port
@_artifacts
@_state
def up(  # noqa: PLR0913 - one argument an option
    *,
    bento: str | None,
    canary: str | None,
    shadow: str | None,
    weight: int,
    mirror: int,
    port: int | None,
    artifacts: Path,
    state: Path | None,
) -> None:
    """Run the stack until Ctrl-C. Its predictions stay for the next time."""
    place = State(state or DEFAULT)
    story = Story(Console(stderr=True))
    with _owned(place) as (lock, supervisor):
        stable = bento or bentos_made.newest(artifacts) or _first_bento(place, artifacts, story)
        tags: dict[Role, str] = {"stable": stable, "canary": canary or stable, "shadow": shadow or canary or stable}
        url = artifacts.absolute().as_uri()
        folders = {role: pull(tag, url, place.bentoml) for role, tag in tags.items()}
        story.say(", ".join(f"{role} {tag}" for role, tag in tags.items()))
        stack = LocalStack(place, Plan(folders, Split(100 - weight, weight, mirror), port), supervisor, story.say)
        stack.start()
        lock.announce(stack.url)
        _stay(supervisor, stack.url)


@main.command("traffic")
@_url
@click.option("--data", type=_FILE, default=None, show_default="made-up events", help="Events, .csv or .parquet.")
@click.option(
    "--rps", type=click.FloatRange(0, MOST_PER_SECOND, min_open=True), default=50.0, help="Requests a second."
)
@click.option("--seconds", type=click.FloatRange(0, MOST_SECONDS, min_open=True), default=30.0, help="For how long.")
@click.option(
    "--requests", type=click.IntRange(1, MOST_REQUESTS), default=None, help="How many, instead of for how long."
)
@click.option("--arrivals", type=click.Choice(get_args(Arrivals)), default="poisson", help="When each one is due.")
@click.option("--seed", type=_SEED, default=0, help="Of the made-up events and of the arrivals.")
@click.option("--ledger", type=_FILE, default=HOME / "traffic" / "ledger.jsonl", help="File for what was answered.")
def traffic_command(  # noqa: PLR0913 - one argument an option
    *,
    url: str | None,
    data: Path | None,
    rps: float,
    seconds: float,
    requests: int | None,
    arrivals: Arrivals,
    seed: int,
    ledger: Path,
) -> None:
    """Send events to a running stack and show a live table. Ends with 1 when a request failed."""
    target = found_url(url)
    load = Load(rps, requests or max(round(rps * seconds), 1), arrivals)
    dataset = datasets.read(data) if data else made_up(seed, datetime.now(UTC), ledger.with_name("events.csv"))
    events = outgoing.again_and_again(outgoing.requests(dataset.frame))
    rng = random.Random(seed)  # noqa: S311 - arrival times, no secret
    with Interrupts():
        entries = live_load.run(target, events, load, rng, live_load.Audience(ledger, Console()))
    failed = sum(not each.answered for each in entries)
    click.echo(f"each answer is in {ledger}")
    if failed:
        raise CheckFailedError(f"{failed:,} of {len(entries):,} requests failed")


@main.command()
@_url
@click.option("--json", "whole", default=None, help="The whole event as JSON, instead of its fields as options.")
@click.option("--entity", default=None, help="Pseudonym of the customer, which decides between stable and canary.")
def score(url: str | None, whole: str | None, entity: str | None, **values: Any) -> None:
    """Score one event over HTTP and print the answer. Ends with 3 when the event is refused."""
    answer = post(found_url(url), event_text(whole, values), entity)
    click.echo(answer.body)
    if answer.status >= 500:
        raise NotRunningError(f"the stack can't score: status {answer.status}")
    if answer.status != 200:
        raise DataError(f"the event was refused: status {answer.status}")


for _feature in FEATURES:
    score = feature_option(_feature)(score)


@contextmanager
def _owned(state: State) -> Iterator[tuple[StateLock, Supervisor]]:
    """The state folder, locked, and a supervisor that ends its processes, whatever ends this block."""
    with (
        Interrupts() as interrupts,
        StateLock(state, datetime.now(UTC)) as lock,
        Supervisor(interrupts) as supervisor,
    ):
        yield lock, supervisor


def _first_bento(state: State, artifacts: Path, story: Story) -> str:
    story.say(f"no Bento was published to {artifacts} yet: making one from made-up events")
    dataset = made_up(0, datetime.now(UTC), state.events)
    return bentos_made.make("first model", dataset, TrainOptions(), bentos_made.Places(state, artifacts), story.say).tag


def _stay(supervisor: Supervisor, url: str) -> None:
    """Returns at Ctrl-C, the way in which this is meant to end. Raises ProcessDiedError before when a process dies."""
    click.echo(f"\nThe stack runs at {url} until Ctrl-C. Try:\n{curl_line(url)}\n")
    try:
        while True:
            supervisor.check()
            time.sleep(_POLL_SECONDS)
    except Interrupted:
        click.echo("stopping", err=True)
