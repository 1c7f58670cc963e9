"""What must hold at the end of a demo: the prediction store against the client's ledger, live against offline.

`gather` reads, `judge` decides and is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from k8s.local.ledger import Entry
from k8s.rollout.routers import Role, Split
from monitoring import store
from monitoring.migrations import Connection
from monitoring.report import Check, quality
from training.evaluation import Evaluation

SPLIT_SDS: Final = 4.5
"""Standard deviations of a binomial share that the split may be off: by chance less than once in 100,000 demos."""

GAIN: Final = 1.3
"""How many times its base rate a model's PR-AUC must be, as for any model that is to go live (absolute gates)."""

FEWEST_POSITIVES: Final = 30
"""Below so many positives among the live events, their PR-AUC says nothing and is not judged."""

WORSE_SHARE: Final = 0.05
"""The model counts as worse than the baseline when it is better in at most this share of the paired resamples."""


@dataclass(frozen=True)
class LiveQuality:
    """A model's PR-AUC on labelled live events; None when only one class is there."""

    pr_auc: float | None
    events: int
    positives: int


@dataclass(frozen=True)
class AgainstBaseline:
    """PR-AUC of a model and of logistic regression on the same test rows; the rest is from paired resamples."""

    model: float
    baseline: float
    difference: float
    low: float
    high: float
    better_share: float


@dataclass(frozen=True)
class Stored:
    """What the prediction store says."""

    request_ids: Mapping[Role, Sequence[str]]
    """Sorted; an id with two rows comes twice."""
    refused: int
    """Rows with a status other than 200."""
    tags: Mapping[Role, frozenset[str]]
    stickiness: store.Stickiness
    canary_and_shadow: store.Pairs | None
    stable_and_shadow: store.Pairs | None
    live: LiveQuality


@dataclass(frozen=True)
class Expected:
    """What was run, and what was promised."""

    split: Split
    tags: Mapping[Role, str]
    offline: Mapping[str, Mapping[str, float]]
    """By tag and event id."""
    baseline: AgainstBaseline | None
    """The challenger's evaluation; None when it met no baseline."""


def against_baseline(evaluation: Evaluation) -> AgainstBaseline | None:
    """The part of an evaluation that is judged; None when it met no baseline."""
    baseline, compared = evaluation.baseline, evaluation.comparison
    if baseline is None or compared is None:
        return None
    interval = compared.pr_auc_difference
    return AgainstBaseline(
        model=evaluation.model.pr_auc.value,
        baseline=baseline.pr_auc.value,
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        better_share=compared.better_share,
    )


def gather(connection: Connection, challenger: str) -> Stored:
    """What the prediction store says, for `judge`."""
    labelled = store.labelled(connection, challenger)
    versions = store.versions(connection)
    return Stored(
        request_ids={role: tuple(store.request_ids(connection, role)) for role in store.ROLES},
        refused=sum(each.rows for each in store.statuses(connection) if each.status != 200),
        tags={role: frozenset(each.tag for each in versions if each.role == role) for role in store.ROLES},
        stickiness=store.stickiness(connection),
        canary_and_shadow=store.pairs(connection, "canary", "shadow"),
        stable_and_shadow=store.pairs(connection, "stable", "shadow"),
        live=LiveQuality(quality(labelled).pr_auc, len(labelled.labels), int(labelled.labels.sum())),
    )


def judge(expected: Expected, entries: Sequence[Entry], stored: Stored) -> tuple[Check, ...]:
    """Every check, held or not."""
    return (
        _none_failed(entries, stored),
        *(_same_requests(role, expected, entries, stored) for role in store.ROLES),
        _own_models(expected, stored),
        _split_held(expected, entries),
        _sticky(stored),
        _same_bits(stored),
        _paired(stored),
        _live_is_offline(expected, entries),
        _beats_baseline(expected.baseline),
        _finds_positives(stored.live),
    )


def _none_failed(entries: Sequence[Entry], stored: Stored) -> Check:
    failed = [each for each in entries if each.error is not None]
    first = f"; the first: {failed[0].error}" if failed else ""
    detail = f"{len(failed):,} of {len(entries):,} requests failed, {stored.refused:,} rows tell of a refusal{first}"
    return Check("No request failed", bool(entries) and not failed and not stored.refused, detail)


