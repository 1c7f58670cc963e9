"""`history`: what happened."""

from collections.abc import Iterable, Iterator

import click

from k8s.rollout.desk import Desk, json_option
from k8s.rollout.errors import UsageError
from k8s.rollout.model_rollout import Event
from k8s.rollout.sight import newest_events


@click.command("history")
@click.argument("attempt", required=False)
@click.option("--last", type=click.IntRange(1, 100_000), default=50, help="How many of the newest events.")
@click.option("--decisions", is_flag=True, help="Also what was decided on each block.")
@json_option
@click.pass_obj
def history_command(desk: Desk, *, attempt: str | None, last: int, decisions: bool, as_json: bool) -> None:
    """List what happened: in all rollouts, or in one ATTEMPT. With --json an object a line, the numbers too."""
    with desk.backend() as backend:
        events = newest_events(backend.history, attempt, last, decisions=decisions)
    if attempt is not None and not events:
        raise UsageError(f"nothing is recorded of an attempt {attempt!r}; `vigil rollout history` names them")
    if as_json:
        for event in events:
            click.echo(event.model_dump_json())
    else:
        click.echo("\n".join(_lines(events)) or "nothing has happened yet")


def _lines(events: Iterable[Event]) -> Iterator[str]:
    """A line an event, below its attempt."""
    attempt: str | None = ""
    for event in events:
        if event.attempt != attempt:
            attempt = event.attempt
            yield attempt or "between rollouts"
        yield f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.message}"
