"""`plan`: a plan as a file with every field explained, its schema, or what it does at a given traffic."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from k8s.rollout import plan_file
from k8s.rollout.bars import number, span
from k8s.rollout.desk import console, json_option
from k8s.rollout.errors import UsageError
from k8s.rollout.forecast import STREAMS, Forecast, Spread, forecast
from k8s.rollout.plan import Plan
from k8s.rollout.simulation import Rates

_share = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command("plan")
@click.option("--file", type=click.Path(path_type=Path), default=None, show_default="the defaults", help="A plan file.")
@click.option("--rps", type=click.FloatRange(0, min_open=True), default=None, help="Forecast at so many requests/s.")
@click.option(
    "--entities", type=click.FloatRange(min=1), default=None, show_default="no end", help="Entities behind it."
)
@click.option("--errors", type=_share, default=Rates().errors, help="Stable's share of failed requests.")
@click.option("--over-slo", type=_share, default=Rates().over_slo, help="Its share over the latency objective.")
@click.option("--flagged", type=_share, default=Rates().flagged, help="Its share of flagged requests.")
@click.option("--flips", type=_share, default=0.04, help="Share of decisions that a good candidate changes.")
@click.option("--streams", type=click.IntRange(10, 10_000), default=STREAMS, help="Rollouts to simulate.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of a plan file.")
@json_option
def plan_command(  # noqa: PLR0913 - one argument an option
    *,
    file: Path | None,
    rps: float | None,
    entities: float | None,
    errors: float,
    over_slo: float,
    flagged: float,
    flips: float,
    streams: int,
    schema: bool,
    as_json: bool,
) -> None:
    """Print a plan as YAML, every field explained; with --rps say how long it takes and which regressions it sees.

    The forecast simulates rollouts by the code that decides in production. It needs no stack and changes nothing.
    """
    if schema:
        click.echo(json.dumps(Plan.model_json_schema(), indent=1))
        return
    plan = Plan() if file is None else plan_file.read(file)
    if rps is None:
        if entities is not None:
            raise UsageError("--entities is of a forecast: give --rps, too")
        click.echo(plan.model_dump_json() if as_json else plan_file.written(plan), nl=as_json)
        return
    rates = Rates(errors=errors, over_slo=over_slo, flagged=flagged)
    found = forecast(plan, rps, entities=entities, rates=rates, flips=flips, streams=streams)
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        console().print(_drawn(found, entities))


def _drawn(found: Forecast, entities: float | None) -> RenderableType:
    of = f" of {entities:,.0f} entities" if entities else ""
    head = Text(f"At {found.rps:g} requests a second{of}, a candidate that is as good as stable:", "bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "right", "right", "right"):
        table.add_column(justify=justify)
    table.add_row("one that is worse", "rolled back", "promoted", "after", "bad answers", style="bold")
    for each in found.regressions:
        after = "-" if each.blocks is None else span(each.blocks * found.block_seconds)
        table.add_row(
            each.name, f"{each.rolled_back:.0%}", f"{each.promoted:.0%}", after, number(round(each.bad_answers))
        )
    return Group(head, *_phases(found), Text(), table, *(Text(note, "yellow") for note in found.notes))


def _phases(found: Forecast) -> Iterator[Text]:
    if found.shadow is not None:
        used = f", {found.shadow.entities:,.0f} entities" if found.shadow.entities else ""
        yield Text(f"shadow  {found.shadow.passed:.0%} pass{_after(found.shadow.blocks, found.block_seconds)}{used}")
    answered = f"the canary answers {found.canary_requests:,.0f} requests"
    yield Text(f"canary  {found.promoted:.0%} are promoted{_after(found.canary, found.block_seconds)}; {answered}")


def _after(spread: Spread | None, block: float) -> str:
    if spread is None:
        return ""
    early, middle, late = (span(blocks * block) for blocks in (spread.early, spread.median, spread.late))
    return f" after {middle}" if early == late else f" after {middle} (8 of 10 within {early} to {late})"
