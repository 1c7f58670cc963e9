"""The report as one HTML file that needs nothing else: no network, no other file, readable without its drawings."""

from pathlib import Path

from . import captions, plots, shell, store
from .report import Report


def write(report: Report, path: Path) -> None:
    """Puts the page at `path`, whole."""
    shell.write(render(report), path)


def render(report: Report) -> str:
    """The page's text."""
    return shell.render(
        "page.html.j2",
        report=report,
        say=captions,
        figures=_figures(report),
        tags=_tags(report),
        live_by_tag={live.tag: live for live in report.live},
        decisions=store.DECISIONS,
    )


def _figures(report: Report) -> dict[str, plots.Figure]:
    """The drawings by the id that the template gives them; those without data are left out."""
    figures: dict[str, plots.Figure | None] = {
        "traffic": plots.traffic(report),
        "latency": plots.latency(report) if report.latency_buckets else None,
        "decisions": plots.decisions(report) if report.decisions else None,
    }
    figures |= {f"{each.left}-{each.right}": plots.differences(each) for each in report.comparisons}
    figures |= {f"quality-{tag}": plots.quality(report, tag) for tag in _tags(report)}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _tags(report: Report) -> list[str]:
    """Each model that answered or was evaluated, once."""
    return list(dict.fromkeys([*(version.tag for version in report.versions), *report.evaluations]))
