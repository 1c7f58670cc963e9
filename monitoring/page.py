"""The report as one HTML file that needs nothing else: no network, no other file, readable without its drawings."""

from pathlib import Path
from typing import Any

from . import captions, plots, shell, store
from .report import Report


def write(report: Report, path: Path) -> None:
    """Puts the page at `path`, whole."""
    shell.write(render(report), path)


def render(report: Report) -> str:
    """The page's text."""
    return shell.render("page.html.j2", figures=figures(report), **values(report))


def values(report: Report) -> dict[str, Any]:
    """What the template is given beside its drawings; for pages that extend it."""
    return {
        "report": report,
        "say": captions,
        "tags": _tags(report),
        "live_by_tag": {live.tag: live for live in report.live},
        "decisions": store.DECISIONS,
    }


def figures(report: Report) -> dict[str, plots.Figure]:
    """The drawings by the id that the template gives them; those without data are left out."""
    drawn: dict[str, plots.Figure | None] = {
        "traffic": plots.traffic(report),
        "latency": plots.latency(report) if report.latency_buckets else None,
        "decisions": plots.decisions(report) if report.decisions else None,
    }
    drawn |= {f"{each.left}-{each.right}": plots.differences(each) for each in report.comparisons}
    drawn |= {f"quality-{tag}": plots.quality(report, tag) for tag in _tags(report)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _tags(report: Report) -> list[str]:
    """Each model that answered or was evaluated, once."""
    return list(dict.fromkeys([*(version.tag for version in report.versions), *report.evaluations]))
