"""Who gets which model: shares, the same entity always the same, and the mirror's share."""

import math
from collections import Counter

from tests.e2e.kubectl import until
from tests.e2e.load import Measured, event, exchange
from tests.e2e.place import Place

_ENTITIES = 4_000
_SIGMAS = 5.0
"""Beyond as many standard deviations lies one chance in 1.7 million."""


def test_the_split_is_80_to_20_and_an_entity_keeps_its_model(
    vigil: Place, models: dict[str, str], measured: list[str]
) -> None:
    vigil.run("canary", models["other"])
    vigil.split(80, 20)
    vigil.until_answered_by(models["first"], models["other"])
    first, again = (_tags(vigil, f"split-{turn}") for turn in (1, 2))
    assert first == again
    share = Counter(first.values())
    assert set(share) == {models["first"], models["other"]}
    assert _within(share[models["other"]], _ENTITIES, 0.2)
    measured.append(
        f"{share[models['other']]} of {_ENTITIES} entities met the canary ({share[models['other']] / _ENTITIES:.2%}; "
        f"bounds {_bounds(_ENTITIES, 0.2)}); {_ENTITIES - sum(first[e] != again[e] for e in first)} kept their model"
    )

    vigil.split(50, 50)
    before = {entity for entity, tag in first.items() if tag == models["other"]}
    _until_grown(vigil, models["other"])
    now = {entity for entity, tag in _tags(vigil, "split-3").items() if tag == models["other"]}
    assert before <= now
    assert _within(len(now), _ENTITIES, 0.5)
    measured.append(f"at 50/50 it was {len(now)}, among them all {len(before)} from before")


def test_requests_without_an_entity_are_split_too(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    vigil.run("canary", models["other"])
    vigil.split(80, 20)
    vigil.until_answered_by(models["first"], models["other"])
    entries = exchange(vigil.url, [event(f"nobody-{n}", None, n) for n in range(2_000)])
    assert all(each.answered for each in entries)
    canary = sum(each.model_version == models["other"] for each in entries)
    assert _within(canary, len(entries), 0.2)
    measured.append(f"{canary} of {len(entries)} without an entity (bounds {_bounds(len(entries), 0.2)})")


def test_the_mirror_copies_its_share_and_no_more(vigil: Place, models: dict[str, str], measured: list[str]) -> None:
    vigil.run("shadow", models["other"])
    for percent in (100, 25):
        vigil.split(100, 0, 0)
        vigil.until_mirrored(is_mirrored=False)
        vigil.split(100, 0, percent)
        vigil.until_mirrored(is_mirrored=True)
        prefix = f"mirror-{percent}"
        sent = Measured(tuple(exchange(vigil.url, [event(f"{prefix}-{n}", f"e{n}", n) for n in range(2_000)])), 1)
        assert not sent.failed
        assert {each.model_version for each in sent.entries} == {models["first"]}
        stable = vigil.rows_once_whole(prefix, 2_000, "stable")
        most = 2_000 if percent == 100 else 2_001
        shadow = vigil.rows_once_whole(prefix, most, "shadow", seconds=3)
        assert {row.request_id for row in stable} == sent.request_ids
        assert len({row.request_id for row in shadow}) == len(shadow)
        assert {row.request_id for row in shadow} <= sent.request_ids
        assert {row.tag for row in shadow} == {models["other"]}
        assert _within(len(shadow), 2_000, percent / 100)
        measured.append(f"{percent} %: {len(shadow)} of 2000 were copied (bounds {_bounds(2_000, percent / 100)})")


def test_a_weight_without_a_ready_copy_is_refused(vigil: Place, measured: list[str]) -> None:
    vigil.rest("canary")
    ended = vigil.vigil("split", "--weights", "80,20")
    assert ended.returncode != 0
    assert "canary has no ready copy" in ended.stderr
    assert len(vigil.tags_of(60)) == 1
    measured.append(f"exit code {ended.returncode}: {ended.stderr.strip()}")


def _tags(place: Place, prefix: str) -> dict[str | None, str | None]:
    """The model that each entity met."""
    entries = exchange(place.url, [event(f"{prefix}-{n}", f"split-entity-{n}", n) for n in range(_ENTITIES)], 400)
    assert all(each.answered for each in entries)
    return {each.entity_id: each.model_version for each in entries}


def _until_grown(place: Place, tag: str) -> None:
    """Returns once more than a third of new entities meet the model."""

    def grown() -> bool:
        entries = place.probe(100).entries
        return sum(each.model_version == tag for each in entries) > 36

    until(grown, "the larger share is in force")


def _bounds(count: int, share: float) -> tuple[int, int]:
    spread = _SIGMAS * math.sqrt(count * share * (1 - share))
    return math.floor(count * share - spread), math.ceil(count * share + spread)


def _within(found: int, count: int, share: float) -> bool:
    low, high = _bounds(count, share)
    return low <= found <= high
