"""The pages of the daily job, put where people find them: ours over the newest days, Evidently's of each judged day."""

import tempfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bentos.artifact_stores import ArtifactError, ArtifactStore, FolderStore, open_store
from bentos.risk_scorer.reference import Reference

from . import drift_page, drift_reports
from .drift_reports import JudgedDay
from .errors import ArtifactsError
from .migrations import Connection

SHOWN: Final = 56
"""Days on our page: twice the reference's, and as many as can be seen side by side."""

INDEX: Final = "drift/index.html"


def open_place(place: str) -> ArtifactStore:
    """Where pages go: a folder, or a URL as artifacts have. Raises ArtifactsError."""
    try:
        return open_store(place) if urlsplit(place).scheme in {"file", "s3"} else FolderStore(Path(place).absolute())
    except ArtifactError as error:
        raise ArtifactsError(str(error)) from error


def put_overview(connection: Connection, place: ArtifactStore, now: datetime) -> str | None:
    """Writes our page of the newest days; its address, or None while no day is judged. Raises ArtifactsError."""
    days = drift_reports.newest(connection, most=SHOWN)
    return _put(place, INDEX, drift_page.render(days, now)) if days else None


def put_days(connection: Connection, place: ArtifactStore, judged: Sequence[tuple[JudgedDay, Reference]]) -> list[str]:
    """Writes Evidently's page of each judged day that has anything to compare; their addresses."""
    from . import evidently_report  # noqa: PLC0415 - pandas: 60 MB that a job without pages need not have

    written = []
    for day, reference in judged:
        window = drift_reports.counts(connection, day.report.day)
        rendered = evidently_report.render(window, reference, day.report) if window else None
        if rendered is not None:
            written.append(_put(place, key(day.report.day), rendered.html))
    return written


def key(day: date) -> str:
    """The place of Evidently's page of a day. A day that is judged again gets a new page in its place."""
    return f"drift/{day}.html"


def _put(place: ArtifactStore, name: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix="vigil-page-") as folder:
        page = Path(folder, "page.html")
        page.write_text(text, encoding="utf-8")
        try:
            place.put(name, page)
        except ArtifactError as error:
            raise ArtifactsError(f"the page was not kept: {error}") from error
    return place.url(name)
