"""How often does the drift rule err? Simulated streams of 70 days, judged as production judges them.

`python -m tests.bench.drift_simulation [--streams N] [--seed S] [--only NAME ...] [--markdown]`. Each stream has a
model of its own, fitted on its first 28 days; the rules of other tools see the same days. Exit code 1 when a target is
missed. 200 streams take about twenty minutes on two cores.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one stream a core, so one thread a stream

import multiprocessing
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

import click

from tests.bench.drift_figures import Cell, cell, missed, table
from tests.bench.drift_judges import JUDGES, OURS
from tests.bench.drift_scenarios import SCENARIOS
from tests.bench.drift_streams import Days, case, run

PROCESSES = 2
NAMED = {scenario.name: scenario for scenario in SCENARIOS}


def stream(number: int, seed: int, names: Sequence[str], judge: str) -> dict[str, Days]:
    """What the rules say of one stream in each of these scenarios."""
    ran = {}
    scenarios = [NAMED[name] for name in names]
    for world in {scenario.world: None for scenario in scenarios}:
        drawn = case(world, seed, number)
        ran |= {each.name: run(drawn, each, JUDGES[judge]) for each in scenarios if each.world == world}
    return ran


def simulate(streams: int, seed: int, names: Sequence[str], judge: str = OURS) -> dict[str, Cell]:
    """A cell for each scenario, from so many streams."""
    same = ([each] * streams for each in (seed, names, judge))
    # Not forked: a child of a process that has used LightGBM waits for ever for threads that it does not have.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(PROCESSES, streams), mp_context=spawned) as pool:
        ran = list(_noted(pool.map(stream, range(streams), *same), streams))
    return {name: cell(NAMED[name], [each[name] for each in ran]) for name in names}


def _noted(ran: Iterable[dict[str, Days]], streams: int) -> Iterable[dict[str, Days]]:
    """The same, with a word now and then on a terminal that waits."""
    for number, each in enumerate(ran, 1):
        if sys.stderr.isatty():
            click.echo(f"\r{number} of {streams} streams", nl=number == streams, err=True)
        yield each


def wrong(cells: dict[str, Cell]) -> list[str]:
    """The targets that are missed, in words."""
    return [words for name, each in cells.items() for words in missed(NAMED[name], each)]


@click.command()
@click.option("--streams", type=click.IntRange(1), default=200, show_default=True, help="Of each kind.")
@click.option("--seed", default=9, show_default=True, help="Another one gives other streams.")
@click.option("--only", "names", multiple=True, type=click.Choice(list(NAMED)), help="By default all.")
@click.option("--rule", type=click.Choice(list(JUDGES)), default=OURS, show_default=True, help="Which is judged.")
@click.option("--markdown", is_flag=True, help="Print nothing but the tables for the docs.")
def main(streams: int, seed: int, names: tuple[str, ...], rule: str, markdown: bool) -> None:
    """Simulate streams of days and compare what the rules say with the targets."""
    cells = simulate(streams, seed, names or tuple(NAMED), rule)
    click.echo(table(list(cells.values())))
    if not markdown:
        click.echo("\n".join(_named(each) for each in cells.values()))
    found = wrong(cells)
    if not markdown or found:
        click.echo("\n".join(f"MISSED {each}" for each in found) or "every target is met", err=markdown)
    sys.exit(1 if found else 0)


def _named(found: Cell) -> str:
    """Which fields were over their thresholds, and how often."""
    ordered = sorted(found.fields.items(), key=lambda item: -item[1])
    return f"{found.scenario}: {', '.join(f'{name} {count}' for name, count in ordered) or 'no field drifted'}"


if __name__ == "__main__":
    main()
