"""What an empty namespace needs before the first event can be scored: `python -m k8s.bootstrap {secrets,look,assign}`.

Running any of it again changes nothing: a Secret that is there stays, and a stable model is never replaced from here.

Exit codes: 0 done; 2 a wrong call; 3 the file of the first model can't be used; 5 the cluster, its gateway or its
scorers did not do it in time, or refused; 14 the model failed a gate, and nobody forced it.
"""

import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import click
from pydantic import BaseModel, ValidationError

from k8s.rollout.errors import FileError, NotRunningError, RefusedError, RolloutError
from k8s.rollout.fleets import Copies, Fleet, FleetError
from k8s.rollout.kubernetes_api import Cluster, ClusterError, Kind, Object, connect
from k8s.rollout.kubernetes_fleet import KubernetesFleet
from k8s.rollout.kubernetes_router import KubernetesRouter, template
from k8s.rollout.routers import RouterError, Split
from monitoring.migrations import USERS

OWNER: Final = "owner"
ERASURE_KEY: Final = "erasure-key"
"""Secret of `erase` and `retention`: a new key would not find those who were erased under the old one."""
_POLL_SECONDS: Final = 1.0


class Gate(BaseModel):
    """One condition that the model had to meet."""

    name: str
    verdict: Literal["passed", "failed", "not evaluated"]


class FirstModel(BaseModel):
    """What `python -m training first` wrote."""

    tag: str
    forced: bool
    gates: tuple[Gate, ...]


def secret(user: str, host: str, database: str) -> Object:
    """The Secret of one database user, with a new password."""
    name, password = "vigil" if user == OWNER else user, secrets.token_urlsafe(24)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"prediction-store-{user}", "labels": {"app.kubernetes.io/part-of": "vigil"}},
        "type": "Opaque",
        "stringData": {
            "username": name,
            "password": password,
            "dsn": f"postgresql://{name}:{password}@{host}:5432/{database}",
        },
    }


def make_secrets(cluster: Cluster, host: str, database: str) -> list[str]:
    """The database users whose Secret was made now. Raises ClusterError."""
    return [user for user in (OWNER, *USERS) if cluster.create(Kind.SECRETS, secret(user, host, database))]


def make_erasure_key(cluster: Cluster) -> bool:
    """Whether the Secret with MONITORING_ERASURE_KEY was made now: one that is there stays. Raises ClusterError."""
    made = cluster.create(
        Kind.SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": ERASURE_KEY, "labels": {"app.kubernetes.io/part-of": "vigil"}},
            "type": "Opaque",
            "stringData": {"key": secrets.token_urlsafe(32)},
        },
    )
    return made is not None


def assign(fleet: Fleet, model: FirstModel, copies: int) -> None:
    """Makes the model the first stable one, and lets canary and shadow rest.

    Raises RefusedError when it failed a gate and nobody forced it, FleetError.
    """
    failed = ", ".join(gate.name for gate in model.gates if gate.verdict == "failed")
    if failed and not model.forced:
        raise RefusedError(
            f"{model.tag} failed: {failed}; train a better one, or force it with `training first --force`"
        )
    found = fleet.look()
    for idle in ("canary", "shadow"):
        if found[idle].tag is None:
            fleet.scale(idle, 0)
    fleet.assign("stable", model.tag)
    fleet.scale("stable", copies)


def wait(fleet: Fleet, seconds: float, clock: Callable[[], float] = time.monotonic) -> Copies:
    """Stable's copies, once all of them are ready. Raises NotRunningError with the reason, FleetError."""
    deadline = clock() + seconds
    while True:
        stable = fleet.look()["stable"]
        if stable.ready >= stable.wanted and stable.settled:
            return stable
        if clock() > deadline:
            raise NotRunningError(
                f"stable has {stable.ready} of {stable.wanted} copies of {stable.tag} ready after {seconds:g} s: "
                f"{stable.problem or 'no reason known; see `kubectl describe pod`'}"
            )
        time.sleep(_POLL_SECONDS)


class _Commands(click.Group):
    """Ends with the exit code of the error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RolloutError as error:
            problem = error
        except (FleetError, RouterError, ClusterError) as error:
            problem = NotRunningError(str(error))
        click.echo(f"Error: {problem}", err=True)
        return ctx.exit(problem.exit_code)


@click.group(cls=_Commands, help=__doc__)
def main() -> None:
    pass


@main.command("secrets")
@click.option("--host", required=True, help="Host of the prediction store.")
@click.option("--database", required=True, help="Its database.")
def secrets_command(host: str, database: str) -> None:
    """Make a Secret with a password for each user of the prediction store that has none, and the key of erasures."""
    cluster = connect()
    made = make_secrets(cluster, host, database)
    if make_erasure_key(cluster):
        made.append("erasures (their key)")
    click.echo(f"made the secrets of {', '.join(made)}" if made else "every secret was there")


@main.command("look")
@click.option("--to", "file", type=click.Path(path_type=Path), required=True, help="The file to write.")
def look_command(file: Path) -> None:
    """Write the tag that is stable to a file: an empty one when there is none."""
    tag = KubernetesFleet(connect()).look()["stable"].tag
    file.write_text(tag or "", encoding="utf-8")
    click.echo(f"stable is {tag}" if tag else "there is no stable model yet")


@main.command("assign")
@click.option("--model", "file", type=click.Path(path_type=Path), required=True, help="What `training first` wrote.")
@click.option("--route", type=click.Path(path_type=Path), required=True, help="The template of the HTTPRoute.")
@click.option("--copies", type=click.IntRange(1, 100), default=1, help="Copies of stable to begin with.")
@click.option("--seconds", type=click.FloatRange(min=1), default=300, help="How long stable may take to be ready.")
def assign_command(file: Path, route: Path, copies: int, seconds: float) -> None:
    """Make a model the first stable one, send it all of the traffic, and wait until it answers."""
    cluster = connect()
    fleet, router = KubernetesFleet(cluster), KubernetesRouter(cluster, template(route))
    if tag := fleet.look()["stable"].tag:
        click.echo(f"stable is {tag} already, and stays so")
    else:
        assign(fleet, _read(file), copies)
    if not router.exists():
        router.apply(Split(100, 0))
    stable = wait(fleet, seconds)
    click.echo(f"stable runs {stable.tag}: {stable.ready} of {stable.wanted} copies are ready")


def _read(file: Path) -> FirstModel:
    try:
        return FirstModel.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise FileError(f"{file} names no first model: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
