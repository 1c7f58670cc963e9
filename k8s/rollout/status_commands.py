"""`status` and `watch`."""

import json

import click

from k8s.rollout.desk import Desk, console, json_option
from k8s.rollout.errors import NotNowError
from k8s.rollout.following import follow
from k8s.rollout.sight import as_json as plain
from k8s.rollout.sight import look
from k8s.rollout.verdict_codes import code, followed
from k8s.rollout.views import draw


@click.command("status")
@click.option("--events", type=click.IntRange(0, 1000), default=8, help="How many of the last events.")
@json_option
@click.pass_obj
def status_command(desk: Desk, *, events: int, as_json: bool) -> None:
    """Show what goes on and why: traffic, each gate's evidence against its bound, time to go, the last events."""
    with desk.backend() as backend:
        sight = look(backend, desk.clock(), events)
    if as_json:
        click.echo(json.dumps(plain(sight), ensure_ascii=False))
    else:
        screen = console()
        screen.print(draw(sight, screen.width))


@click.command("watch")
@click.option("--timeout", type=click.FloatRange(min=0), default=None, help="Give up after so many seconds.")
@json_option
@click.pass_context
def watch_command(ctx: click.Context, *, timeout: float | None, as_json: bool) -> None:
    """Follow the rollout that is on its way to its end, and end with the code of its verdict.

    When nothing is on its way, it ends at once with the code of the last verdict.
    """
    desk: Desk = ctx.obj
    with desk.backend() as backend:
        now = backend.store.read()
        way = followed(now)
        if way is not None:
            ctx.exit(follow(desk, backend, way, timeout=timeout, as_json=as_json))
    last = now.status.last
    if last is None or last.verdict is None:
        raise NotNowError("nothing is on its way, and nothing was before; begin with `vigil rollout start TAG`")
    verdict = last.verdict
    words = f"nothing is on its way; last: {last.candidate} {verdict.outcome} by '{verdict.gate}': {verdict.reason}"
    click.echo(json.dumps({"exit_code": code(last), "end": words}) if as_json else words)
    ctx.exit(code(last))
