"""The report as one HTML file that needs nothing else: no network, no other file, readable without its drawings."""

import os
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from . import captions, plots, store
from .report import Report

TEMPLATE: Final = Path(__file__).with_name("page.html.j2")


def write(report: Report, path: Path) -> None:
    """Puts the page at `path`, whole: whoever reads meanwhile sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(render(report), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def render(report: Report) -> str:
    """The page's text."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "area": captions.area,
        "count": captions.count,
        "share": captions.share,
        "milliseconds": captions.milliseconds,
        "signed": captions.signed,
        "moment": captions.moment,
    }
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        say=captions,
        figures=_figures(report),
        tags=_tags(report),
        live_by_tag={live.tag: live for live in report.live},
        decisions=store.DECISIONS,
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - the library's own text, which holds no '</script'
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
