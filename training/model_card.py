"""The tables of a model card, made of an evaluation: metrics, gates, slices and fairness, data and policy."""

from monitoring.evaluation import Evaluation

from . import evaluation_report as say


def tables(evaluation: Evaluation) -> str:
    """Markdown of one model's figures, to stand below a card's words; the same evaluation gives the same text."""
    sections = [
        f"{say.summary(evaluation)}{say.verdict(evaluation)}",
        "### Metrics",
        say.quality(evaluation),
        "### Gates",
        say.gates(evaluation),
        "### Decisions",
        say.decisions(evaluation),
        "### Slices",
        say.slices(evaluation.slices),
        "### Fairness floors",
        say.floors(evaluation),
        "### Data",
        say.data(evaluation),
        say.training(evaluation.training) if evaluation.training else "",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"
