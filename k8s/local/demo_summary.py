"""The end of a demo in the terminal: what each role did, and which checks held."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitoring.report import Report


def show(console: Console, report: Report, page: Path) -> None:
    """Prints the roles, the checks, and where the page is."""
    console.print(_roles(report))
    console.print(_checks(report))
    verdict = f"{len(report.broken)} of {len(report.checks)} checks failed" if report.broken else "every check held"
    console.print(f"{verdict}; the whole report, with plots: {page.absolute()}", highlight=False, soft_wrap=True)


def _roles(report: Report) -> Table:
    latencies = {each.role: each for each in report.latencies}
    models = {each.role: each.tag.partition(":")[2] for each in report.versions}
    table = Table(title="From the prediction store", title_justify="left", box=None, pad_edge=False)
    for column in ("role", "model", "rows", "entities", "share", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="left" if column in {"role", "model"} else "right")
    for each in report.traffic:
        latency = latencies.get(each.role)
        times = (latency.p50_us, latency.p95_us, latency.p99_us) if latency else ()
        share = "-" if each.share is None else f"{each.share:.1%}"
        figures = (f"{each.rows:,}", f"{each.entities:,}", share, *(f"{time / 1000:.2f}" for time in times))
        table.add_row(each.role, models.get(each.role, "-"), *figures)
    return table


def _checks(report: Report) -> Table:
    table = Table(title="Checks", title_justify="left", box=None, pad_edge=False, show_header=False)
    for check in report.checks:
        table.add_row("[green]held[/]" if check.held else "[red]FAILED[/]", Text(check.name))
        table.add_row("", Text(check.detail, style="dim"))
    return table
