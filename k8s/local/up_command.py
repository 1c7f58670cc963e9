"""`up`: the stack in the foreground, with Bentos that were published."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from bentos.artifacts import pull
from bentos.risk_scorer import identity
from k8s.local import options
from k8s.local.foreground import owned, stay
from k8s.local.interrupts import Interrupts
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import DEFAULT, State
from k8s.local.story import Story
from k8s.rollout.routers import Role, Split

_percent = click.IntRange(0, 100)


@click.command("up")
@click.option("--bento", default=None, show_default="published last", help="Tag to run as stable.")
@click.option("--canary", default=None, show_default="stable's", help="Tag to run as canary.")
@click.option("--shadow", default=None, show_default="canary's", help="Tag to run as shadow.")
@click.option("--weight", type=_percent, default=0, help="Per cent of the entities for the canary.")
@click.option("--mirror", type=_percent, default=0, help="Per cent of the requests to copy to the shadow.")
@options.port
@options.artifacts
@options.state
@click.pass_obj
def command(  # noqa: PLR0913 - one argument an option
    interrupts: Interrupts,
    *,
    bento: str | None,
    canary: str | None,
    shadow: str | None,
    weight: int,
    mirror: int,
    port: int | None,
    artifacts: Path,
    state: Path | None,
) -> None:
    """Run the stack until Ctrl-C. Its predictions stay for the next time."""
    place = State(state or DEFAULT)
    story = Story(Console(stderr=True))
    with owned(place, interrupts) as (lock, supervisor):
        stable = bento or newest(artifacts) or _first_bento(place, artifacts, story)
        tags: dict[Role, str] = {"stable": stable, "canary": canary or stable, "shadow": shadow or canary or stable}
        folders = {role: pull(tag, artifacts.absolute().as_uri(), place.bentoml) for role, tag in tags.items()}
        story.say(", ".join(f"{role} {tag}" for role, tag in tags.items()))
        stack = LocalStack(place, Plan(folders, Split(100 - weight, weight, mirror), port), supervisor, story.say)
        stack.start()
        lock.announce(stack.url)
        stay(supervisor, stack.url)


def newest(artifacts: Path) -> str | None:
    """The tag that was published last to an artifact store in a folder; None when there is none."""
    published = sorted((artifacts / identity.NAME).glob("*.bento"), key=lambda path: path.stat().st_mtime)
    return identity.tag(published[-1].stem) if published else None


def _first_bento(state: State, artifacts: Path, story: Story) -> str:
    from k8s.local.bentos_made import Places, make  # noqa: PLC0415 - seconds of imports that `up` seldom needs
    from k8s.local.demo_data import made_up  # noqa: PLC0415 - as above
    from training.train import TrainOptions  # noqa: PLC0415 - as above

    story.say(f"no Bento was published to {artifacts} yet: making one from made-up events")
    dataset = made_up(0, datetime.now(UTC), state.events)
    return make("first-model", dataset, TrainOptions(), Places(state, artifacts), story.say).tag
