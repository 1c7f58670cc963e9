"""How often does the label gate err? Simulated streams, judged by the looks and the gate of production.

`python -m tests.bench.label_gate [--streams N] [--seed S]`. Labels come one after the other; it is looked
at 300 and at 1,000 positives, at the default plan's alpha and beta. 400 streams take some ten minutes on two cores.
Exit code 1 when the gate errs significantly more often than it may.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import click
import numpy as np

from k8s.rollout.evidence import LabelQuestion
from k8s.rollout.label_look import next_look
from k8s.rollout.labelled import Labelled, Look, label_gate, level
from k8s.rollout.plan import LabelPlan, Plan
from tests.bench.figures import upper_limit
from tests.bench.label_streams import POSITIVES, Candidate, first, losing, loss, pairs

PLAN: Final = Plan()
PLANNED: Final = LabelPlan().looks
QUESTION: Final = LabelQuestion(
    attempt="",
    stable="",
    candidate="",
    since=datetime(2026, 3, 2, tzinfo=UTC),
    until=None,
    planned=PLANNED,
    alpha=level(PLAN.alpha, len(PLANNED)),
    beta=level(PLAN.beta, len(PLANNED)),
)
Said = tuple[str, ...]
"""What the gate says after each look."""


@dataclass(frozen=True)
class Scenario:
    """A candidate, and what may be said of it how often: `wrong` is the gate's state, at the looks `at` (from 0)."""

    name: str
    candidate: Candidate
    wrong: str = ""
    at: tuple[int, ...] = ()
    most: float = 1.0


def scenarios() -> tuple[Scenario, ...]:
    """Equal ones may fail; those that lose as much as a look excludes may be let go on."""
    return (
        Scenario("as good", Candidate(), "failed", (0, 1), PLAN.alpha),
        Scenario("loses .02", losing(0.02), "ok", (1,), PLAN.beta),
        Scenario("loses .03", losing(0.03), "ok", (0, 1), PLAN.beta),
        Scenario("loses .06", losing(0.06)),
        Scenario("loses .10", losing(0.10)),
    )


def stream(number: int, seed: int, candidate: Candidate) -> Said:
    """What the gate says after each look at one stream."""
    found = pairs(np.random.default_rng((seed, number)), int(2 * PLANNED[-1] / POSITIVES), candidate)
    looks: tuple[Look, ...] = ()
    said = []
    for positives in PLANNED:
        look = next_look(first(found, positives), looks, QUESTION)
        looks = (*looks, look) if look else looks
        said.append(label_gate(Labelled(looks), PLANNED).state)
    return tuple(said)


def wrongs(scenario: Scenario, ran: Sequence[Said]) -> int:
    """Streams of which something wrong was said."""
    return sum(any(said[at] == scenario.wrong for at in scenario.at) for said in ran)


def too_often(scenario: Scenario, ran: Sequence[Said]) -> bool:
    """Whether it is wrong more often than it may, beyond chance (one in a hundred)."""
    count = len(ran)
    return scenario.most < 1 and 1 - upper_limit(count - wrongs(scenario, ran), count, 0.01) > scenario.most


def simulate(scenario: Scenario, streams: int, seed: int) -> list[Said]:
    """What the gate says of so many streams."""
    one = partial(stream, seed=seed, candidate=scenario.candidate)
    with ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(one, range(streams), chunksize=10))


def row(scenario: Scenario, ran: Sequence[Said]) -> str:
    """A line of the table."""
    shares = [f"{sum(said[at] == state for said in ran) / len(ran):.1%}" for at in (0, 1) for state in ("failed", "ok")]
    wrong = "-"
    if scenario.most < 1:
        found = wrongs(scenario, ran)
        wrong = f"{found / len(ran):.2%} (below {upper_limit(found, len(ran)):.1%}), may be {scenario.most:.0%}"
    return f"| {scenario.name} | {loss(scenario.candidate):+.3f} | {' | '.join(shares)} | {wrong} |"


@click.command()
@click.option("--streams", default=400, show_default=True)
@click.option("--seed", default=21, show_default=True)
def main(streams: int, seed: int) -> None:
    """Print how often the gate says what of candidates that are known."""
    click.echo("| candidate | true difference | 300: failed | ok | 1,000: failed | ok | wrong |")
    click.echo("|---|---|---|---|---|---|---|")
    missed = False
    for scenario in scenarios():
        ran = simulate(scenario, streams, seed)
        click.echo(row(scenario, ran))
        missed = missed or too_often(scenario, ran)
    raise SystemExit(int(missed))


if __name__ == "__main__":
    main()
