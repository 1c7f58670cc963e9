"""The end of a demo in the terminal: how each story ended, what each role did, and which checks held."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from k8s.local import demo_days_shown
from k8s.local.demo_days import LivedDay
from k8s.local.demo_page import StoryTold
from monitoring.drift import Verdict
from monitoring.drift_page import SIGNS
from monitoring.report import Report

_VERDICTS: Final = {Verdict.OK: "green", Verdict.DRIFT: "bold yellow", Verdict.DATA_FAULT: "bold blue"}


def show(console: Console, report: Report, stories: Sequence[StoryTold], days: Sequence[LivedDay], page: Path) -> None:
    """Prints the stories, the roles, the drifted days, the checks, and where the page is."""
    console.print(_stories(stories))
    console.print(_roles(report))
    console.print(_days(days))
    console.print(_checks(report))
    verdict = f"{len(report.broken)} of {len(report.checks)} checks failed" if report.broken else "every check held"
    console.print(f"{verdict}; the whole report, with plots: {page.absolute()}", highlight=False, soft_wrap=True)


def _stories(stories: Sequence[StoryTold]) -> Table:
    table = Table(title="Stories", title_justify="left", box=None, pad_edge=False)
    for column in ("story", "verdict", "took", "answers", "bad"):
        table.add_column(column, justify="left" if column in {"story", "verdict"} else "right")
    for each in stories:
        verdict = Text(each.verdict, style="green" if each.as_named else "red")
        table.add_row(Text(each.title), verdict, f"{each.seconds:.0f} s", f"{each.served:,}", f"{each.bad:,}")
    return table


def _roles(report: Report) -> Table:
    latencies = {each.role: each for each in report.latencies}
    models = Counter(each.role for each in report.versions)
    table = Table(title="From the prediction store", title_justify="left", box=None, pad_edge=False)
    for column in ("role", "models", "rows", "entities", "share", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "role" else "right")
    for each in report.traffic:
        latency = latencies.get(each.role)
        times = (latency.p50_us, latency.p95_us, latency.p99_us) if latency else ()
        share = "-" if each.share is None else f"{each.share:.1%}"
        figures = (f"{each.rows:,}", f"{each.entities:,}", share, *(f"{time / 1000:.2f}" for time in times))
        table.add_row(each.role, f"{models[each.role]}", *figures)
    return table


def _days(days: Sequence[LivedDay]) -> Table:
    table = Table(title="Days that drift", title_justify="left", box=None, pad_edge=False)
    for column in ("day", "what happens", "", "verdict", "worst field / its limit"):
        table.add_column(column, no_wrap=column != "what happens")
    for each in days:
        verdict, times = each.judged.report.verdict, demo_days_shown.times(each.judged.report)
        style = _VERDICTS.get(verdict, "yellow")
        drawn = Text("█" * min(round(4 * times), 24), style) + Text(f" {times:.1f}" if times else "", "dim")
        table.add_row(str(each.day), each.words, Text(SIGNS[verdict], style), Text(verdict, style), drawn)
    return table


def _checks(report: Report) -> Table:
    table = Table(title="Checks", title_justify="left", box=None, pad_edge=False, show_header=False)
    for check in report.checks:
        table.add_row("[green]held[/]" if check.held else "[red]FAILED[/]", Text(check.name))
        table.add_row("", Text(check.detail, style="dim"))
    return table
