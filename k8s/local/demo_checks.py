"""What must hold at the end of a demo: how each story ended, and the prediction store against the client's ledger.

`gather` reads, `judge` decides and is pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from k8s.local.acts import Act
from k8s.local.demo_follow import Refusal, Told
from k8s.local.ledger import Entry
from k8s.rollout.errors import RefusedError
from k8s.rollout.routers import Role
from monitoring import store
from monitoring.evaluation import Evaluation
from monitoring.migrations import Connection
from monitoring.report import Check, quality

ENTITIES: Final = 25_000
"""A split and a shadow are decided by entities: with fewer, a demo of seconds would show little."""

GAIN: Final = 1.3
"""How many times its base rate a model's PR-AUC must be, as for any model that is to go live (absolute gates)."""

FEWEST_POSITIVES: Final = 30
"""Below so many positives among the live events, their PR-AUC says nothing and is not judged."""

WORSE_SHARE: Final = 0.05
"""The model counts as worse than the baseline when it is better in at most this share of the paired resamples."""

REFUSED: Final = RefusedError.exit_code

_ROWS: Final = "select role, tag, request_id, event_id, status, score, latency_us from predictions order by request_id"
_MOVED: Final = """
    select count(*) from (
        select
            min(scored_at) filter (where role = 'canary') as first,
            max(scored_at) filter (where role = 'stable') as last
        from predictions where entity_id is not null and scored_at >= %(since)s and scored_at < %(until)s
        group by entity_id
    ) as entities where last > first + interval '1 second'"""


@dataclass(frozen=True)
class StoredRow:
    """A row of the prediction store. `score` None: the request was refused, or failed."""

    role: Role
    tag: str
    request_id: str
    event_id: str
    status: int
    score: float | None
    latency_us: int

    @property
    def failed(self) -> bool:
        return self.status >= 500


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

    rows: Sequence[StoredRow]
    moved: int
    """Entities that went back to stable while a canary grew."""
    entities: int
    live: LiveQuality


@dataclass(frozen=True)
class Expected:
    """What was run, and what was promised."""

    told: Sequence[Told]
    refusal: Refusal
    leaking: str
    """The Bento whose failures are part of its story; nobody else's are."""
    offline: Mapping[str, Mapping[str, float]]
    """By tag and event id."""
    stable: str
    """What must be stable in the end."""
    baseline: AgainstBaseline | None
    """The challenger's evaluation; None when it met no baseline."""
    names_entities: bool = True


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


def gather(connection: Connection, told: Sequence[Told], challenger: str) -> Stored:
    """What the prediction store says, for `judge`."""
    labelled = store.labelled(connection, challenger)
    rows = [StoredRow(*row) for row in connection.execute(_ROWS)]
    return Stored(
        rows=rows,
        moved=sum(_moved(connection, each) for each in told),
        entities=store.stickiness(connection).entities,
        live=LiveQuality(quality(labelled).pr_auc, len(labelled.labels), int(labelled.labels.sum())),
    )


def judge(expected: Expected, entries: Sequence[Entry], stored: Stored, stable: str | None) -> tuple[Check, ...]:
    """Every check, held or not. `stable` is what runs in the end."""
    return (
        *(check for told in expected.told for check in _ended(told, stored.rows)),
        _refused(expected.refusal, stored.rows),
        _stable(expected.stable, stable),
        _enough_entities(expected, stored),
        _failures(expected.leaking, entries, stored.rows),
        _same_requests(entries, stored.rows),
        _copies(entries, stored.rows),
        _sticky(stored),
        _live_is_offline(expected, entries),
        _shadow_is_offline(expected, stored.rows),
        _beats_baseline(expected.baseline),
        _finds_positives(stored.live),
    )


def bad_answers(act: Act, rows: Sequence[StoredRow]) -> int:
    """Answers of the act's candidate, as canary, that customers should not have got."""
    slow = act.plan.slo_ms * 1000
    served = [each for each in rows if each.role == "canary" and each.tag == act.candidate]
    if act.bad == "errors":
        return sum(each.failed for each in served)
    return sum(each.latency_us > slow for each in served) if act.bad == "slow" else len(served)


def _ended(told: Told, rows: Sequence[StoredRow]) -> Iterator[Check]:
    act, verdict = told.act, told.attempt.verdict
    found = f"{verdict.outcome} by '{verdict.gate}': {verdict.reason}" if verdict else "no verdict"
    held = verdict is not None and verdict.outcome is act.outcome and verdict.gate in act.gates
    yield Check(f"{act.title}: {_promised(act)}", held, f"{found} ({told.seconds:.0f} s)")
    bad, served = bad_answers(act, rows), sum(each.role == "canary" and each.tag == act.candidate for each in rows)
    kind = {"errors": "failed answers", "slow": f"answers over {act.plan.slo_ms:g} ms", "all": "answers"}[act.bad]
    detail = f"{bad:,} {kind} of {served:,} that it gave to customers, at most {act.most_bad:,} expected"
    yield Check(f"{act.title}: few are hurt", bad <= act.most_bad, detail)


