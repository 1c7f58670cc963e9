"""A load that one can watch: every answer goes into the ledger and into a live table."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from k8s.local import traffic, traffic_table
from k8s.local.ledger import Entry, Ledger
from k8s.local.outgoing import Outgoing
from k8s.local.traffic import Load

_TICKS_A_LINE: Final = 20
"""Where there is no terminal to redraw, a line about every five seconds."""


@dataclass(frozen=True)
class Audience:
    """Where the answers are written and shown, and what to call a model version there (its tag, when not named)."""

    ledger: Path
    console: Console
    names: Mapping[str, str] = field(default_factory=dict)


def run(
    url: str,
    events: Iterable[Outgoing],
    load: Load,
    rng: random.Random,
    audience: Audience,
    check: Callable[[], None] = lambda: None,
) -> list[Entry]:
    """Sends the load, shows it, and returns what the ledger holds.

    `check` is called about four times a second, and may raise to end it all.
    """
    console, names = audience.console, audience.names
    figures = traffic_table.Figures()
    entries: list[Entry] = []
    ticks = 0

    def record(entry: Entry) -> None:
        figures.add(entry)
        entries.append(entry)
        book.add(entry)

    def tick() -> None:
        nonlocal ticks
        check()
        ticks += 1
        if console.is_terminal:
            live.update(traffic_table.table(figures, load.requests, names))
        elif ticks % _TICKS_A_LINE == 0:
            console.print(traffic_table.line(figures, load.requests), highlight=False, soft_wrap=True)

    # The live table gives way to the final one, which is printed like any other text.
    with Ledger(audience.ledger) as book, Live(console=console, refresh_per_second=4, transient=True) as live:
        traffic.send(url, events, load, rng, record, tick)
    console.print(traffic_table.table(figures, load.requests, names))
    return entries
