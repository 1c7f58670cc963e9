"""`replay`: whether the decisions follow from the evidence that was recorded."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from k8s.rollout import plan_file
from k8s.rollout.backend import Backend
from k8s.rollout.bars import number
from k8s.rollout.desk import Desk, console, json_option
from k8s.rollout.errors import DisagreesError, NotNowError, UsageError
from k8s.rollout.replay import Replayed, Report, plan_of, replay


@click.command("replay")
@click.argument("attempt", required=False)
@click.option("--plan", type=click.Path(path_type=Path), default=None, help="Decide by another plan, to compare.")
@click.option("--every", is_flag=True, help="List every decision, not only those that differ.")
@json_option
@click.pass_obj
def replay_command(desk: Desk, *, attempt: str | None, plan: Path | None, every: bool, as_json: bool) -> None:
    """Decide an ATTEMPT (the newest, if none is named) again from its recorded evidence, and compare.

    Ends with 7 when a decision comes out otherwise; by another plan that is no error.
    """
    other = None if plan is None else plan_file.read(plan)
    with desk.backend() as backend:
        name = attempt or _newest(backend)
        events, evidence = backend.history.events(name), backend.history.evidence(name)
    own = plan_of(events)
    used = other or own
    if used is None:
        raise UsageError(f"the history does not have the start of {name!r}; `vigil rollout history` names attempts")
    report = replay(events, evidence, used)
    _show(name, report, every=every, as_json=as_json)
    if not report.agrees and used == own:
        raise DisagreesError(
            f"{len(report.different)} of {len(report.decisions)} decisions of {name} come out otherwise: "
            "was the code that decides changed since?"
        )


def _newest(backend: Backend) -> str:
    status = backend.store.read().status
    found = status.attempt or status.last
    if found is None:
        raise NotNowError("there was no rollout yet; name an attempt to decide one again")
    return found.id


def _show(name: str, report: Report, *, every: bool, as_json: bool) -> None:
    listed = report.decisions if every else report.different
    if as_json:
        found = {"attempt": name, "agrees": report.agrees, "decisions": len(report.decisions)}
        found |= {"undecided": report.undecided, "listed": [asdict(each) for each in listed]}
        click.echo(json.dumps(found, default=str))
        return
    if listed:
        console().print(_table(listed))
    same = len(report.decisions) - len(report.different)
    left = f"; {report.undecided} recorded blocks were not decided on" if report.undecided else ""
    click.echo(f"{name}: {same} of {len(report.decisions)} decisions come out as they were recorded{left}")


def _table(decisions: tuple[Replayed, ...]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(6):
        table.add_column(no_wrap=True)
    table.add_row("at", "block", "recorded", "", "again", "", style="bold")
    for each in decisions:
        table.add_row(
            f"{each.at:%m-%d %H:%M:%S}",
            f"{each.phase} {each.block}",
            _words(each.recorded, each.recorded_gate),
            _number(each.recorded_harm),
            _words(each.again, each.again_gate),
            _number(each.again_harm),
            style="" if each.agrees else "bold red",
        )
    return table


def _words(action: str | None, gate: str | None) -> str:
    return "no evidence" if action is None else f"{action} ({gate})" if gate else action


def _number(harm: float | None) -> str:
    return "" if harm is None else number(harm)