def _promised(act: Act) -> str:
    return str(act.outcome) if act.gates == ("all",) else f"{act.outcome} by {' or '.join(act.gates)}"


def _refused(refusal: Refusal, rows: Sequence[StoredRow]) -> Check:
    seen = sum(each.tag == refusal.tag for each in rows)
    held = refusal.compared in {6, 7} and refusal.started == REFUSED and not seen
    detail = (
        f"`training compare` ended with {refusal.compared} (6 or 7: not good enough), `vigil rollout start` with "
        f"{refusal.started}; {seen:,} rows are its own"
    )
    return Check("A model that is wrong offline never starts", held, detail)


def _stable(wanted: str, found: str | None) -> Check:
    return Check("The promoted model is stable, and nothing else became it", wanted == found, f"{found} is stable")


def _enough_entities(expected: Expected, stored: Stored) -> Check:
    name = f"At least {ENTITIES:,} entities took part"
    if not expected.names_entities:
        return Check(name, held=True, detail="not judged: the events name no entities, so each request stands for one")
    return Check(name, stored.entities >= ENTITIES, f"{stored.entities:,} entities in {len(stored.rows):,} rows")


def _failures(leaking: str, entries: Sequence[Entry], rows: Sequence[StoredRow]) -> Check:
    failed = Counter(each.request_id for each in entries if each.error is not None)
    known = {each.request_id for each in rows if each.failed and each.tag == leaking and each.role == "canary"}
    strange = [each for each in entries if each.error is not None and each.request_id not in known]
    first = f"; the first other one: {strange[0].error}" if strange else ""
    detail = (
        f"{failed.total():,} of {len(entries):,} requests failed, {len(known):,} rows of the leaking pool's failures, "
        f"{len(strange):,} others{first}"
    )
    return Check("No request failed but the leaking pool's", bool(entries) and not strange, detail)


def _same_requests(entries: Sequence[Entry], rows: Sequence[StoredRow]) -> Check:
    """Each of the client's requests has one row, under the model that answered it."""
    ours = Counter((each.request_id or "", each.model_version or "") for each in entries)
    theirs = Counter((each.request_id, "" if each.failed else each.tag) for each in rows if each.role != "shadow")
    missing, strange = (ours - theirs).total(), (theirs - ours).total()
    detail = f"{ours.total():,} sent, {theirs.total():,} rows, {missing:,} missing, {strange:,} that nobody sent"
    return Check("The rows of stable and canary are what was sent", not missing and not strange, detail)


def _copies(entries: Sequence[Entry], rows: Sequence[StoredRow]) -> Check:
    copies = Counter(each.request_id for each in rows if each.role == "shadow")
    strange = copies.keys() - {each.request_id for each in entries}
    twice = sum(count > 1 for count in copies.values())
    detail = f"{len(copies):,} copies, {twice:,} of them twice, {len(strange):,} of no request"
    return Check("Each copy for a shadow is of one request", bool(copies) and not twice and not strange, detail)


def _sticky(stored: Stored) -> Check:
    detail = f"{stored.moved:,} entities went back to stable while a canary grew"
    return Check("Every entity stayed with the canary that it had met", stored.moved == 0, detail)


def _live_is_offline(expected: Expected, entries: Sequence[Entry]) -> Check:
    scored = [each for each in entries if each.answered]
    other = sum(expected.offline.get(each.model_version or "", {}).get(each.event_id) != each.score for each in scored)
    detail = f"{len(scored) - other:,} of {len(scored):,} answers have the bits of the Bento's own offline score"
    return Check("Live scores are the offline scores", bool(scored) and not other, detail)


def _shadow_is_offline(expected: Expected, rows: Sequence[StoredRow]) -> Check:
    """Of every shadow but the skewed one, whose live scores must differ."""
    skewed = {told.act.candidate for told in expected.told if told.act.key == "skew"}
    sound: list[bool] = []
    wrong: list[bool] = []
    for each in rows:
        if each.role == "shadow" and each.score is not None:
            same = expected.offline.get(each.tag, {}).get(each.event_id) == each.score
            (wrong if each.tag in skewed else sound).append(same)
    detail = (
        f"{sum(sound):,} of {len(sound):,} scores of sound shadows are the offline ones to the last bit, "
        f"{sum(wrong):,} of {len(wrong):,} of the skewed one"
    )
    held = bool(sound) and all(sound) and not all(wrong)
    return Check("A shadow's scores are the offline scores, unless its code is wrong live", held, detail)


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


def _moved(connection: Connection, told: Told) -> int:
    attempt = told.attempt
    if attempt.canary_since is None or attempt.verdict is None:
        return 0
    found = connection.execute(_MOVED, {"since": attempt.canary_since, "until": attempt.verdict.at}).fetchone()
    return int(found[0]) if found else 0
