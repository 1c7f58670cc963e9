"""`up`: the stack in the foreground, with Bentos that were published."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from bentos.risk_scorer import identity
from k8s.local import options
from k8s.local.errors import UsageError
from k8s.local.foreground import owned, stay
from k8s.local.interrupts import Interrupts
from k8s.local.local_fleet import LocalFleet
from k8s.local.rolling import Wish
from k8s.local.stack import LocalStack, Plan
from k8s.local.state import DEFAULT, State
from k8s.local.story import Story
from k8s.rollout.routers import Role, Split

_percent = click.IntRange(0, 100)


@click.command("up")
@click.option("--bento", default=None, show_default="published last", help="Tag to run as stable.")
@click.option("--copies", type=click.IntRange(1, 8), default=None, show_default="1", help="Copies of stable.")
@click.option("--canary", default=None, show_default="none runs", help="Tag to run as canary.")
@click.option("--shadow", default=None, show_default="none runs", help="Tag to run as shadow.")
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
    copies: int | None,
    canary: str | None,
    shadow: str | None,
    weight: int,
    mirror: int,
    port: int | None,
    artifacts: Path,
    state: Path | None,
) -> None:
    """Run the stack until Ctrl-C. Predictions and what runs stay for the next time: a rollout goes on then.

    Tags, weight and mirror are for the first start only. From then on `vigil rollout` says what runs.
    """
    first = _First(bento, canary, shadow, weight, mirror)
    place = State(state or DEFAULT)
    story = Story(Console(stderr=True))
    with owned(place, interrupts) as (lock, supervisor):
        fleet = LocalFleet(place)
        if fleet.wishes()["stable"].tag is None:
            plan = first.plan(artifacts, port, lambda: newest(artifacts) or _first_bento(place, artifacts, story))
        elif first.is_given:
            raise UsageError(
                f"{place.fleet} says what runs here: --bento, --canary, --shadow, --weight and --mirror are for the "
                "first start. Use `vigil rollout start TAG`, or choose another folder with --state"
            )
        else:
            plan = Plan(artifacts.absolute().as_uri(), port=port)
        stack = LocalStack(place, plan, supervisor, story.say)
        if copies is not None:
            fleet.scale("stable", copies)
        stack.start()
        story.say(", ".join(f"{role} {each.tag}" for role, each in fleet.wishes().items() if each.copies))
        lock.announce(stack.url)
        stay(stack)


@dataclass(frozen=True)
class _First:
    """What the flags say about the first start."""

    bento: str | None
    canary: str | None
    shadow: str | None
    weight: int
    mirror: int

    def __post_init__(self) -> None:
        if self.weight and self.canary is None:
            raise UsageError(f"--weight {self.weight} without --canary: nobody would answer; name its tag")
        if self.mirror and self.shadow is None:
            raise UsageError(f"--mirror {self.mirror} without --shadow: nobody would answer; name its tag")

    @property
    def is_given(self) -> bool:
        return bool(self.bento or self.canary or self.shadow)

    def plan(self, artifacts: Path, port: int | None, otherwise: Callable[[], str]) -> Plan:
        """`otherwise` is stable's tag when none was named."""
        tags: dict[Role, str | None] = {
            "stable": self.bento or otherwise(),
            "canary": self.canary,
            "shadow": self.shadow,
        }
        wishes = {role: Wish(tag, 1 if tag else 0) for role, tag in tags.items()}
        split = Split(100 - self.weight, self.weight, self.mirror)
        return Plan(artifacts.absolute().as_uri(), wishes, split, port)


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
