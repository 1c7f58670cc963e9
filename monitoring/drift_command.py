"""`python -m monitoring drift`: the daily job."""

import functools
from datetime import UTC, date, datetime
from pathlib import Path

import click

from bentos.artifact_stores import ArtifactStore
from bentos.risk_scorer import identity

from . import drift_job, drift_pages, drift_reports, model_files, windows
from .drift_job import Judging, References
from .drift_reports import JudgedDay
from .environment import store_session
from .errors import InputError
from .migrations import Connection

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(name="drift")
@click.option(
    "--artifacts",
    envvar="MONITORING_ARTIFACTS",
    metavar="URL",
    help="The artifact store that has the models' references: file:///path or s3://bucket/prefix.",
)
@click.option(
    "--reference",
    "given",
    metavar="FILE|TAG",
    help="Compare every day with this reference.json, or with this model of the artifact store. By default each day is "
    "compared with the model that served it.",
)
@click.option("--day", type=_DAY, help="Judge this day alone, also when it was judged before.")
@click.option("--since", type=_DAY, help="Catch up from this day on, instead of from 14 days ago.")
@click.option(
    "--row-limit",
    type=click.IntRange(1_000),
    default=windows.ROW_LIMIT,
    show_default=True,
    help="Count the fields of a day with more rows on a sample of so many.",
)
@click.option(
    "--report",
    "place",
    metavar="FOLDER|URL",
    help="Write pages there, under drift/: index.html over the newest 56 days, and Evidently's of each day judged now.",
)
@click.option(
    "--now", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="What is closed at that time; now by default."
)
def command(  # noqa: PLR0913, PLR0917 - the options
    artifacts: str | None,
    given: str | None,
    day: datetime | None,
    since: datetime | None,
    row_limit: int,
    place: str | None,
    now: datetime | None,
) -> None:
    """Judge the closed days that have no report yet, or one DAY again, and record the reports.

    Exit code 0: it ran, whatever the verdicts, or nothing was due; 3: the reference's file can't be used; 4: no stable
    model has left a row yet; 5: the database does not answer; 8: the artifact store does not give the reference,
    or does not take a page (what was judged is recorded then, too).
    """
    at = now or datetime.now(UTC)
    references, tag = _references(given, artifacts)
    pages = drift_pages.open_place(place) if place else None
    with store_session() as connection:
        connection.autocommit = True  # a day that was judged stays so, whatever comes after it
        drift_reports.lock(connection)
        days = [_closed(day.date(), at)] if day else drift_job.due(connection, at, since.date() if since else None)
        judged = []
        for each in drift_job.judge(connection, days, Judging(references, at, tag, row_limit)):
            click.echo(said(each))
            judged.append(each)
        if pages is not None:
            _write(connection, pages, judged, references, at)
    if not days:
        click.echo("every closed day was judged before")


def _write(
    connection: Connection, pages: ArtifactStore, judged: list[JudgedDay], references: References, now: datetime
) -> None:
    written = drift_pages.put_days(connection, pages, [(each, references(each.tag)) for each in judged])
    for url in (*written, drift_pages.put_overview(connection, pages, now)):
        if url is not None:
            click.echo(f"wrote {url}")


def said(judged: JudgedDay) -> str:
    """A judged day in a line."""
    report = judged.report
    late = f", {report.late_rows:,} late for days before" if report.late_rows else ""
    sampled = f" ({judged.sampled:,} counted)" if judged.sampled < report.rows else ""
    return (
        f"drift.verdict day={report.day} verdict={report.verdict} tag={judged.tag} rows={report.rows}{sampled}{late}: "
        f"{report.reason}"
    )


def _references(given: str | None, artifacts: str | None) -> tuple[References, str | None]:
    """Where references come from, and the tag that every day is judged as, if one was given."""
    if given is not None and not given.startswith(f"{identity.NAME}:"):
        reference = model_files.reference(Path(given))
        return (lambda _: reference), None
    if artifacts is None:
        raise click.UsageError("give --artifacts (or MONITORING_ARTIFACTS), or a file as --reference")
    return functools.cache(lambda tag: model_files.published_reference(tag, artifacts)), given


def _closed(day: date, now: datetime) -> date:
    last = windows.closed_by(now)
    if day > last:
        raise InputError(
            f"{day} is not closed yet: late rows are waited for until 6:00 UTC of the day after; try {last}"
        )
    return day
