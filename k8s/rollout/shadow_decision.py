"""The shadow's decision: does the candidate behave live as its evaluation said? Pure.

Alpha is shared: PAIRS_SHARE of it to the pairs (half of that to flips up and down, half to the score difference), the
rest to the shadow's health, by the gates' weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

from k8s.rollout import harm, paired, shadow
from k8s.rollout.answers import Action, Decision, GateNumbers, GateState
from k8s.rollout.blocks import ShadowBlock, Waiting
from k8s.rollout.labelled import missing, shown_loss
from k8s.rollout.plan import Plan, ShadowPlan
from k8s.rollout.prediction import Prediction
from k8s.rollout.shadow import HEALTH_GATES, ShadowState

PAIRS_SHARE: Final = 0.8
CALM: Final = 3.0
SPREADS: Final = 2.0
"""Standard errors of the prediction that widen a margin."""
EXPECTED_FLIPS: Final = 0.04
"""Share of changed decisions that the time to go is estimated with before any was seen."""
FACTOR: Final = 13.0
"""Pairs needed = FACTOR x share of flips / margin^2, both sides at beta .05. Theory 9.6; the mixture of bets costs."""


@dataclass(frozen=True, slots=True)
class _Moment:
    state: ShadowState
    plan: Plan
    shadow: ShadowPlan
    prediction: Prediction | None
    unpredicted: str
    newest: ShadowBlock | None
    waiting: Waiting | None
    age_blocks: float
    gates: tuple[GateNumbers, ...]
    labels: GateNumbers | None


def decide_shadow(  # noqa: PLR0913 - what is known of a moment
    state: ShadowState,
    blocks: Sequence[ShadowBlock],
    plan: Plan,
    prediction: Prediction | None,
    *,
    waiting: Waiting | None = None,
    age_blocks: float,
    unpredicted: str = "There is no prediction.",
    labels: GateNumbers | None = None,
) -> Decision[ShadowState]:
    """hold, pass, fail or inconclusive.

    `prediction` is None when there is no usable one; `unpredicted` is then the sentence of `prediction.usable`. A plan
    without a shadow phase is decided with the defaults of one. The age is in blocks since the phase began. `labels` is
    the label gate's answer, when somebody looked; it fails a candidate with a block, as everything that is latched.
    """
    settings = plan.shadow or ShadowPlan()
    if prediction is not None and not prediction.live:
        prediction, unpredicted = None, "The comparison has no live part, so nothing is predicted."
    newest, gates = None, _gates(state, plan, settings, prediction)
    for block in blocks:
        changed = shadow.after(state, block, plan)
        if changed is not state:
            newest, gates = block, _gates(changed, plan, settings, prediction)
            state = _latched(changed, gates)
    if newest and not state.failed and (loss := shown_loss(labels)):
        state = replace(state, failed="labels", why=loss)
    moment = _Moment(state, plan, settings, prediction, unpredicted, newest, waiting, age_blocks, gates, labels)
    if state.failed:
        return _answer(moment, "fail", state.failed, f"Failed as a shadow: {state.failed}: {state.why}.")
    gate, reason = next(_obstacles(moment), ("", ""))
    if not reason:
        return _answer(moment, "pass", None, "The candidate does live what its evaluation predicted.")
    if age_blocks >= settings.deadline_blocks:
        return _answer(moment, "inconclusive", gate, f"Not decided within {age_blocks:.0f} blocks. {reason}")
    return _answer(moment, "hold", gate, reason)


def _latched(state: ShadowState, gates: Sequence[GateNumbers]) -> ShadowState:
    failed = next((each for each in gates if each.state == "failed"), None)
    return replace(state, failed=failed.gate, why=failed.detail) if failed else state


def _obstacles(moment: _Moment) -> Iterator[tuple[str, str]]:
    """What stands against passing, the most telling first: a name, and a sentence for someone on call."""
    waiting, newest, state = moment.waiting, moment.newest, moment.state
    if waiting is not None and waiting.obstacle != "not closed" and newest is None:
        yield waiting.obstacle, f"No new evidence ({waiting.obstacle}): {waiting.detail}."
    if moment.prediction is None:
        yield "no prediction", moment.unpredicted
    if newest is None:
        yield "evidence", f"Waiting for block {state.block + 1} to close."
    elif newest.first.pairs <= 0 and newest.every.pairs <= 0:
        yield "no traffic", f"There were no pairs in block {newest.number}: nothing can be said of the candidate."
    if shadow.shed_share(state) > moment.shadow.max_shed:
        refused, most = shadow.shed_share(state), moment.shadow.max_shed
        reason = f"The shadow refused {refused:.0%} of its copies, more than {most:.0%}: mirror less, or give it more."
        yield "shadow overloaded", reason
    for gate in moment.gates:
        if gate.state in ("gathering", "holding"):
            yield gate.gate, f"{gate.gate}: {gate.detail}."
    if lacking := missing(moment.labels, moment.plan):
        yield "labels", lacking
    if moment.age_blocks < moment.shadow.min_blocks:
        yield "time", f"The shadow phase is {moment.age_blocks:.0f} of at least {moment.shadow.min_blocks} blocks old."


def _answer(moment: _Moment, action: Action, gate: str | None, reason: str) -> Decision[ShadowState]:
    lacked = [each.missing_blocks for each in moment.gates if each.state == "gathering"]
    if missing(moment.labels, moment.plan):
        lacked.append(None)
    known = [each for each in lacked if each is not None]
    soonest = max([moment.shadow.min_blocks - moment.age_blocks, 0.0, *known]) if len(known) == len(lacked) else None
    worst = max((each for each in moment.gates if each.harm is not None), key=_severity, default=None)
    return Decision(
        action,
        gate,
        reason,
        (*moment.gates, *((moment.labels,) if moment.labels else ())),
        moment.state,
        next_blocks=soonest if action == "hold" else None,
        harm=worst.harm or 0.0 if worst else 0.0,
        harm_bound=worst.harm_bound or 0.0 if worst else 0.0,
    )


def _severity(gate: GateNumbers) -> float:
    return (gate.harm or 0.0) / (gate.harm_bound or 1.0)


def _gates(
    state: ShadowState, plan: Plan, settings: ShadowPlan, prediction: Prediction | None
) -> tuple[GateNumbers, ...]:
    if prediction is None:
        pairs = tuple(GateNumbers(name, "not evaluated", "no prediction") for name in ("flips", "score"))
    else:
        pairs = (_flips(state, plan, settings, prediction), _score(state, plan, settings, prediction))
    return (*pairs, *_health(state, plan))


def _flips(state: ShadowState, plan: Plan, settings: ShadowPlan, prediction: Prediction) -> GateNumbers:
    """Net flips: E of either sign against 4/alpha; shown inside the margin when both sides reach 1/beta."""
    flips, centre = state.flips, prediction.net_flips
    margin = settings.flip_margin + SPREADS * prediction.net_flips_se
    worse = max(paired.flips_above(flips, centre + margin), paired.flips_below(flips, centre - margin))
    shown = min(paired.flips_below(flips, centre + margin), paired.flips_above(flips, centre - margin))
    bound, enough = log(4 / (PAIRS_SHARE * plan.alpha)), -log(plan.beta)
    needed = max(_pairs_needed(state, margin) - flips.pairs, 0.0) if shown < enough else 0.0
    needed = max(needed, settings.min_entities - flips.pairs)
    found = f"net flips {flips.net:+.3%} of {flips.pairs:.0f} entities, predicted {centre:+.3%} within {margin:.3%}"
    state_name, detail = _verdict(worse >= bound, shown >= enough and flips.pairs >= settings.min_entities, found)
    return GateNumbers(
        "flips",
        state_name,
        detail if state_name != "gathering" else f"{detail}; about {needed:.0f} more entities are needed",
        harm=_plain(worse),
        harm_bound=_plain(bound),
        shown=shown,
        shown_bound=enough,
        counts=(("entities", flips.pairs), ("up", flips.up), ("down", flips.down)),
        missing_units=needed if state_name == "gathering" else None,
        missing_blocks=_blocks(state, needed) if state_name == "gathering" else None,
    )


def _pairs_needed(state: ShadowState, margin: float) -> float:
    flips = state.flips
    share = (flips.up + flips.down + 500 * EXPECTED_FLIPS) / (flips.pairs + 500)
    return FACTOR * share / margin**2


def _blocks(state: ShadowState, pairs: float) -> float | None:
    """How many blocks so many first pairs take at the pace so far; optimistic, as new entities become rarer."""
    return pairs * (state.block + 1) / state.flips.pairs if state.flips.pairs > 0 else None


def _score(state: ShadowState, plan: Plan, settings: ShadowPlan, prediction: Prediction) -> GateNumbers:
    """Mean score difference: fails when its interval is outside the margin, shown when it is inside."""
    scores, centre = state.scores, prediction.score_difference
    margin = settings.score_margin + SPREADS * prediction.score_difference_se
    low, high = paired.score_interval(scores, PAIRS_SHARE * plan.alpha / 4)
    inner_low, inner_high = paired.score_interval(scores, plan.beta)
    failed = low > centre + margin or high < centre - margin
    inside = centre - margin < inner_low and inner_high < centre + margin
    found = f"mean difference {scores.mean:+.4f} ({low:+.4f} to {high:+.4f}), predicted {centre:+.4f} within {margin:g}"
    state_name, detail = _verdict(failed, inside, found)
    return GateNumbers(
        "score",
        state_name,
        detail,
        shown=margin - max(inner_high - centre, centre - inner_low) if scores.weight > 0 else None,
        shown_bound=0.0,
        counts=(("entities", scores.pairs), ("mean", scores.mean)),
        missing_blocks=_score_blocks(state, inner_high - inner_low, margin) if state_name == "gathering" else None,
    )


def _score_blocks(state: ShadowState, width: float, margin: float) -> float | None:
    """The interval shortens with the square root of the pairs, about."""
    if state.scores.pairs <= 0:
        return None
    return max((width / (2 * margin)) ** 2 - 1, 0.1) * (state.block + 1)


def _health(state: ShadowState, plan: Plan) -> tuple[GateNumbers, ...]:
    """Errors and latency beside stable's: the weighted mean of both e-values against what is left of alpha."""
    whole = sum(gate.weight for gate in HEALTH_GATES)
    shares = [each / whole for each in harm.together(HEALTH_GATES, state.wealth)]
    bound = 1 / ((1 - PAIRS_SHARE) * plan.alpha)
    total, worst = sum(shares), shares.index(max(shares))
    gates = []
    for index, (gate, share) in enumerate(zip(HEALTH_GATES, shares, strict=True)):
        failed, holding = total >= bound and index == worst, total >= CALM and index == worst
        detail = f"evidence of harm beside stable's answers {share:.3g} of {bound:g}"
        name = f"shadow_{gate.gate}"
        gates.append(
            GateNumbers(
                name, "failed" if failed else "holding" if holding else "ok", detail, harm=share, harm_bound=bound
            )
        )
    return tuple(gates)


def _verdict(failed: bool, shown: bool, found: str) -> tuple[GateState, str]:
    return ("failed" if failed else "ok" if shown else "gathering"), found


def _plain(logarithm: float) -> float:
    return exp(min(logarithm, 200.0))
