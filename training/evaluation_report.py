"""An evaluation as a page of markdown: a model validation in brief, and what each of its numbers means."""

from collections.abc import Callable
from typing import Final

from bentos.risk_scorer.policy import Decision
from monitoring.evaluation import DataPart, Evaluation, Metrics, Slice, Split, Training

from .floors import FALSE_POSITIVE_SLACK, RECALL_SLACK
from .markdown import area, money, share, table

TOO_GOOD: Final = 0.995
"""A PR-AUC from here on is what an invented rule gives; on real data the first guess is a leak."""

_PART_HEADER: Final = ("part", "events", "positives", "from", "to")
_SHOWN_COSTS: Final = 12
"""Points of the cost curve in the table; the drawing has all."""

_FIGURES: Final[dict[str, tuple[Callable[[Metrics], str], str]]] = {
    "PR-AUC": (lambda each: area(each.pr_auc), "precision averaged over recall; the figure for rare positives"),
    "ROC-AUC": (
        lambda each: f"{each.roc_auc:.4f}",
        "chance that a positive scores above a negative; flatters where positives are rare",
    ),
    "Brier score": (
        lambda each: f"{each.brier.value:.5f}",
        "mean squared distance of score and label; lower is better",
    ),
    "calibration error": (
        lambda each: f"{each.calibration_error.value:.5f}",
        "how far scores are from the shares that they promise; lower is better",
    ),
    "recall": (lambda each: share(each.recall), "share of positives that the policy flags (reviews or blocks)"),
    "precision": (lambda each: share(each.precision), "share of positives among what it flags"),
    "false positives": (lambda each: share(each.false_positive_share), "share of negatives that it flags"),
    "cost per 1,000 events": (lambda each: money(each.cost_per_1000), "what its decisions cost; lower is better"),
}


