"""`status` as a drawing for whoever is on call: what goes on and why, who gets the traffic, what each gate knows.

Pure: a Sight and a width in, something that rich prints out. Below `NARROW` columns it shows less beside each other.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from k8s.rollout.bars import bar, log_share, number, span
from k8s.rollout.fleets import Copies
from k8s.rollout.model_rollout import Attempt, Event, Outcome, Phase
from k8s.rollout.plan import Plan
from k8s.rollout.routers import SERVICES, Role
from k8s.rollout.sight import Sight

NARROW: Final = 90

_STATES: Final = {
    "ok": "green",
    "gathering": "cyan",
    "failed": "bold red",
    "holding": "yellow",
    "not evaluated": "dim",
}
_OUTCOMES: Final = {Outcome.PROMOTED: "bold green", Outcome.ROLLED_BACK: "bold red"}
_PHASES: Final = {
    Phase.IDLE: "dim",
    Phase.WAITING: "yellow",
    Phase.ROLLING_BACK: "bold red",
    Phase.PROMOTING: "bold green",
}
_ROLES: Final[dict[Role, str]] = {"stable": "green", "canary": "yellow", "shadow": "blue"}


def draw(sight: Sight, width: int) -> RenderableType:
    """Everything, from the most to the least important."""
    parts: list[RenderableType] = [*_headline(sight), Text(), _traffic(sight, width)]
    if sight.rollout.status.gates:
        parts += [Text(), _gates(sight, width)]
    times = list(_times(sight))
    if times:
        parts += [Text(), *times]
    if sight.events:
        parts += [Text(), _events(sight.events, sight.now)]
    return Group(*parts)


def _headline(sight: Sight) -> Iterator[Text]:
    status, spec = sight.rollout.status, sight.rollout.spec
    candidate = status.attempt.candidate if status.attempt else None
    yield Text.assemble((_phase_words(sight), _PHASES.get(status.phase, "bold")), f"  {candidate or ''}".rstrip())
    if status.message:
        yield Text(status.message)
    if spec.paused:
        yield Text(f"paused by {spec.paused.by} at {spec.paused.at:%H:%M} UTC: {spec.paused.reason}", "yellow")
    if status.watch:
        proposed = f"; undo is proposed: {status.watch.proposed_undo}" if status.watch.proposed_undo else ""
        left = span((status.watch.until - sight.now).total_seconds())
        yield Text(f"watching {status.stable} for another {left}{proposed}", "yellow" if proposed else "")
    verdict = status.attempt.verdict if status.attempt else None
    if verdict is None and status.last and status.attempt is None:
        yield _last(status.last)
    if sight.unattended:
        yield Text(sight.unattended, "bold yellow")
    yield from (Text(problem, "yellow") for problem in sight.problems)


def _phase_words(sight: Sight) -> str:
    status = sight.rollout.status
    if status.phase is Phase.CANARY and sight.split is not None:
        return f"Canary at {sight.split.canary} %"
    return "Rolling back" if status.phase is Phase.ROLLING_BACK else status.phase.value


def _last(attempt: Attempt) -> Text:
    verdict = attempt.verdict
    if verdict is None:
        return Text(f"last: {attempt.candidate}")
    style = _OUTCOMES.get(verdict.outcome, "yellow")
    head = Text.assemble(f"last: {attempt.candidate} ", (verdict.outcome.value, style))
    return head + Text(f" at {verdict.at:%Y-%m-%d %H:%M} UTC ({verdict.gate}): {verdict.reason}")


def _traffic(sight: Sight, width: int) -> RenderableType:
    """A row for each role: its share, its model, its copies."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    cells = 10 if width < NARROW else 30
    for role in SERVICES:
        share = None if sight.split is None else getattr(sight.split, "mirror" if role == "shadow" else role)
        drawn = Text("?" * cells, "dim") if share is None else bar(share / 100, cells, _ROLES[role])
        copies = None if sight.fleet is None else sight.fleet[role]
        words = "?" if share is None else f"{share} %"
        table.add_row(role, drawn, words, _copies(role, copies))
    return table


def _copies(role: Role, copies: Copies | None) -> Text:
    if copies is None:
        return Text("copies unknown", "dim")
    if copies.tag is None and not copies.wanted:
        return Text("mirrors nothing" if role == "shadow" else "no model", "dim")
    ready = f"{copies.ready}/{copies.wanted} ready" if copies.wanted else f"going, {copies.serving} still up"
    text = Text(f"{copies.tag or 'no version assigned'}  {ready}")
    if copies.ready_other:
        text.append(f", {copies.ready_other} of another version", "yellow")
    if copies.restarts:
        text.append(f", {copies.restarts} restarts", "yellow")
    if copies.problem:
        text.append(f", {copies.problem}", "bold red")
    return text


