"""An evaluation as a page of markdown: what the numbers are, and what each of them means."""

from collections.abc import Iterable, Sequence
from typing import Final

from .evaluation import DataPart, Evaluation, Metrics, Split

_TOO_GOOD: Final = 0.995
"""A PR-AUC from here on is what an invented rule gives; on real data the first guess is a leak."""

_MEANINGS: Final = {
    "PR-AUC": "precision averaged over recall; the figure for rare positives",
    "ROC-AUC": "chance that a positive scores above a negative; flatters where positives are rare",
    "Brier score": "mean squared distance between score and label; lower is better",
    "calibration error": "how far scores are from the shares that they promise; lower is better",
}
_PART_HEADER: Final = ("part", "events", "positives", "from", "to")


def render(evaluation: Evaluation, title: str = "Evaluation") -> str:
    """The page."""
    sections = [
        f"# {title}",
        f"{_summary(evaluation)}{_warning(evaluation)}{_verdict(evaluation)}",
        "## Quality",
        _quality(evaluation),
        "## Decisions and what they cost",
        _decisions(evaluation),
        "## Is the score a probability?",
        _calibration(evaluation.model),
        "## Data",
        _data(evaluation),
        "\n".join(f"- {note}" for note in evaluation.notes),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _summary(evaluation: Evaluation) -> str:
    tested, pr_auc, base = evaluation.tested_on, evaluation.model.pr_auc, evaluation.base_rate
    return (
        f"Tested on {tested.rows:,} events, of which {tested.positives:,} were positive ({base:.2%}). "
        f"**PR-AUC {pr_auc.value:.4f}** (95 % interval {pr_auc.low:.4f} to {pr_auc.high:.4f}); "
        f"a model that knows nothing has {base:.4f}."
    )


def _warning(evaluation: Evaluation) -> str:
    if evaluation.model.pr_auc.value < _TOO_GOOD:
        return ""
    return " So near to 1 is what an invented rule gives. On real data, look for a column that knows the answer."


def _verdict(evaluation: Evaluation) -> str:
    if evaluation.comparison is None:
        return ""
    difference = evaluation.comparison.pr_auc_difference
    if difference.low > 0:
        verdict = "better than"
    elif difference.high < 0:
        verdict = "**worse than**"
    else:
        verdict = "not clearly different from"
    return (
        f" It is {verdict} logistic regression: the difference in PR-AUC is {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f})."
    )


def _quality(evaluation: Evaluation) -> str:
    candidates = _candidates(evaluation)
    figures = [_figures(metrics) for metrics in candidates.values()]
    recalls = {
        f"recall at precision {floor}": f"positives caught while {float(floor):.0%} of what is flagged is positive"
        for floor in evaluation.model.recall_at_precision
    }
    rows = [[name, *(each[name] for each in figures), meaning] for name, meaning in _in_order(recalls).items()]
    unit = "entities" if evaluation.resampled == "entity" else "events"
    return (
        f"{_table(['', *candidates, 'meaning'], rows)}\n\n"
        f"Intervals come from {evaluation.resamples} resamples of whole {unit}."
    )


def _in_order(recalls: dict[str, str]) -> dict[str, str]:
    """What each figure means, PR-AUC first, the recalls next."""
    return {"PR-AUC": _MEANINGS["PR-AUC"], **recalls, **_MEANINGS}


def _figures(metrics: Metrics) -> dict[str, str]:
    recalls = {f"recall at precision {floor}": f"{share:.1%}" for floor, share in metrics.recall_at_precision.items()}
    return recalls | {
        "PR-AUC": f"{metrics.pr_auc.value:.4f}",
        "ROC-AUC": f"{metrics.roc_auc:.4f}",
        "Brier score": f"{metrics.brier:.5f}",
        "calibration error": f"{metrics.calibration_error:.5f}",
    }


def _decisions(evaluation: Evaluation) -> str:
    policy = evaluation.policy
    rule = (
        f"An event is reviewed from a score of {policy.review_from:.4g} and blocked from {policy.block_from:.4g}: each "
        f"is the cheapest there when a missed positive costs {policy.costs.missed:,.2f}, a review "
        f"{policy.costs.review:,.2f} and a false block {policy.costs.false_block:,.2f}."
    )
    everyone = ["approve all", "100.00%", "0.00%", "0.00%", f"{evaluation.approve_all_cost_per_1000:,.2f}"]
    rows = [*(_priced(name, metrics) for name, metrics in _candidates(evaluation).items()), everyone]
    return f"{rule}\n\n{_table(['', 'approve', 'review', 'block', 'cost per 1,000 events'], rows)}"


def _priced(name: str, metrics: Metrics) -> list[str]:
    return [name, *(f"{share:.2%}" for share in metrics.decisions.values()), f"{metrics.cost_per_1000:,.2f}"]


def _calibration(metrics: Metrics) -> str:
    intro = "Of the events with these scores, so many were positive; the two columns should agree."
    rows = [[f"{each.rows:,}", f"{each.mean_score:.4f}", f"{each.positive_share:.4f}"] for each in metrics.calibration]
    return f"{intro}\n\n{_table(['events', 'mean score', 'share of positives'], rows)}"


def _data(evaluation: Evaluation) -> str:
    if evaluation.split is None:
        return _table(_PART_HEADER, [_part("tested on", evaluation.tested_on)])
    parts = [_part(name, getattr(evaluation.split, name)) for name in ("train", "calibration", "test")]
    return f"{_split_sentence(evaluation.split)}\n\n{_table(_PART_HEADER, parts)}"


def _part(name: str, part: DataPart) -> list[str]:
    share = f"{part.positives:,} ({part.positives / part.rows:.2%})"
    return [name, f"{part.rows:,}", share, part.first or "-", part.last or "-"]


def _split_sentence(split: Split) -> str:
    if split.by == "time":
        return "The data was cut by time, so that the model is tested on events later than all that it learned from."
    return "The data has no times, so it was cut at random: this says nothing about how the model will age."


def _candidates(evaluation: Evaluation) -> dict[str, Metrics]:
    named = {"LightGBM": evaluation.model, "logistic regression": evaluation.baseline}
    return {name: metrics for name, metrics in named.items() if metrics is not None}


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, its columns aligned for those who read the source."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])
