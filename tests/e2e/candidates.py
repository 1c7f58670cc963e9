"""Candidates of rollouts: one model in Bentos whose serving code is sound, or wrong in a way of its own."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from k8s.local import demo_cast, flawed_bentos, outgoing
from k8s.local.flawed_bentos import Fault
from k8s.local.outgoing import Outgoing
from k8s.rollout.plan import CanaryPlan, Limits, Plan, ShadowPlan, Step
from training import datasets, package, synthesize
from training.datasets import Dataset

BASE: Final = "base"
"""The model as it is: stable, before any candidate comes."""

SOUND: Final = ("sound-1", "sound-2", "sound-3", "sound-4", "sound-5", "sound-6")
"""Versions that answer as `BASE` does."""

LEAKING: Final = "leaking"
SLOW_TAIL: Final = "slow-tail"
SKEWED: Final = "skewed"
NEVER_READY: Final = "never-ready"
ABSENT: Final = "absent"
"""Not in the store."""

_POOL_PER_SECOND: Final = 12.0
_CAREFUL_MIRROR: Final = 12
"""Per cent: what the leaking pool can bear, as it can 5 % of 80 requests a second. 25 % are too many for it."""

_BROKEN_START: Final = """
import os

if "SCORER_ROLE" in os.environ:
    raise RuntimeError("broken at its start")
"""
"""Only where it serves: it can be built."""

_ROWS: Final = 5_000
_SEED: Final = 9

_STEPS: Final = tuple(Step(weight=weight, errors=0.2, over_slo=0.4, flagged=0.3) for weight in (5, 25, 50))

_SHADOW: Final = ShadowPlan(min_blocks=3, min_entities=200, flip_margin=0.03, score_margin=0.05)

PLAN: Final = Plan(
    block_seconds=1.0,
    slo_ms=250.0,
    shadow=_SHADOW,
    canary=CanaryPlan(steps=_STEPS, step_blocks=3, min_blocks=12),
    # Two cores do everything here: stable is well even when a burst of something else holds it up.
    limits=Limits(errors=0.2, over_slo=0.5),
    progress_blocks=180,
    unavailable_blocks=20,
)
"""Blocks of a second instead of half a minute, and what 80 requests a second can show in some of them."""

WITHOUT_SHADOW: Final = PLAN.model_copy(update={"shadow": None})

CAREFUL: Final = PLAN.model_copy(
    update={
        "shadow": _SHADOW.model_copy(
            update={"mirror": _CAREFUL_MIRROR, "min_entities": 100, "flip_margin": 0.06, "score_margin": 0.1}
        )
    }
)
"""Mirrors little, so that the shadow of the leaking pool is well, and asks the shadow for less."""


def build(model_dir: Path, home: Path) -> dict[str, str]:
    """The tags of all of them by name, built into a BentoML home."""
    faults = {
        LEAKING: flawed_bentos.leaking_pool(_POOL_PER_SECOND, reserve=16),
        SLOW_TAIL: flawed_bentos.slow_tail(5, 0.6),
        SKEWED: flawed_bentos.skewed_feature(demo_cast.most_telling(model_dir, _live()), 0.0),
        NEVER_READY: Fault("a broken start", _BROKEN_START, "pass"),
        **{name: _sound(name) for name in SOUND},
    }
    built = {name: flawed_bentos.build(fault, model_dir, home) for name, fault in faults.items()}
    return {BASE: package.build(model_dir, home), **built}


def _sound(name: str) -> Fault:
    return Fault(name, f"\n_VERSION = {name!r}\n", "pass")


def events(prefix: str, entities: int) -> Iterator[Outgoing]:
    """Events `<prefix>-0`, `<prefix>-1`, ... of so many entities in turns, without end: as those that it learned from.

    Each time round, another entity has an event.
    """
    frame = _live().frame.assign(event_id=[f"{prefix}-x{row}-" for row in range(_ROWS)], entity_id=None)
    once = outgoing.requests(frame)
    number = 0
    while True:
        for each in once:
            name = f"{prefix}-{number}"
            body = each.body.replace(each.event_id.encode(), name.encode(), 1)
            yield replace(each, event_id=name, entity_id=f"{prefix}-entity-{number % entities}", body=body)
            number += 1


def _live() -> Dataset:
    return datasets.from_frame(synthesize.plain(_ROWS, _SEED, datetime(2026, 3, 6, tzinfo=UTC)))
