"""Blocks out of what the store and the gateway counted: rows, and failures without a row."""

from collections.abc import Mapping

from k8s.rollout.blocks import Affected, Arm, CanaryBlock, NoiseFloor, PairSums, ShadowBlock
from k8s.rollout.routers import Role
from monitoring.rollout_blocks import ArmCounts, PairCounts


def canary_block(
    number: int,
    seconds: float,
    weight: float,
    rows: tuple[ArmCounts, ArmCounts],
    failed: Mapping[Role, int],
    noise: NoiseFloor,
) -> CanaryBlock:
    """A block of stable and canary. With a weight of 1 every failure is the candidate's, whatever role it serves as."""
    stable, canary = failed["stable"], failed["canary"]
    if weight >= 1:
        stable, canary = 0, stable + canary
    return CanaryBlock(number, seconds, weight, _arm(rows[0], stable), _arm(rows[1], canary), noise)


def shadow_block(
    number: int,
    seconds: float,
    rows: tuple[ArmCounts, ArmCounts, int],
    pairs: tuple[PairCounts, PairCounts],
    failed: Mapping[Role, int],
) -> ShadowBlock:
    """A block of mirrored requests."""
    every, first = pairs
    stable, shadow, shed = rows
    return ShadowBlock(
        number,
        seconds,
        every=_sums(every),
        first=_sums(first),
        stable=_arm(stable, failed["stable"]),
        shadow=_arm(shadow, failed["shadow"]),
        shed=shed,
        stable_flagged=first.stable_flagged,
        shadow_flagged=first.shadow_flagged,
    )


def _arm(rows: ArmCounts, failed: int) -> Arm:
    """Each failure without a row is a request, an error, and an entity of its own: nobody knows whose it was.

    It is no exposure for `flagged`, as nothing was decided.
    """
    return Arm(
        requests=rows.requests + failed,
        errors=rows.errors + failed,
        over_slo=rows.over_slo,
        over_500ms=rows.over_500ms,
        flagged=rows.flagged,
        errors_affected=Affected(rows.errors_new + failed, rows.errors_at_risk + failed),
        flagged_affected=Affected(rows.flagged_new, rows.flagged_at_risk),
    )


def _sums(pairs: PairCounts) -> PairSums:
    return PairSums(pairs.pairs, pairs.up, pairs.down, pairs.sum_diff, pairs.sum_diff2)
