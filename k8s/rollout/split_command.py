"""`split`: the weights by hand, where no controller sets them."""

import click

from k8s.rollout.desk import Desk, answer, json_option
from k8s.rollout.errors import NotNowError, UsageError
from k8s.rollout.fleets import Fleet
from k8s.rollout.routers import Split, SplitError


def _weights(text: str) -> tuple[int, int]:
    """Stable's and the canary's weight. Raises UsageError."""
    try:
        stable, canary = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--weights is {text!r}; expected stable's and the canary's, as in 80,20") from None
    return stable, canary


@click.command("split")
@click.option("--weights", required=True, metavar="STABLE,CANARY", help="Per cent of the entities, as in 80,20.")
@click.option("--mirror", type=int, default=0, help="Per cent of the requests to copy to the shadow.")
@json_option
@click.pass_obj
def split_command(desk: Desk, *, weights: str, mirror: int, as_json: bool) -> None:
    """Set the weights by hand. Refused while a controller runs, and where a weight would meet no ready copy."""
    try:
        split = Split(*_weights(weights), mirror)
    except SplitError as error:
        raise UsageError(str(error)) from error
    with desk.backend() as backend:
        # Taken, not only looked at: no controller begins in between.
        backend.lease.take(f"vigil rollout split --weights {weights}", desk.clock())
        try:
            _refuse_unready(backend.fleet, split)
            backend.router.apply(split)
        finally:
            backend.lease.release()
        now = backend.router.current()
    answer(
        {"stable": now.stable, "canary": now.canary, "mirror": now.mirror},
        f"stable {now.stable} %, canary {now.canary} %, mirror {now.mirror} %",
        as_json=as_json,
    )


def _refuse_unready(fleet: Fleet, split: Split) -> None:
    """Raises NotNowError for a weight above 0 whose role has no copy that answers: its requests would fail."""
    copies = fleet.look()
    for role, weight in (("stable", split.stable), ("canary", split.canary)):
        if weight and not copies[role].serving:  # type: ignore[index]
            why = copies[role].problem or "none is wanted"  # type: ignore[index]
            raise NotNowError(f"{role} has no ready copy ({why}), so its {weight} % would fail; bring one up first")