def _gates(sight: Sight, width: int) -> RenderableType:
    """A row for each gate: evidence of harm against its bound, what is shown so far; beside or below, what is missing.

    The first bar is full where the candidate is rolled back, the second where this gate lets it go on.
    """
    wide, cells = width >= NARROW, max(4, min(16, width // 8))
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("gate", "harm", "", "all is well", "", "", style="dim")
    below = []
    for gate in sight.rollout.status.gates:
        detail, style = _detail(gate, _plan(sight).block_seconds), _STATES.get(gate["state"], "")
        table.add_row(Text(gate["gate"], style), *_harm(gate, cells), *_shown(gate, cells), detail if wide else "")
        if detail and not wide:
            below.append(Text.assemble((f"{gate['gate']}: ", style), detail))
    return Group(table, *below)


def _harm(gate: dict[str, Any], cells: int) -> tuple[Text, Text]:
    harm, bound = gate.get("harm"), gate.get("harm_bound")
    if harm is None or not bound:
        return Text("-", "dim"), Text("")
    share = log_share(harm, bound)
    style = "bold red" if share >= 1 else "yellow" if share > 0.5 else "green"
    return bar(share, cells, style), Text(f"{number(harm)}/{number(bound)}")


def _shown(gate: dict[str, Any], cells: int) -> tuple[Text, Text]:
    shown, bound = gate.get("shown"), gate.get("shown_bound")
    if shown is None or not bound:
        return Text("-", "dim"), Text("")
    return bar(shown / bound, cells, "green" if shown >= bound else "cyan"), Text(f"{number(shown)}/{number(bound)}")


def _detail(gate: dict[str, Any], block_seconds: float) -> str:
    """The gate's own words, and how long what is missing takes at this traffic."""
    detail, blocks = str(gate.get("detail") or ""), gate.get("missing_blocks")
    return f"{detail} (about {span(blocks * block_seconds)})".strip() if blocks else detail


def _plan(sight: Sight) -> Plan:
    attempt = sight.rollout.status.attempt
    return attempt.plan if attempt else sight.rollout.spec.plan


def _times(sight: Sight) -> Iterator[Text]:
    """How long it has been, how long it may take; nothing once the verdict is known."""
    attempt = sight.rollout.status.attempt
    if attempt is None or attempt.verdict is not None:
        return
    block, now = attempt.plan.block_seconds, sight.now
    if attempt.canary_since is not None:
        yield from _canary_times(attempt, attempt.canary_since, now)
    elif attempt.shadow_since is not None and attempt.plan.shadow is not None:
        shadow = attempt.plan.shadow
        spent = _spent("shadow", attempt.shadow_since, now, shadow.min_blocks * block)
        yield Text(f"{spent}; {_left(attempt.shadow_since, now, shadow.deadline_blocks * block)}")
    if attempt.suspended is not None:
        since = span((now - attempt.suspended.since).total_seconds())
        longest = span(attempt.plan.unavailable_blocks * block)
        yield Text(
            f"no traffic for {since} because {attempt.suspended.reason}; rolled back after {longest}", "bold red"
        )
    missing = [(gate["missing_blocks"], gate["gate"]) for gate in sight.rollout.status.gates if gate["missing_blocks"]]
    if missing:
        blocks, gate = max(missing)
        yield Text(f"about {span(blocks * block)} to go at this traffic, for the gate '{gate}'")


def _canary_times(attempt: Attempt, since: datetime, now: datetime) -> Iterator[Text]:
    plan, block = attempt.plan.canary, attempt.plan.block_seconds
    steps = [f"[{each.weight} %]" if at == attempt.step else f"{each.weight} %" for at, each in enumerate(plan.steps)]
    yield Text(" > ".join([*steps, "promotion"]))
    if attempt.step_since is not None:
        yield Text(_spent("this step", attempt.step_since, now, plan.step_blocks * block))
    spent = _spent("canary", since, now, plan.min_blocks * block)
    yield Text(f"{spent}; {_left(since, now, plan.deadline_blocks * block)}")


def _spent(what: str, since: datetime, now: datetime, least: float) -> str:
    return f"{what}: {span((now - since).total_seconds())} of at least {span(least)}"


def _left(since: datetime, now: datetime, longest: float) -> str:
    left = longest - (now - since).total_seconds()
    return f"deadline in {span(left)}" if left >= 0 else f"{span(-left)} past its deadline"


def _events(events: tuple[Event, ...], now: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for event in events:
        form = "%H:%M:%S" if event.at.date() == now.date() else "%m-%d %H:%M"
        table.add_row(f"{event.at:{form}}", event.message)
    return table