def _same_requests(role: Role, expected: Expected, entries: Sequence[Entry], stored: Stored) -> Check:
    """Each of the client's requests has one row: under its own role, and under shadow, which is sent all of them."""
    answered = [each for each in entries if role == "shadow" or each.model_version == expected.tags[role]]
    ours = sorted(each.request_id or "" for each in answered)
    rows = stored.request_ids[role]
    missing, strange = len(set(ours) - set(rows)), len(set(rows) - set(ours))
    detail = f"{len(ours):,} sent, {len(rows):,} rows, {missing:,} missing, {strange:,} that nobody sent"
    name = "The shadow has every request once" if role == "shadow" else f"The rows of {role} are what it was sent"
    return Check(name, ours == list(rows), detail)


def _own_models(expected: Expected, stored: Stored) -> Check:
    right = all(stored.tags[role] == {tag} for role, tag in expected.tags.items())
    ran = ", ".join(f"{role} {' and '.join(sorted(tags)) or 'nothing'}" for role, tags in stored.tags.items())
    return Check("Each role ran the model that it was given", right, ran)


def _split_held(expected: Expected, entries: Sequence[Entry]) -> Check:
    """Over entities, which the split is by; a request without one counts for itself."""
    sides = {(each.entity_id or each.request_id): each.model_version for each in entries if each.answered}
    canary = sum(side == expected.tags["canary"] for side in sides.values())
    wanted = expected.split.canary / 100
    found = canary / max(len(sides), 1)
    allowed = SPLIT_SDS * sqrt(wanted * (1 - wanted) / max(len(sides), 1))
    detail = f"the canary has {canary:,} of {len(sides):,} entities, {found:.1%}; {wanted:.0%} ± {allowed:.1%} expected"
    return Check("The split is as it was set", abs(found - wanted) <= allowed, detail)


def _sticky(stored: Stored) -> Check:
    detail = f"{stored.stickiness.moved:,} of {stored.stickiness.entities:,} entities met both stable and canary"
    return Check("Every entity stayed on its side", stored.stickiness.moved == 0, detail)


def _same_bits(stored: Stored) -> Check:
    """Canary and shadow run the same model: for the same request they must agree to the last bit."""
    pairs, wanted = stored.canary_and_shadow, len(stored.request_ids["canary"])
    if pairs is None:
        return Check("Canary and shadow agree to the last bit", held=False, detail="there is no pair of the two")
    same = pairs.low == pairs.high == 0 and pairs.flips == 0
    detail = (
        f"{pairs.pairs:,} pairs of {wanted:,} requests, largest difference {max(abs(pairs.low), abs(pairs.high)):g}"
    )
    return Check("Canary and shadow agree to the last bit", same and pairs.pairs == wanted, detail)


def _paired(stored: Stored) -> Check:
    """Stable and shadow run different models: every request of stable's is a pair, and some differ."""
    pairs, wanted = stored.stable_and_shadow, len(stored.request_ids["stable"])
    if pairs is None:
        return Check("Stable is compared with the shadow", held=False, detail="there is no pair of the two")
    detail = f"{pairs.pairs:,} pairs of {wanted:,} requests, mean difference {pairs.mean:+.4f}, {pairs.flips:,} flips"
    return Check("Stable is compared with the shadow", pairs.pairs == wanted and pairs.low < pairs.high, detail)


def _live_is_offline(expected: Expected, entries: Sequence[Entry]) -> Check:
    scored = [each for each in entries if each.answered]
    other = [
        each for each in scored if expected.offline.get(each.model_version or "", {}).get(each.event_id) != each.score
    ]
    detail = f"{len(scored) - len(other):,} of {len(scored):,} answers have the bits of the Bento's own offline score"
    return Check("Live scores are the offline scores", bool(scored) and not other, detail)


def _beats_baseline(found: AgainstBaseline | None) -> Check:
    name = "The model is no worse than logistic regression"
    if found is None:
        return Check(name, held=False, detail="the evaluation met no baseline")
    detail = (
        f"PR-AUC {found.model:.3f} against {found.baseline:.3f} on its test part, "
        f"difference {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    )
    return Check(name, found.better_share > WORSE_SHARE, detail)


def _finds_positives(live: LiveQuality) -> Check:
    name = "The model finds the positives among the live events"
    if live.positives < FEWEST_POSITIVES or live.pr_auc is None:
        return Check(name, held=True, detail=f"not judged: {live.positives:,} positives of {live.events:,} labelled")
    base = live.positives / live.events
    wanted = min(GAIN * base, (1 + base) / 2)  # where most are positive, 1.3 times that is more than there is
    detail = f"PR-AUC {live.pr_auc:.3f}, more than {wanted:.3f} expected at a base rate of {base:.3f}"
    return Check(name, live.pr_auc > wanted, detail)
