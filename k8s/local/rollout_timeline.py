"""A rollout as a picture: who had which share of the traffic, what the evidence said, and when it was decided. Pure.

The evidence is decided on again, block by block, from what was recorded, by the code that decided then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from k8s.rollout.blocks import CanaryBlock, ShadowBlock
from k8s.rollout.decide import CanaryState, ShadowState, decide_canary, decide_shadow
from k8s.rollout.history import Recorded
from k8s.rollout.model_rollout import Attempt, Outcome
from k8s.rollout.plan import Plan
from k8s.rollout.prediction import Prediction

Figure = dict[str, Any]

_FLOOR: Final = 1e-4
_TOP: Final = 100.0
"""Of what is drawn, as a share of its bound: below it is nothing, and above no more than decided."""


@dataclass(frozen=True)
class Moment:
    """What the evidence said when a block had ended; shares of what is needed (1: decided)."""

    at: float
    """Seconds since the attempt began."""
    phase: str
    harm: float
    shown: float
    """Of the gate that lacked most."""


@dataclass(frozen=True)
class Timeline:
    """A rollout's course. Times are seconds since it began."""

    mirror: tuple[tuple[float, float], ...]
    share: tuple[tuple[float, float], ...]
    """The candidate's share of the customers' requests, from each time on (0 to 1)."""
    moments: tuple[Moment, ...]
    verdict_at: float
    verdict: str
    ended: float


def timeline(
    attempt: Attempt, evidence: Sequence[Recorded], prediction: Prediction | None, ended: datetime
) -> Timeline:
    """The course of an attempt that is over."""
    verdict = attempt.verdict
    if verdict is None:
        raise ValueError(f"the attempt {attempt.id} has no verdict")

    def since(at: datetime) -> float:
        return (at - attempt.started_at) / timedelta(seconds=1)

    return Timeline(
        mirror=tuple((since(at), share) for at, share in _mirrored(attempt)),
        share=tuple((since(at), share) for at, share in _shares(attempt)),
        moments=tuple(_moments(attempt, evidence, prediction)),
        verdict_at=since(verdict.at),
        verdict=f"{verdict.outcome} by {verdict.gate}" if verdict.gate != "all" else f"{verdict.outcome}",
        ended=since(ended),
    )


def figure(course: Timeline) -> Figure:
    """The picture: shares above, evidence below, the verdict through both."""
    verdict = {"type": "line", "x0": course.verdict_at, "x1": course.verdict_at, "y0": 0, "y1": 1, "yref": "paper"}
    bound = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 1, "y1": 1, "yref": "y2"}
    return {
        "data": [
            _steps("mirrored to it", course.mirror, course.ended, "var(--shadow)", "dot"),
            {**_steps("answered by it", course.share, course.ended, "var(--canary)", "solid"), "fill": "tozeroy"},
            _evidence(
                "evidence of harm", course.moments, [each.harm for each in course.moments], "var(--bad)", "solid"
            ),
            _evidence(
                "evidence that all is well",
                course.moments,
                [each.shown for each in course.moments],
                "var(--good)",
                "dash",
            ),
        ],
        "layout": {
            "xaxis": {"title": {"text": "seconds since its start"}, "range": [0, course.ended], "anchor": "y2"},
            "yaxis": {
                "title": {"text": "share of traffic"},
                "tickformat": ".0%",
                "range": [0, 1.08],
                "domain": [0.6, 1],
            },
            "yaxis2": {
                "title": {"text": "evidence / bound", "font": {"size": 13}, "standoff": 12},
                "type": "log",
                "tickformat": ".2~%",
                "dtick": 1,
                "range": [-4, 2],
                "domain": [0, 0.46],
                "gridcolor": "var(--grid)",
                "linecolor": "var(--rule)",
                "fixedrange": True,
                "automargin": True,
            },
            "hovermode": "x unified",
            "shapes": [
                {**verdict, "line": {"color": "var(--ink)", "width": 1.5, "dash": "dash"}},
                {**bound, "line": {"color": "var(--muted)", "width": 1}},
            ],
            "annotations": [_label(course)],
        },
    }


