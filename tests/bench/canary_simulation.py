"""Does the rollout decide as it says? Thousands of simulated rollouts, `decide` called as in production.

`python -m tests.bench.canary_simulation [--streams N] [--seed N] [--rate 50 ...] [--markdown]`. Streams last an hour
(120 blocks); rules of other tools run beside ours on the same kind of traffic. Exit code 1 when a target is missed.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import median

import click
import numpy as np

from k8s.rollout.simulation import Ended, draw_at, run, run_shadow
from tests.bench import canary_entities
from tests.bench.canary_rules import ARGO, FLAGGER, HOLDING, OURS, PLAN, Rule
from tests.bench.canary_scenarios import RATES, SCENARIOS, SHADOWS, SILENT, Scenario, ShadowScenario
from tests.bench.figures import upper_limit

BLOCKS = 120
CHUNK = 50
SHADOW_BLOCKS = 400
RULES = {rule.name: rule for rule in (OURS, FLAGGER, ARGO, HOLDING)}


@dataclass(frozen=True)
class Cell:
    """One scenario at one rate under one rule."""

    scenario: str
    rate: int
    rule: str
    streams: int
    promoted: int
    rolled_back: int
    minutes: float | None
    bad: float | None
    """Median of the additional bad answers that the candidate gave in all."""
    gate: str

    @property
    def held(self) -> int:
        return self.streams - self.promoted - self.rolled_back


def simulate(scenario: Scenario, rate: int, rule: Rule, streams: int, seed: int) -> Cell:
    """A cell, from so many streams of their own seeds."""
    key = [seed, rate, *scenario.name.encode(), *rule.name.encode()]
    rng = np.random.default_rng(key)
    ended: list[Ended] = []
    while len(ended) < streams:
        ended += _chunk(scenario, rate, rule, min(CHUNK, streams - len(ended)), rng)
    return _cell(scenario, rate, rule, ended)


def _chunk(scenario: Scenario, rate: int, rule: Rule, count: int, rng: np.random.Generator) -> list[Ended]:
    traffic = replace(scenario.traffic, rps=0 if scenario.name == SILENT else rate)
    if not scenario.entities:
        drawn = draw_at(traffic, np.array(rule.weights), 30.0, (count, BLOCKS), rng)
        return [run(rule.judge(), stream.tolist(), rule.weights, traffic) for stream in drawn]
    ended = []
    for _ in range(count):
        stream, noise = canary_entities.stream(rate, BLOCKS, rng)
        ended.append(run(rule.judge(), stream, rule.weights, replace(traffic, noise=noise)))
    return ended


def _cell(scenario: Scenario, rate: int, rule: Rule, ended: Sequence[Ended]) -> Cell:
    actions = Counter(each.action for each in ended)
    faulty = scenario.traffic.candidate != scenario.traffic.base
    wanted = "rollback" if faulty else "promote"
    # A fault of a step begins with the step; that is not known here, so its minutes are those of the whole rollout.
    minutes = [(each.blocks - scenario.traffic.onset) / 2 for each in ended if each.action == wanted]
    gates = Counter(each.gate for each in ended if each.action == "rollback")
    return Cell(
        scenario.name,
        rate,
        rule.name,
        len(ended),
        actions["promote"],
        actions["rollback"],
        median(minutes) if minutes else None,
        median(each.served for each in ended) * _harm(scenario) if faulty else None,
        gates.most_common(1)[0][0] if gates else "",
    )


def _harm(scenario: Scenario) -> float:
    base, candidate = scenario.traffic.base, scenario.traffic.candidate
    return sum(abs(getattr(candidate, name) - getattr(base, name)) for name in ("errors", "over_slo", "flagged"))


def missed(scenario: Scenario, cell: Cell) -> list[str]:
    """The targets that a cell misses, each in words."""
    at = RATES.index(cell.rate) if cell.rate in RATES else 1
    promoted, rolled_back = cell.promoted / cell.streams, cell.rolled_back / cell.streams
    found = []
    if scenario.false_rollbacks is not None:
        limit = upper_limit(cell.rolled_back, cell.streams)
        # Fewer streams than this can't show it, even with none rolled back.
        allowed = max(scenario.false_rollbacks, upper_limit(0, cell.streams))
        _ask(found, limit <= allowed, f"false rollbacks up to {limit:.2%}, at most {allowed:.2%}")
    if scenario.promoted_least:
        _ask(found, promoted >= scenario.promoted_least[at], f"promoted {promoted:.1%}")
    if scenario.promoted_most:
        _ask(found, promoted <= scenario.promoted_most[at], f"promoted {promoted:.1%}")
    if scenario.rolled_back_least:
        _ask(found, rolled_back >= scenario.rolled_back_least[at], f"rolled back {rolled_back:.1%}")
    if scenario.minutes_most:
        _ask(found, (cell.minutes or np.inf) <= scenario.minutes_most[at], f"after {cell.minutes} minutes")
    if scenario.gate and cell.rolled_back:
        _ask(found, cell.gate == scenario.gate, f"rolled back by {cell.gate}, not {scenario.gate}")
    return [f"{cell.scenario} at {cell.rate}/s: {each}" for each in found]


def _ask(found: list[str], holds: bool, words: str) -> None:
    if not holds:
        found.append(words)


@dataclass(frozen=True)
class ShadowCell:
    scenario: str
    streams: int
    passed: int
    failed: int
    entities: float | None


def simulate_shadow(scenario: ShadowScenario, streams: int, seed: int) -> ShadowCell:
    ended = run_shadow(PLAN, scenario.pairs, SHADOW_BLOCKS, streams, seed)
    actions = Counter(action for action, _, _ in ended)
    entities = [pairs for action, _, pairs in ended if action != "hold"]
    return ShadowCell(scenario.name, streams, actions["pass"], actions["fail"], median(entities) if entities else None)


def missed_shadow(scenario: ShadowScenario, cell: ShadowCell) -> list[str]:
    passed, failed = cell.passed / cell.streams, cell.failed / cell.streams
    found: list[str] = []
    if scenario.failed_most is not None:
        limit = upper_limit(cell.failed, cell.streams)
        allowed = max(scenario.failed_most, upper_limit(0, cell.streams))
        _ask(found, limit <= allowed, f"failed up to {limit:.2%}, at most {allowed:.2%}")
    _ask(found, failed >= (scenario.failed_least or 0), f"failed {failed:.1%}")
    _ask(found, passed >= (scenario.passed_least or 0), f"passed {passed:.1%}")
    _ask(found, passed <= (1 if scenario.passed_most is None else scenario.passed_most), f"passed {passed:.1%}")
    _ask(found, (cell.entities or 0) <= (scenario.entities_most or np.inf), f"after {cell.entities} entities")
    return [f"shadow, {cell.scenario}: {each}" for each in found]


def table(cells: Iterable[Cell], shadows: Iterable[ShadowCell]) -> str:
    """Both tables as markdown; figures of several rates stand in one cell."""
    lines = [
        "| streams | rule | promoted % | rolled back % | held % | minutes | bad answers |",
        "|---|---|---|---|---|---|---|",
    ]
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.scenario, cell.rule), []).append(cell)
    for (scenario, rule), row in grouped.items():
        shares = [
            _joined(_percent(getattr(cell, name), cell.streams) for cell in row)
            for name in ("promoted", "rolled_back", "held")
        ]
        times = _joined("-" if cell.minutes is None else f"{cell.minutes:g}" for cell in row)
        bad = _joined("-" if cell.bad is None else f"{cell.bad:,.0f}" for cell in row)
        lines.append(f"| {scenario} | {rule} | {' | '.join(shares)} | {times} | {bad} |")
    lines += ["", "| shadow streams | passed % | failed % | held % | entities |", "|---|---|---|---|---|"]
    for each in shadows:
        held = each.streams - each.passed - each.failed
        shares = [_percent(count, each.streams) for count in (each.passed, each.failed, held)]
        entities = "-" if each.entities is None else f"{each.entities:,.0f}"
        lines.append(f"| {each.scenario} | {' | '.join(shares)} | {entities} |")
    return "\n".join(lines)


def _percent(count: int, streams: int) -> str:
    return f"{100 * count / streams:.3g}"


def _joined(parts: Iterable[str]) -> str:
    return " / ".join(parts)


def _jobs(rules: Sequence[str], rates: Sequence[int]) -> list[tuple[Scenario, int, str]]:
    """Entities are cut at our own steps' weights, so only ours run on them."""
    return [
        (scenario, rate, rule)
        for scenario in SCENARIOS
        for rule in rules
        for rate in rates
        if not scenario.entities or RULES[rule].weights == OURS.weights
    ]


