"""What many streams' days add up to: rates with limits, delays with quantiles, and the targets they miss."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from tests.bench.drift_judges import DRIFT, EVIDENTLY, FAULT, INSUFFICIENT, KS, LOSS, OURS, PSI
from tests.bench.drift_scenarios import Scenario
from tests.bench.drift_streams import Days, first_day, starts, triggers
from tests.bench.figures import upper_limit

RULES = (OURS, EVIDENTLY, KS, PSI)
MONTH = 30
DRAWS = 2000
LEVEL = 0.95
QUANTILES = (0.5, 0.9, 0.95)
NEVER = 0.02
"""The upper limit of the share of streams with a DRIFT window, where there may be none: few streams can show less."""


@dataclass(frozen=True)
class Rate:
    """So many per 30 days, with the limits that hold it with 95 % on either side, and the streams that had any."""

    value: float
    low: float
    high: float
    streams: int
    of: int


def rate(counts: Sequence[int], days: int) -> Rate:
    """The rate of something that each stream had `counts` of in `days` days.

    Of two intervals the wider limits: the exact one of a Poisson count (Garwood, 1936), which is right for independent
    events and for none at all, and percentiles over resampled streams, because one stream's events come together.
    """
    streams, total = len(counts), int(sum(counts))
    months = streams * days / MONTH
    exact = (chi2.ppf(1 - LEVEL, 2 * total) / 2 if total else 0.0, chi2.ppf(LEVEL, 2 * total + 2) / 2)
    drawn = np.random.default_rng(0).integers(0, streams, (DRAWS, streams))
    sums = np.asarray(counts)[drawn].sum(axis=1)
    low, high = np.quantile(sums, [1 - LEVEL, LEVEL])
    return Rate(
        total / months,
        min(low, exact[0]) / months,
        max(high, exact[1]) / months,
        int(np.count_nonzero(counts)),
        streams,
    )


@dataclass(frozen=True)
class Delays:
    """Windows from the change to its detection; None where it was not found in time."""

    each: tuple[int | None, ...]

    @property
    def found(self) -> float:
        return sum(one is not None for one in self.each) / len(self.each)

    def quantile(self, share: float) -> int | None:
        """The delay that this share of all streams did not exceed; None when fewer found it at all."""
        ordered = sorted(one for one in self.each if one is not None)
        place = int(np.ceil(share * len(self.each))) - 1
        return ordered[place] if place < len(ordered) else None


@dataclass(frozen=True)
class Cell:
    """One scenario: rates of each rule's flags and triggers, delays, and what our verdicts were."""

    scenario: str
    streams: int
    days: int
    windows: dict[str, Rate]
    triggers: dict[str, Rate]
    losses: Rate
    """Weeks that the quality rule called a loss."""
    either: Rate
    """Triggers of drift or of quality, each once while it lasts."""
    delays: dict[str, Delays]
    verdicts: dict[str, int]
    drifted_streams: int
    fields: dict[str, int] = field(default_factory=dict)
    """How often each field was over its threshold in a DRIFT window."""


def cell(scenario: Scenario, ran: Sequence[Days]) -> Cell:
    days = len(ran[0].verdicts)
    flags = {rule: [_flags(rule, each) for each in ran] for rule in RULES}
    active = {rule: [triggers(each) for each in those] for rule, those in flags.items()}
    losses = [_are(each.quality, LOSS) for each in ran]
    either = [drifted | lost for drifted, lost in zip(active[OURS], losses, strict=True)]
    verdicts = Counter(verdict for each in ran for verdict in each.verdicts)
    delays = {rule: _delays(those) for rule, those in active.items()} | {OURS: _delays(_own(scenario, ran))}
    return Cell(
        scenario=scenario.name,
        streams=len(ran),
        days=days,
        windows={rule: rate([int(each.sum()) for each in those], days) for rule, those in flags.items()},
        triggers={rule: rate([starts(each) for each in those], days) for rule, those in active.items()},
        losses=rate([int(each.sum()) for each in losses], days),
        either=rate([starts(each) for each in either], days),
        delays=delays,
        verdicts=dict(verdicts),
        drifted_streams=sum(DRIFT in each.verdicts for each in ran),
        fields=dict(_fields(ran)),
    )


def _flags(rule: str, days: Days) -> NDArray[np.bool_]:
    return _are(days.verdicts, DRIFT) if rule == OURS else days.flags[rule]