def _label(course: Timeline) -> dict[str, Any]:
    """The verdict's words, on the side of its line that has room."""
    right = course.verdict_at < course.ended / 2
    return {
        "x": course.verdict_at,
        "y": 1.0,
        "yref": "paper",
        "text": course.verdict,
        "showarrow": False,
        "xanchor": "left" if right else "right",
        "yanchor": "top",
        "xshift": 6 if right else -6,
        "font": {"color": "var(--ink)"},
    }


def _mirrored(attempt: Attempt) -> Iterator[tuple[datetime, float]]:
    if attempt.shadow_since is not None and attempt.plan.shadow is not None:
        yield attempt.shadow_since, attempt.plan.shadow.mirror / 100
        if attempt.shadow_passed_at is not None:
            yield attempt.shadow_passed_at, 0.0
        elif attempt.verdict is not None:
            yield attempt.verdict.at, 0.0


def _shares(attempt: Attempt) -> Iterator[tuple[datetime, float]]:
    """The canary's weights; once promoted, all is the candidate's, whichever role answers."""
    yield attempt.started_at, 0.0
    promoted = attempt.verdict is not None and attempt.verdict.outcome is Outcome.PROMOTED
    for at, share in attempt.weights:
        if promoted and share == 1:
            yield at, 1.0
            return
        yield at, share


def _moments(attempt: Attempt, evidence: Sequence[Recorded], prediction: Prediction | None) -> Iterator[Moment]:
    shadow, canary = ShadowState(), CanaryState()
    for each in evidence:
        block = each.block
        ends = each.since + timedelta(seconds=(block.number + 1) * block.seconds)
        if attempt.verdict is not None and ends > attempt.verdict.at:
            return  # what was read of a promotion and of the watch after it decided something else
        age = float(block.number + 1)
        at = (ends - attempt.started_at) / timedelta(seconds=1)
        if isinstance(block, ShadowBlock):
            found = decide_shadow(shadow, [block], attempt.plan, prediction, age_blocks=age)
            shadow = found.state
            yield Moment(at, "shadow", _share(found.harm, found.harm_bound), _shown(found.gates))
        elif not canary.failed:
            step, rho = _step(attempt.plan, block), attempt.rho or 1.0
            decided = decide_canary(
                canary, [block], attempt.plan, step=step, rho=rho, age_blocks=age, step_age_blocks=age
            )
            canary = decided.state
            yield Moment(at, "canary", _share(decided.harm, decided.harm_bound), _shown(decided.gates))


def _step(plan: Plan, block: CanaryBlock) -> int | None:
    reached = [number for number, step in enumerate(plan.canary.steps) if step.weight / 100 <= block.weight + 1e-9]
    return reached[-1] if reached else None


def _shown(gates: Sequence[Any]) -> float:
    """Of the gate that lacks most: its evidence that all is well as a share of what is needed."""
    shares = [_share(each.shown, each.shown_bound) for each in gates if each.shown is not None and each.shown_bound]
    return min(shares, default=0.0)


def _share(part: float, whole: float) -> float:
    return max(0.0, part / whole) if whole else 0.0


def _steps(name: str, points: Sequence[tuple[float, float]], ended: float, color: str, dash: str) -> dict[str, Any]:
    last = [(ended, points[-1][1])] if points else []
    course = [*points, *last]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [at for at, _ in course],
        "y": [share for _, share in course],
        "line": {"color": color, "width": 2.5, "dash": dash, "shape": "hv"},
        "hovertemplate": "%{y:.0%}",
    }


def _evidence(name: str, moments: Sequence[Moment], values: Sequence[float], color: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4, "color": color},
        "name": name,
        "x": [each.at for each in moments],
        "y": [min(max(value, _FLOOR), _TOP) for value in values],
        "yaxis": "y2",
        "line": {"color": color, "width": 2.5, "dash": dash},
        "hovertemplate": "%{y:.2%} of the bound",
    }
