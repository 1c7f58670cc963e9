"""`start`, `pause`, `resume`, `abort`, `promote`, `undo`: what a person asks for, written into the spec."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from k8s.rollout import plan_file, wishes
from k8s.rollout.backend import Backend
from k8s.rollout.desk import Desk, answer, by_option, json_option, reason_option
from k8s.rollout.errors import UsageError
from k8s.rollout.following import follow
from k8s.rollout.model_rollout import ModelRollout, Tag
from k8s.rollout.verdict_codes import Followed


def _tag(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """name:version, as Bento tags are."""
    try:
        return TypeAdapter[str](Tag).validate_python(value)
    except ValidationError:
        raise click.BadParameter(f"{value!r} is no tag; they look like risk_scorer:0123456789ab") from None


@click.command("start")
@click.argument("tag", callback=_tag)
@click.option("--plan", type=click.Path(path_type=Path), help="A YAML file; without it the object's own plan holds.")
@click.option("--force", is_flag=True, help="Although it is banned, or its comparison says no; needs --reason.")
@click.option("--wait", is_flag=True, help="Follow it; end with the code of its verdict.")
@click.option("--timeout", type=click.FloatRange(min=0), default=None, help="Of --wait, in seconds.")
@reason_option
@by_option
@json_option
@click.pass_context
def start_command(  # noqa: PLR0913 - one argument an option
    ctx: click.Context,
    *,
    tag: str,
    plan: Path | None,
    force: bool,
    wait: bool,
    timeout: float | None,
    reason: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Make TAG the candidate. The controller takes it from there."""
    desk: Desk = ctx.obj
    _needs_reason(reason, forced=force)
    read = None if plan is None else plan_file.read(plan)
    asker = desk.asker(by, reason, "start")
    with desk.backend() as backend:
        now = backend.store.read()
        change = wishes.start(now, tag, asker, read, forced=force)
        attempt = now.status.attempt
        supersedes = attempt.candidate if attempt and attempt.verdict is None else None
        after = backend.store.change_spec(change)
        words = f"{tag} is the candidate" + (f"; {supersedes} is superseded" if supersedes else "")
        if not as_json or not wait:
            answer(_wanted(after), f"{words}. {_attended(backend)}".strip(), as_json=as_json)
        if wait:
            way = Followed(tag, now.status.last.id if now.status.last else None)
            ctx.exit(follow(desk, backend, way, timeout=timeout, as_json=as_json))


@click.command("pause")
@reason_option
@by_option
@json_option
@click.pass_obj
def pause_command(desk: Desk, *, reason: str | None, by: str | None, as_json: bool) -> None:
    """Let nothing rise and nothing be promoted until `resume`. Rolling back goes on."""
    asker = desk.asker(by, reason, "pause")
    with desk.backend() as backend:
        paused = backend.store.read().spec.paused
        if paused is not None:
            after, words = backend.store.read(), f"paused already, by {paused.by}: {paused.reason}"
        else:
            after, words = backend.store.change_spec(wishes.pause(asker)), "paused; `vigil rollout resume` ends it"
    answer(_wanted(after), words, as_json=as_json)


@click.command("resume")
@json_option
@click.pass_obj
def resume_command(desk: Desk, *, as_json: bool) -> None:
    """Go on after `pause`."""
    with desk.backend() as backend:
        words = "it goes on" if backend.store.read().spec.paused else "nothing was paused"
        after = backend.store.change_spec(wishes.resume())
    answer(_wanted(after), words, as_json=as_json)


@click.command("abort")
@reason_option
@by_option
@json_option
@click.pass_obj
def abort_command(desk: Desk, *, reason: str | None, by: str | None, as_json: bool) -> None:
    """End the rollout that is on its way: weight 0. The model is not banned."""
    asker = desk.asker(by, reason, "abort")
    with desk.backend() as backend:
        after = backend.store.change_spec(wishes.abort(backend.store.read(), asker))
        words = _attended(backend)
    answer(_wanted(after), f"{_named(after.spec.abort)} is to be aborted. {words}".strip(), as_json=as_json)


@click.command("promote")
@click.option("--force", is_flag=True, help="At once, whatever the gates know; loud, and recorded; needs --reason.")
@reason_option
@by_option
@json_option
@click.pass_obj
def promote_command(desk: Desk, *, force: bool, reason: str | None, by: str | None, as_json: bool) -> None:
    """Approve the promotion that the gates ask for (plans with `approval: manual`), or force one."""
    _needs_reason(reason, forced=force)
    asker = desk.asker(by, reason, "approved")
    with desk.backend() as backend:
        after = backend.store.change_spec(wishes.promote(backend.store.read(), asker, forced=force))
        words = _attended(backend)
    how = "PROMOTED BY FORCE, without its gates" if force else "promoted once its gates have passed"
    answer(_wanted(after), f"{_named(after.spec.promotion)} is to be {how}. {words}".strip(), as_json=as_json)


@click.command("undo")
@reason_option
@by_option
@json_option
@click.pass_obj
def undo_command(desk: Desk, *, reason: str | None, by: str | None, as_json: bool) -> None:
    """Bring back what was stable before, by the same safe steps, without gates."""
    asker = desk.asker(by, f"undo: {reason}" if reason else None, "undo")
    with desk.backend() as backend:
        after = backend.store.change_spec(wishes.undo(backend.store.read(), asker))
        words = _attended(backend)
    answer(_wanted(after), f"{after.spec.candidate} comes back. {words}".strip(), as_json=as_json)


def _needs_reason(reason: str | None, *, forced: bool) -> None:
    if forced and not reason:
        raise UsageError("--force needs --reason: it is recorded why the gates were passed by")


def _named(request: Any) -> str:
    return str(request.tag)


def _attended(backend: Backend) -> str:
    """What must be done so that the wish comes true; empty when a controller is at work."""
    if backend.lease.holder() is not None:
        return ""
    return "No controller runs: start one with `vigil rollout run`."


def _wanted(after: ModelRollout) -> Any:
    return {"spec": json.loads(after.spec.model_dump_json())}
