"""The shell of our HTML pages: one file that fetches nothing, in the light and in the dark, wide and narrow.

A page is a template that extends `shell.html.j2` and fills its blocks; its drawings are Plotly figures by name, for
which `parts.html.j2` has a macro.
"""

import os
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from . import captions, plots

FOLDER: Final = Path(__file__).parent


def render(template: str, *folders: Path, figures: dict[str, plots.Figure], **values: Any) -> str:
    """A page's text. `template` is in one of the folders, or in this package."""
    loader = jinja2.FileSystemLoader([*folders, FOLDER])
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "area": captions.area,
        "count": captions.count,
        "share": captions.share,
        "milliseconds": captions.milliseconds,
        "signed": captions.signed,
        "moment": captions.moment,
    }
    # S704: the library's own text, which holds no '</script'. A page without drawings is spared its four megabytes.
    plotly = Markup(get_plotlyjs()) if figures else ""  # noqa: S704
    return environment.get_template(template).render(figures=figures, plotly=plotly, **values)


def write(text: str, path: Path) -> None:
    """Puts a page at `path`, whole: whoever reads meanwhile sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