@click.command()
@click.option("--streams", default=1000, show_default=True, help="Of each kind, rate and rule.")
@click.option("--seed", default=6, show_default=True, help="Another one gives other streams.")
@click.option("--rate", "rates", type=int, multiple=True, default=RATES, show_default=True, help="Requests a second.")
@click.option("--rule", type=click.Choice(list(RULES)), default=OURS.name, show_default=True, help="Which is judged.")
@click.option("--beside/--alone", default=True, show_default=True, help="Run the other tools' rules, too.")
@click.option("--markdown", is_flag=True, help="Print nothing but the table for the docs.")
def main(streams: int, seed: int, rates: tuple[int, ...], rule: str, beside: bool, markdown: bool) -> None:
    """Simulate rollouts and compare them with the targets."""
    beside_it = [other.name for other in (FLAGGER, ARGO)] if beside else []
    jobs = _jobs([rule, *beside_it], rates)
    with ProcessPoolExecutor(max_workers=2) as pool:
        cells = list(
            pool.map(
                simulate, *zip(*((s, r, RULES[name]) for s, r, name in jobs), strict=True), *_same(jobs, streams, seed)
            )
        )
        shadows = list(pool.map(simulate_shadow, SHADOWS, *_same(SHADOWS, streams, seed)))
    wrong = [
        words
        for (scenario, _, name), cell in zip(jobs, cells, strict=True)
        if name == rule
        for words in missed(scenario, cell)
    ]
    wrong += [words for scenario, cell in zip(SHADOWS, shadows, strict=True) for words in missed_shadow(scenario, cell)]
    click.echo(table(cells, shadows))
    if not markdown or wrong:
        click.echo("\n".join(f"MISSED {each}" for each in wrong) or "every target is met", err=markdown)
    sys.exit(1 if wrong else 0)


def _same(jobs: Sequence[object], *values: int) -> list[list[int]]:
    return [[value] * len(jobs) for value in values]


if __name__ == "__main__":
    main()
