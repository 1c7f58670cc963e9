"""A comparison as markdown: the verdict first, then the gates, then both models side by side."""

from .comparison import Change, ModelComparison, Prediction
from .markdown import area, money, share, table


def render(found: ModelComparison) -> str:
    """The report."""
    sections = [
        f"# {found.verdict.capitalize()}",
        f"{found.challenger.tag} against {found.champion.tag}: {found.why}.",
        _rows(found),
        _gates(found),
        _quality(found),
        "## Expected live",
        _prediction(found.prediction),
    ]
    return "\n\n".join(sections) + "\n"


def _rows(found: ModelComparison) -> str:
    rows = found.rows
    span = f", from {rows.first} to {rows.last}" if rows.first else ""
    dropped = [
        f"{rows.seen:,} were dropped that a model may have learned from" if rows.seen else "",
        f"{rows.older:,} older ones were not needed" if rows.older else "",
        f"{rows.refused:,} would be refused by one of the models" if rows.refused else "",
    ]
    why = "; ".join(filter(None, dropped)) or "none was dropped"
    vouched = " **A person vouched that neither model learned from them.**" if rows.vouched else ""
    return (
        f"Compared on the same {rows.compared:,} of {rows.given:,} labelled events, {rows.positives:,} of them "
        f"positive{span}; {why}.{vouched}"
    )


def _gates(found: ModelComparison) -> str:
    silent = [each for each in found.gates if each.verdict == "not evaluated" and each.name.startswith("recall kept")]
    shown = ([each.name, each.verdict, each.detail] for each in found.gates if each not in silent)
    note = f"\n\n{len(silent)} slices have too few positives to tell." if silent else ""
    return table(["gate", "verdict", "numbers"], shown) + note


def _quality(found: ModelComparison) -> str:
    pair = (found.champion_metrics, found.challenger_metrics)
    rows = [
        ["PR-AUC", *(area(each.pr_auc) for each in pair)],
        ["calibration error", *(f"{each.calibration_error.value:.5f}" for each in pair)],
        ["recall", *(share(each.recall) for each in pair)],
        ["false positives", *(share(each.false_positive_share) for each in pair)],
        ["cost per 1,000 events", *(money(each.cost_per_1000) for each in pair)],
    ]
    note = f"Intervals are from {found.resamples:,} paired resamples; costs of both by the challenger's prices."
    return f"{table(['', 'champion', 'challenger'], rows)}\n\n{note}"


def _prediction(prediction: Prediction | None) -> str:
    if prediction is None:
        return "There were no logged inputs to predict from."
    span = (
        f" from {prediction.first:%Y-%m-%d %H:%M} to {prediction.last:%Y-%m-%d %H:%M} UTC" if prediction.first else ""
    )
    intro = f"From {prediction.inputs:,} logged inputs{span}; differences are challenger minus champion."
    rows = [
        _change("each entity's first event (as the shadow counts)", prediction.by_entity),
        _change("every event", prediction.by_event),
    ]
    header = [
        "counted",
        "n",
        "net flips (se)",
        "flips",
        "score difference (se)",
        "flagged: champion, challenger",
        "ratio",
    ]
    return f"{intro}\n\n{table(header, rows)}"


def _change(name: str, change: Change) -> list[str]:
    return [
        name,
        f"{change.n:,}",
        f"{change.net_flips.value:+.3%} ({change.net_flips.se:.3%})",
        f"{change.flips:.3%}",
        f"{change.score_difference.value:+.5f} ({change.score_difference.se:.5f})",
        f"{change.champion_flagged:.2%}, {change.challenger_flagged:.2%}",
        "-" if change.flagged_ratio is None else f"{change.flagged_ratio:.2f}",
    ]