def render(evaluation: Evaluation, title: str = "Evaluation") -> str:
    """The page."""
    sections = [
        f"# {title}",
        _forced(evaluation),
        f"{summary(evaluation)}{_warning(evaluation)}{verdict(evaluation)}",
        "## Gates",
        gates(evaluation),
        "## Quality",
        quality(evaluation),
        "## Decisions and what they cost",
        decisions(evaluation),
        cost_curve(evaluation.model),
        "## Is the score a probability?",
        calibration(evaluation.model),
        "## Who is found, from the top of the list",
        lift(evaluation.model),
        "## Slices",
        slices(evaluation.slices),
        "## Fairness floors",
        floors(evaluation),
        "## Data and training",
        data(evaluation),
        training(evaluation.training) if evaluation.training else "",
        "\n".join(f"- {note}" for note in evaluation.notes),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def summary(evaluation: Evaluation) -> str:
    """What was tested, and how well it ranks."""
    tested, pr_auc, base = evaluation.tested_on, evaluation.model.pr_auc, evaluation.base_rate
    return (
        f"Tested on {tested.rows:,} events, of which {tested.positives:,} were positive ({base:.2%}). "
        f"**PR-AUC {pr_auc.value:.4f}** (95 % interval {pr_auc.low:.4f} to {pr_auc.high:.4f}); "
        f"a model that knows nothing has {base:.4f}."
    )


def verdict(evaluation: Evaluation) -> str:
    """The model against logistic regression, in a sentence; empty when there was none."""
    if evaluation.comparison is None:
        return ""
    difference = evaluation.comparison.pr_auc_difference
    if difference.low > 0:
        words = "better than"
    elif difference.high < 0:
        words = "**worse than**"
    else:
        words = "not clearly different from"
    return (
        f" It is {words} logistic regression: the difference in PR-AUC is {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f})."
    )


def gates(evaluation: Evaluation) -> str:
    """Each gate with its verdict."""
    return table(["gate", "verdict", "numbers"], ([each.name, each.verdict, each.detail] for each in evaluation.gates))


def quality(evaluation: Evaluation) -> str:
    """The models side by side."""
    models = candidates(evaluation)
    rows = [[name, *(text(each) for each in models.values()), meaning] for name, (text, meaning) in _FIGURES.items()]
    for floor in evaluation.model.recall_at_precision:
        meaning = f"positives caught while {float(floor):.0%} of what is flagged is positive"
        recalls = (share(each.recall_at_precision[floor]) for each in models.values())
        rows.append([f"recall at precision {floor}", *recalls, meaning])
    limit = evaluation.model.at_capacity.share
    meaning = f"if the {limit:.2%} of events with the highest scores are reviewed"
    rows.append(["precision at capacity", *(share(each.at_capacity.precision) for each in models.values()), meaning])
    rows.append(["recall at capacity", *(share(each.at_capacity.recall) for each in models.values()), meaning])
    unit = "entities" if evaluation.resampled == "entity" else "events"
    return (
        f"{table(['', *models, 'meaning'], rows)}\n\n"
        f"Intervals (95 %) come from {evaluation.resamples} resamples of whole {unit}, the same ones for both models."
    )


def decisions(evaluation: Evaluation) -> str:
    """The thresholds, why they are where they are, and what each model's decisions cost."""
    policy = evaluation.policy
    price = policy.costs
    loss = f"{price.missed:,.2f}"
    if price.missed_per_amount:
        loss += f" and {price.missed_per_amount:,.2f} times its amount"
    rule = (
        f"An event is reviewed from a score of {policy.review_from:.4g} and blocked from {policy.block_from:.4g}. A "
        f"missed positive costs {loss}, a review {price.review:,.2f}, a false block {price.false_block:,.2f}."
    )
    everyone = ["approve all", "100.00%", "0.00%", "0.00%", f"{evaluation.approve_all_cost_per_1000:,.2f}"]
    rows = [*(_priced(name, metrics) for name, metrics in candidates(evaluation).items()), everyone]
    header = ["", "approve", "review", "block", "cost per 1,000 events"]
    return f"{rule}{binding(evaluation)}\n\n{table(header, rows)}"


def binding(evaluation: Evaluation) -> str:
    """What the thresholds were bound by; empty when nobody knows."""
    if evaluation.training is None:
        return ""
    choice, limit = evaluation.training.thresholds, evaluation.policy.review_capacity
    if choice.bound_by == "review capacity" and limit is not None:
        more = choice.expected_cost_per_1000 - choice.expected_cost_per_1000_unlimited
        return (
            f" **The review capacity of {limit:.2%} was binding**: costs alone would have "
            f"{choice.review_share_unlimited:.2%} of the events reviewed; the limit costs {more:,.2f} per 1,000 events."
        )
    room = "" if limit is None else f", within the capacity of {limit:.2%}"
    return (
        f" The costs were binding: on the calibration part these thresholds cost the least in expectation, with "
        f"{choice.review_share:.2%} of the events reviewed{room}."
    )


def cost_curve(metrics: Metrics) -> str:
    """What other thresholds for the review would cost."""
    step = max(1, len(metrics.cost_curve) // _SHOWN_COSTS)
    rows = [
        [
            f"{each.review_from:.4f}",
            f"{each.review_share:.2%}",
            f"{each.cost_per_1000:,.2f} ({each.low:,.2f} to {each.high:,.2f})",
        ]
        for each in metrics.cost_curve[::step]
    ]
    return f"Had reviews begun at another score:\n\n{table(['review from', 'reviewed', 'cost per 1,000 events'], rows)}"


def calibration(metrics: Metrics) -> str:
    """Scores and shares of positives, bin by bin."""
    intro = "Of the events with these scores, so many were positive; the two columns should agree."
    rows = [
        [
            f"{each.rows:,}",
            f"{each.mean_score:.4f}",
            f"{each.positive_share:.4f} ({each.low:.4f} to {each.high:.4f})",
        ]
        for each in metrics.calibration
    ]
    return f"{intro}\n\n{table(['events', 'mean score', 'share of positives'], rows)}"


def lift(metrics: Metrics) -> str:
    """Tenths of the events by score, and what they hold."""
    rows = [
        [
            f"{each.upto:.1%}",
            f"{each.lift.value:.2f} ({each.lift.low:.2f} to {each.lift.high:.2f})",
            f"{each.caught:.1%}",
        ]
        for each in metrics.lift
    ]
    return (
        "Events by score, the highest first; lift is how many times richer in positives than the whole a bin is.\n\n"
        f"{table(['events up to here', 'lift of this bin', 'positives caught so far'], rows)}"
    )


def slices(parts: tuple[Slice, ...]) -> str:
    """Every slice with its figures."""
    rows = [
        [
            f"{each.field}: {each.band}",
            f"{each.rows:,}",
            f"{each.positives:,}",
            "-" if each.pr_auc is None else area(each.pr_auc),
            share(each.recall),
            share(each.false_positive_share),
            f"{each.calibration_gap:+.4f}",
            f"{each.cost_per_1000:,.2f}",
        ]
        for each in parts
    ]
    header = ["slice", "events", "positives", "PR-AUC", "recall", "false positives", "score - share", "cost per 1,000"]
    return table(header, rows)


def floors(evaluation: Evaluation) -> str:
    """The fairness floors, which of them did not hold, and how many could not be judged."""
    intro = (
        f"A slice's recall may be {RECALL_SLACK:.0%} of the positives below the whole's, its false positives "
        f"{FALSE_POSITIVE_SLACK:.0%} of the negatives above. A floor that did not hold is for a person to judge: some "
        "slices differ by nature."
    )
    broken = [each for each in evaluation.floors if each.held is False]
    silent = sum(1 for each in evaluation.floors if each.held is None)
    judged = len(evaluation.floors) - silent
    start = f"{intro}\n\n{judged - len(broken)} of {judged} floors held; {silent} had too few rows to be judged."
    rows = [
        [
            f"{each.field}: {each.band}",
            each.figure.replace("_", " "),
            share(each.value),
            f"{'at least' if each.figure == 'recall' else 'at most'} {each.limit:.1%}",
            "clearly" if each.clear else "within its interval",
        ]
        for each in broken
    ]
    return f"{start}\n\n{table(['slice', 'figure', 'value', 'floor', 'missed'], rows)}" if rows else start


def training(made: Training) -> str:
    """What training chose."""
    bound = ", ".join(f"{name} {sign:+d}" for name, sign in made.monotone.items())
    grown = (
        f"{made.trees} trees of up to {made.leaves} leaves with at least {made.rows_per_leaf} rows, learning rate "
        f"{made.learning_rate:g}, L2 {made.l2:g}."
    )
    lines = [
        grown,
        f"The score is monotone in: {bound}." if bound else "",
        f"A search tried {len(made.search)} candidates on the newest fifth of the training part."
        if made.search
        else "",
    ]
    return " ".join(filter(None, lines))


def candidates(evaluation: Evaluation) -> dict[str, Metrics]:
    """The models by name, ours first."""
    named = {"LightGBM": evaluation.model, "logistic regression": evaluation.baseline}
    return {name: metrics for name, metrics in named.items() if metrics is not None}


def _forced(evaluation: Evaluation) -> str:
    if not evaluation.forced:
        return ""
    names = ", ".join(each.name for each in evaluation.failed)
    return f"> **Forced.** A person shipped this model although it failed: {names}."


def _warning(evaluation: Evaluation) -> str:
    if evaluation.model.pr_auc.value < TOO_GOOD:
        return ""
    return " So near to 1 is what an invented rule gives. On real data, look for a column that knows the answer."


def _priced(name: str, metrics: Metrics) -> list[str]:
    return [name, *(f"{metrics.decisions[each]:.2%}" for each in Decision), money(metrics.cost_per_1000)]


def data(evaluation: Evaluation) -> str:
    """Where the rows came from."""
    if evaluation.split is None:
        return table(_PART_HEADER, [_part("tested on", evaluation.tested_on)])
    parts = [_part(name, getattr(evaluation.split, name)) for name in ("train", "calibration", "test")]
    return f"{_split_sentence(evaluation.split)}\n\n{table(_PART_HEADER, parts)}"


def _part(name: str, part: DataPart) -> list[str]:
    positives = f"{part.positives:,} ({part.positives / part.rows:.2%})"
    return [name, f"{part.rows:,}", positives, part.first or "-", part.last or "-"]


def _split_sentence(split: Split) -> str:
    if split.by == "time":
        return "The data was cut by time, so that the model is tested on events later than all that it learned from."
    return "The data has no times, so it was cut at random: this says nothing about how the model will age."
