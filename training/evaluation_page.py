"""An evaluation as one HTML file that needs nothing else: the markdown's words and tables, with drawings."""

import re
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from monitoring import shell
from monitoring.evaluation import Evaluation

from . import evaluation_report as say
from .evaluation_plots import figures

_PROSE: Final = {"meaning", "numbers"}
"""Columns that hold sentences: their lines may break."""

_BOLD: Final = re.compile(r"\*\*(.+?)\*\*")


def render(evaluation: Evaluation, title: str = "Evaluation") -> str:
    """The page's text."""
    return shell.render(
        "evaluation_page.html.j2",
        Path(__file__).parent,
        evaluation=evaluation,
        title=title,
        headline=headline(evaluation),
        say=say,
        html=html,
        figures=figures(evaluation),
    )


def headline(evaluation: Evaluation) -> str:
    """The page in one line."""
    judged = [gate for gate in evaluation.gates if gate.verdict != "not evaluated"]
    if evaluation.failed:
        words = f"{len(evaluation.failed)} of {len(judged)} gates failed"
        return f"Forced: {words}" if evaluation.forced else words
    return (
        f"All {len(judged)} gates that could be judged passed"
        if len(judged) < len(evaluation.gates)
        else (f"All {len(judged)} gates passed")
    )


def html(text: str) -> Markup:
    """Markdown of ours as HTML: its tables, its bold words and its paragraphs, everything else escaped."""
    blocks = (_table(block) if block.startswith("|") else _paragraph(block) for block in text.strip().split("\n\n"))
    return Markup("\n").join(filter(None, blocks))


def _paragraph(block: str) -> Markup:
    return Markup("<p>{}</p>").format(_inline(block)) if block else Markup()


def _table(block: str) -> Markup:
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in block.split("\n"))
    classes = [' class="text wrap"' if name in _PROSE else "" for name in header]
    head = Markup().join(
        Markup('<th scope="col"{}>{}</th>').format(Markup(kind), cell)  # noqa: S704 - a constant
        for kind, cell in zip(classes, header, strict=True)
    )
    body = Markup().join(_row(row, classes) for row in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(", ".join(filter(None, header)), head, body)


def _row(cells: list[str], classes: list[str]) -> Markup:
    first = Markup('<tr><th scope="row">{}</th>').format(_inline(cells[0]))
    others = (
        Markup("<td{}>{}</td>").format(Markup(kind), _inline(cell))  # noqa: S704 - a constant
        for kind, cell in zip(classes[1:], cells[1:], strict=True)
    )
    return first + Markup().join(others) + Markup("</tr>")


def _inline(text: str) -> Markup:
    return Markup(_BOLD.sub(r"<strong>\1</strong>", str(escape(text))))  # noqa: S704 - escaped just now