def _are(verdicts: Sequence[str], wanted: str) -> NDArray[np.bool_]:
    return np.array([verdict == wanted for verdict in verdicts])


def _own(scenario: Scenario, ran: Sequence[Days]) -> list[NDArray[np.bool_]]:
    """When our own rule has found what the scenario is about."""
    found: dict[str, Callable[[Days], NDArray[np.bool_]]] = {
        "drift": lambda each: triggers(_are(each.verdicts, DRIFT)),
        "quality": lambda each: _are(each.quality, LOSS),
        "fault": lambda each: _are(each.verdicts, FAULT),
    }
    return [found[scenario.trigger](each) for each in ran]


def _delays(active: Sequence[NDArray[np.bool_]]) -> Delays:
    return Delays(tuple(first_day(each) for each in active))


def _fields(ran: Sequence[Days]) -> Counter[str]:
    return Counter(
        name
        for each in ran
        for verdict, names in zip(each.verdicts, each.drifted, strict=True)
        if verdict == DRIFT
        for name in names
    )


def missed(scenario: Scenario, found: Cell) -> list[str]:
    """The targets that a cell misses, each in words."""
    wrong = []
    own, delays = found.windows[OURS], found.delays[OURS]
    most = scenario.false_windows_most
    # Fewer streams than this can't show it, even with no false window.
    allowed = max(most or 0.0, rate([0] * found.streams, found.days).high)
    if most is not None and own.high > allowed:
        wrong.append(f"DRIFT windows up to {own.high:.2f} in 30 days, at most {allowed:.2f}")
    median = delays.quantile(0.5)
    if scenario.days_most and (median is None or median > scenario.days_most):
        wrong.append(f"found after {median} days (median), {scenario.days_most} wanted")
    if scenario.found_least and delays.found < scenario.found_least:
        wrong.append(f"found in {delays.found:.1%} of the streams, {scenario.found_least:.0%} wanted")
    limit = upper_limit(found.drifted_streams, found.streams)
    if scenario.never_drift and limit > max(NEVER, upper_limit(0, found.streams)):
        wrong.append(f"DRIFT in {found.drifted_streams} of {found.streams} streams, never wanted")
    if scenario.insufficient and set(found.verdicts) != {INSUFFICIENT}:
        wrong.append(f"verdicts {sorted(found.verdicts)}, only {INSUFFICIENT} wanted")
    return [f"{scenario.name}: {each}" for each in wrong]


def table(cells: Sequence[Cell]) -> str:
    """The results as markdown: what is called without a change, then how soon a change is found."""
    return f"{_false_table([each for each in cells if each.days > 30])}\n\n{_delay_table(cells)}"


def _false_table(cells: Sequence[Cell]) -> str:
    lines = [
        "| streams without a change | rule | flagged windows | triggers |",
        "|---|---|---|---|",
    ]
    for each in cells:
        for rule in RULES:
            windows, began = each.windows[rule], each.triggers[rule]
            lines.append(f"| {each.scenario} | {rule} | {_words(windows)} | {_words(began)} |")
        lines.append(f"| {each.scenario} | ours, quality | {_words(each.losses)} | {_words(each.either)} with drift |")
    return "\n".join(lines)


def _delay_table(cells: Sequence[Cell]) -> str:
    lines = [
        f"| a change | verdicts | {' | '.join(RULES)} |",
        f"|---|---|{'---|' * len(RULES)}",
    ]
    for each in cells:
        if each.days <= 30:
            found = " | ".join(_delay_words(each.delays[rule]) for rule in RULES)
            lines.append(f"| {each.scenario} | {_verdict_words(each)} | {found} |")
    return "\n".join(lines)


def _words(found: Rate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} - {found.high:.2f})"


def _delay_words(delays: Delays) -> str:
    days = " / ".join("-" if day is None else str(day) for day in map(delays.quantile, QUANTILES))
    return "never" if delays.found == 0 else f"{days}, {delays.found:.0%}"


def _verdict_words(found: Cell) -> str:
    total = sum(found.verdicts.values())
    ordered = sorted(found.verdicts.items(), key=lambda item: -item[1])
    return ", ".join(f"{verdict} {count / total:.0%}" for verdict, count in ordered if count / total >= 0.005)
