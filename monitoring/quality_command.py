"""`python -m monitoring quality`: judges a week of labelled events, and records what it found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import numpy as np
from psycopg import IsolationLevel

from . import matured, model_files, quality, quality_reports, quality_rule
from .environment import store_session
from .errors import NothingError
from .evaluation import Evaluation
from .matured import Asked
from .migrations import Connection
from .quality import Limits, QualityReport, Window

SEED: Final = 9
"""Of the resamples: the same labels give the same report."""

_POSITIVE_DAYS = click.FloatRange(min=0, max=366)


@click.command(name="quality")
@click.option(
    "--artifacts",
    envvar="MONITORING_ARTIFACTS",
    metavar="URL",
    help="The artifact store that has the model's evaluation: file:///path or s3://bucket/prefix.",
)
@click.option(
    "--evaluation",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with this evaluation.json instead.",
)
@click.option("--tag", help="The model, as risk_scorer:<version>; by default the one that served last as stable.")
@click.option("--days", type=click.IntRange(1, 60), default=7, show_default=True, help="Whole UTC days to judge.")
@click.option(
    "--matures", type=_POSITIVE_DAYS, default=3.0, show_default=True, help="Days until an event counts as labelled."
)
@click.option(
    "--negatives-after",
    type=_POSITIVE_DAYS,
    help="Days after which an event without a label is taken for a good one. Only where frauds alone are reported, and "
    "long enough for nearly all of them; without it, an event without a label is unknown.",
)
@click.option(
    "--fewest-positives",
    type=click.IntRange(1),
    default=quality_rule.FEWEST_POSITIVES,
    show_default=True,
    help="Below it there is no verdict.",
)
@click.option(
    "--least-coverage",
    type=click.FloatRange(0, 1),
    default=quality_rule.LEAST_COVERAGE,
    show_default=True,
    help="Share of the events that must have a label.",
)
@click.option("--now", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="What is known at that time; now by default.")
def command(  # noqa: PLR0913, PLR0917 - the options
    artifacts: str | None,
    file: Path | None,
    tag: str | None,
    days: int,
    matures: float,
    negatives_after: float | None,
    fewest_positives: int,
    least_coverage: float,
    now: datetime | None,
) -> None:
    """Judge a week of labelled events against the model's evaluation, and record the report.

    Exit code 0: it ran, whatever the verdict; 3: the file is no evaluation; 4: the model answered nothing in the
    window; 8: the artifact store does not give the evaluation.
    """
    at = now or datetime.now(UTC)
    old_enough = timedelta(days=max(matures, negatives_after or 0.0))
    limits = Limits(fewest_positives, least_coverage)
    window = matured.matured_days(at, old_enough, days)
    with store_session() as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # every number at one moment
        served = tag or matured.serving(connection, window, at)
        if served is None:
            raise NothingError(f"no model answered as stable since {window.first}: there is nothing to judge")
        after = None if negatives_after is None else timedelta(days=negatives_after)
        evaluation = _evaluation(served, file, artifacts)
        found = judged(connection, Asked(served, at, after), window, evaluation, limits)
        quality_reports.add(connection, found)
    click.echo("\n".join(_words(found)))
    if not found.events:
        raise NothingError(f"{served} answered nothing from {window.first} until {window.end} (recorded as such)")


def judged(
    connection: Connection, asked: Asked, days: matured.Days, evaluation: Evaluation, limits: Limits
) -> QualityReport:
    """The report on a model's days, as it is known at `asked.now`."""
    young = matured.Days(days.first, (asked.now + timedelta(days=1)).date())
    counts = matured.counts(connection, asked, young)
    known = quality.labelled(quality.in_window(counts, days))
    sample = matured.sample(connection, asked, days, known)
    return quality.report(
        Window(asked.tag, days, asked.now),
        evaluation,
        counts=counts,
        sample=sample,
        rng=np.random.default_rng(SEED),
        limits=limits,
    )


def _evaluation(tag: str, file: Path | None, artifacts: str | None) -> Evaluation:
    if file is not None:
        return model_files.evaluation(file)
    if artifacts is None:
        raise click.UsageError("give --artifacts (or MONITORING_ARTIFACTS), or a file as --evaluation")
    return model_files.published_evaluation(tag, artifacts)


def _words(found: QualityReport) -> list[str]:
    coverage = (
        f"{found.labelled / found.events:.1%} of {found.events:,} events labelled" if found.events else "no event"
    )
    delay = found.delay_hours.get("0.5")
    waits = f"half of them within {delay} h" if delay else f"less than half of them within {found.watched_hours} h"
    return [
        f"{found.verdict}  {found.tag}  {found.window_from} to {found.window_end} (excluded)",
        f"{found.reason}.",
        f"{coverage}, {found.positives:,} positives; {waits}.",
        *(f"Worse: {each}." for each in found.worse_slices),
        *(f"Note: {each}." for each in found.notes),
    ]
