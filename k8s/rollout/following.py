"""A rollout followed to its end: drawn again and again on a terminal, told event by event elsewhere."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import click
from rich.live import Live

from k8s.rollout.backend import Backend
from k8s.rollout.desk import Desk, console
from k8s.rollout.sight import Sight, as_json, look
from k8s.rollout.verdict_codes import UNDECIDED, Followed
from k8s.rollout.views import draw

_NUMBERS: Final = re.compile(r"\d[\d,.]*")
_SECONDS: Final = 0.5
"""Between two looks: quick enough for a plan with blocks of a second, and a hundred looks cost no tick anything."""


class _Display(Protocol):
    def show(self, sight: Sight) -> None: ...


class _Drawing:
    """The picture of `status`, in place of the one before."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, sight: Sight) -> None:
        self._live.update(draw(sight, self._live.console.width), refresh=True)


class _Lines:
    """One line for each new event, and for what goes on when that changes."""

    def __init__(self) -> None:
        self._words = ""
        self._told = -1

    def show(self, sight: Sight) -> None:
        new = [event for event in sight.events if event.number > self._told]
        # Before the first look there was much that nobody asks for now.
        for event in new if self._told >= 0 else ():
            click.echo(f"{event.at:%Y-%m-%dT%H:%M:%SZ} {event.kind} {event.message}")
        self._told = max([self._told, 0, *(event.number for event in new)])
        status = sight.rollout.status
        # What is missing falls from block to block: only other words are news.
        words = _NUMBERS.sub("#", f"{status.phase}: {status.message}")
        if words != self._words:
            self._words = words
            click.echo(f"{sight.now:%Y-%m-%dT%H:%M:%SZ} {status.phase}: {status.message}")


class _JsonLines:
    """One JSON object a line, whenever something but the clock has changed."""

    def __init__(self) -> None:
        self._before: object = None

    def show(self, sight: Sight) -> None:
        seen = (sight.rollout.version, sight.split, sight.fleet, sight.problems)
        if seen != self._before:
            self._before = seen
            click.echo(json.dumps(as_json(sight), ensure_ascii=False))


def follow(desk: Desk, backend: Backend, way: Followed, *, timeout: float | None, as_json: bool) -> int:
    """The exit code that the end of this way has; UNDECIDED when `timeout` seconds are over first."""
    began = desk.clock()
    with _display(as_json=as_json) as display:
        while True:
            sight = look(backend, desk.clock(), events=20 if as_json else 8)
            display.show(sight)
            end = way.end(sight.rollout)
            if end is None and timeout is not None and (desk.clock() - began).total_seconds() >= timeout:
                end = UNDECIDED, f"{way.tag} is undecided after {timeout:g} s; the rollout goes on"
            if end is not None:
                break
            desk.rest(_SECONDS)
    code, words = end
    click.echo(json.dumps({"exit_code": code, "end": words}) if as_json else words)
    return code


@contextmanager
def _display(*, as_json: bool) -> Iterator[_Display]:
    screen = console()
    if as_json:
        yield _JsonLines()
    elif not screen.is_terminal:
        yield _Lines()
    else:
        with Live(console=screen, auto_refresh=False) as live:
            yield _Drawing(live)
