"""The report in sentences: what each drawing shows, for those who read it without looking at drawings."""

from datetime import UTC, datetime
from typing import Final

from bentos.risk_scorer.policy import Decision

from . import store
from .report import Comparison, LiveQuality, Report

SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends there."""

_DONE: Final = {Decision.APPROVE: "approved", Decision.REVIEW: "reviewed", Decision.BLOCK: "blocked"}


def verdict(report: Report) -> str:
    """The page in one line."""
    checks, broken = len(report.checks), len(report.broken)
    if not checks:
        return f"{plural(_requests(report), 'request')}, and what became of them"
    if broken:
        return f"{broken} of {plural(checks, 'check')} did not hold"
    return f"All {plural(checks, 'check')} held"


def summary(report: Report) -> str:
    """When it was, how much, and who answered."""
    first, last = moment(report.first), moment(report.last)
    last = last.removeprefix(first[:11])  # the same day need not be said twice
    answered = ", ".join(f"{each.role} {_has(each)}" for each in report.traffic)
    return f"{plural(_requests(report), 'request')} from {first} to {last} UTC: {answered}."


def traffic(report: Report) -> str:
    parts = [f"{each.role} {_got(each)}" for each in report.traffic]
    return f"{capital(listed(parts))}. {stickiness(report.stickiness)}"


def stickiness(sticky: store.Stickiness) -> str:
    if not sticky.entities:
        return "No request named its entity, so none could be kept on one side."
    if not sticky.moved:
        return f"Each of {plural(sticky.entities, 'entity', 'entities')} was answered by one side only."
    return f"{count(sticky.moved)} of {plural(sticky.entities, 'entity', 'entities')} were answered by both sides."


def latency(report: Report) -> str:
    parts = [
        f"{each.role} answered half of its requests within {milliseconds(each.p50_us)} and 99{SPACE}% within "
        f"{milliseconds(each.p99_us)}"
        for each in report.latencies
    ]
    return f"{capital(listed(parts))}." if parts else "No request was scored."


def differences(comparison: Comparison) -> str:
    pairs, left, right = comparison.pairs, comparison.left, comparison.right
    if pairs.low == pairs.high == 0:
        return f"{capital(right)} gave each of {plural(pairs.pairs, 'request')} the very score that {left} gave it."
    return (
        f"On {plural(pairs.pairs, 'request')} that both scored, {right}'s score minus {left}'s is "
        f"{signed(pairs.mean)} on average and lies between {signed(pairs.p05)} and {signed(pairs.p95)} for nine "
        f"requests in ten; at most {signed(pairs.high)}, at least {signed(pairs.low)}."
    )


def flips(comparison: Comparison) -> str:
    pairs = comparison.pairs
    if not pairs.flips:
        return f"No decision differs between {comparison.left} and {comparison.right}."
    return f"{plural(pairs.flips, 'decision')} of {count(pairs.pairs)} differ ({share(pairs.flips / pairs.pairs)})."


def decisions(report: Report) -> str:
    parts = []
    for role in store.ROLES:
        rows = {each.decision: each.rows for each in report.decisions if each.role == role}
        if total := sum(rows.values()):
            each = [f"{_DONE[decision]} {share(rows.get(decision, 0) / total)}" for decision in store.DECISIONS]
            parts.append(f"{role} {listed(each)}")
    return f"{capital('; '.join(parts))}." if parts else "Nothing was decided."


def quality(report: Report, tag: str) -> str:
    """A model's PR-AUC as promised and as seen live; empty when neither is known."""
    return " ".join(part for part in (_promised(report, tag), _live(report, tag)) if part)


def _promised(report: Report, tag: str) -> str:
    promised = report.evaluations.get(tag)
    if promised is None:
        return ""
    model = promised.model.pr_auc
    interval = f"95{SPACE}% interval {area(model.low)} to {area(model.high)}"
    text = f"On held-out data its PR-AUC is {area(model.value)} ({interval})"
    if promised.baseline:
        text += f", the baseline's {area(promised.baseline.pr_auc.value)}"
    return f"{text}; a model that knows nothing has {area(promised.base_rate)}."


def _live(report: Report, tag: str) -> str:
    live = next((each for each in report.live if each.tag == tag), None)
    if live is None:
        return ""
    return f"On {plural(live.events, 'live event')} whose label is known: {live_pr_auc(live)}."


def live_pr_auc(live: LiveQuality) -> str:
    if live.quality.pr_auc is None:
        return "not to be had from one class"
    return f"{area(live.quality.pr_auc)}, with {share(live.base_rate)} positive"


def _requests(report: Report) -> int:
    """Requests that the split gave out; where it gave none, what the mirror saw."""
    split = sum(each.requests for each in report.traffic if each.role != "shadow")
    return split or sum(each.requests for each in report.traffic)


def _got(traffic: store.Traffic) -> str:
    return f"got {plural(traffic.requests, 'request')} of {plural(traffic.entities, 'entity', 'entities')}"


def _has(traffic: store.Traffic) -> str:
    if traffic.role == "shadow":
        return f"saw {_share(traffic.share, traffic.requests)} as copies"
    return f"answered {_share(traffic.share, traffic.requests)}"


def _share(part: float | None, requests: int) -> str:
    return count(requests) if part is None else share(part)


def count(number: int) -> str:
    """12345 as '12,345'."""
    return f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 as '1 request', 12345 as '12,345 requests'."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def share(part: float) -> str:
    """0.2513 as '25.1 %'; below one in a hundred with two significant digits; never rounded to 0 or to 100."""
    percent = 100 * part
    if percent in (0.0, 100.0):
        return f"{percent:.0f}{SPACE}%"
    if 99.95 <= percent < 100:
        return f"almost 100{SPACE}%"
    return f"{percent:.1f}{SPACE}%" if percent >= 1 else f"{percent:.2g}{SPACE}%"


def area(value: float) -> str:
    """A PR-AUC with three digits; one below 1 is never rounded to it."""
    return "above 0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def milliseconds(microseconds: float) -> str:
    """950.0 as '0.95 ms', 12345.6 as '12.3 ms'."""
    return (
        f"{microseconds / 1000:.3g}{SPACE}ms" if microseconds < 999_500 else f"{microseconds / 1_000_000:.3g}{SPACE}s"
    )


def signed(number: float) -> str:
    """A difference of scores: 0.0123 as '+0.0123', -0.5 as '\N{MINUS SIGN}0.5'."""
    text = f"{number:+.3g}"
    return "0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def listed(parts: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
