"""The demo's report: what every report has, and before it each story with its picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k8s.local import demo_days_shown, rollout_timeline
from k8s.local.demo_checks import StoredRow, bad_answers
from k8s.local.demo_days import LivedDay
from k8s.local.demo_follow import Told
from k8s.local.rollout_timeline import Figure, Timeline
from k8s.rollout.backend import Backend
from k8s.rollout.model_rollout import Outcome
from k8s.rollout.prediction import from_comparison
from monitoring import page, shell
from monitoring.report import Report

_HERE: Final = Path(__file__).parent
_KINDS: Final = {"errors": "failed", "slow": "were too slow", "all": "reached customers"}


@dataclass(frozen=True)
class StoryTold:
    """A story as the page and the terminal show it."""

    key: str
    title: str
    told: str
    tag: str
    verdict: str
    reason: str
    seconds: float
    served: int
    bad: int
    caption: str
    picture: Figure
    as_named: bool


def told(stories: Sequence[Told], rows: Sequence[StoredRow], world: Backend) -> tuple[StoryTold, ...]:
    """The stories with their pictures, from the recorded evidence. Raises HistoryError."""
    return tuple(_told(each, rows, world) for each in stories)


def write(
    report: Report, stories: Sequence[StoryTold], names: Mapping[str, str], days: Sequence[LivedDay], path: Path
) -> None:
    """Puts the page at `path`, whole."""
    figures = page.figures(report) | {f"story-{each.key}": each.picture for each in stories}
    figures |= {"days": demo_days_shown.figure(days)}
    text = shell.render(
        "demo_page.html.j2",
        _HERE,
        figures=figures,
        stories=stories,
        names=names,
        days=days,
        days_caption=demo_days_shown.caption(days),
        **page.values(report),
    )
    shell.write(text, path)


def _told(story: Told, rows: Sequence[StoredRow], world: Backend) -> StoryTold:
    act, attempt = story.act, story.attempt
    compared = world.comparisons(attempt.stable, attempt.candidate)
    prediction = from_comparison(compared) if compared else None
    course = rollout_timeline.timeline(attempt, world.history.evidence(attempt.id), prediction, story.ended)
    served = sum(each.role == "canary" and each.tag == act.candidate for each in rows)
    bad = bad_answers(act, rows)
    verdict = attempt.verdict
    return StoryTold(
        key=act.key,
        title=act.title,
        told=act.told,
        tag=act.candidate,
        verdict=course.verdict,
        reason=_sentence(verdict.reason) if verdict else "",
        seconds=story.seconds,
        served=served,
        bad=bad,
        caption=_caption(course, served, bad, _KINDS[act.bad]),
        picture=rollout_timeline.figure(course),
        as_named=verdict is not None and verdict.outcome is act.outcome and verdict.gate in act.gates,
    )


def _caption(course: Timeline, served: int, bad: int, kind: str) -> str:
    """The picture in words."""
    highest = max((share for _, share in course.share), default=0.0)
    mirrored = max((share for _, share in course.mirror), default=0.0)
    shadow = f"As a shadow it had a copy of {mirrored:.0%} of the requests. " if mirrored else ""
    rose = f"Its share rose to {highest:.0%}. " if highest else "It answered nobody. "
    hurt = f"{bad:,} of its {served:,} answers {kind}." if served else ""
    end = "It took over" if course.verdict.startswith(Outcome.PROMOTED) else f"It was {course.verdict}"
    return f"{shadow}{rose}{end} after {course.verdict_at:.0f} s. {hurt}".strip()


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
