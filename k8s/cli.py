"""`vigil`: one front for the commands of every package, each imported when it is called."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

PASSED_ON: Final[dict[str, Any]] = {"ignore_unknown_options": True, "help_option_names": []}


@dataclass(frozen=True)
class _Part:
    """A package's command: where its click group is, or its `main` that takes arguments and answers an exit code."""

    words: str
    module: str
    name: str = "main"
    plain: bool = False


_PARTS: Final = {
    "rollout": _Part("Replace the running model by one that proves itself, or roll it back.", "k8s.rollout.cli"),
    "local": _Part("The stack on this machine: demo, up, score, traffic.", "k8s.local.cli"),
    "training": _Part("Train, evaluate, compare, package and publish models.", "training.cli"),
    "monitoring": _Part("The prediction store: schema, labels, reports.", "monitoring.cli", "cli"),
    "artifacts": _Part("Publish a Bento to an artifact store, or pull one.", "bentos.artifacts", plain=True),
}


class _Front(click.Group):
    """Finds the command of a package, without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        part = _PARTS.get(cmd_name)
        if part is None:
            return None
        found = getattr(import_module(part.module), part.name)
        command: click.Command = _passed_on(cmd_name, found) if part.plain else found
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, part.words) for name, part in _PARTS.items()])


def _passed_on(name: str, main: Callable[[list[str]], int]) -> click.Command:
    """A command that gives all of its arguments, `--help` too, to another program's `main`."""

    @click.command(name, context_settings=PASSED_ON, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        sys.exit(main(list(arguments)))

    return command


@click.group(cls=_Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Vigil: risk scores in real time, and models that take over only after they have proved themselves."""
    if ctx.invoked_subcommand == "rollout":
        from k8s.rollout.desk import Desk  # noqa: PLC0415 - other commands need none of it

        ctx.obj = Desk(opener=_open)


def _open(state: Path | None) -> Any:
    """The local stack of a folder, or of the one that runs here; otherwise the cluster of KUBECONFIG or of this pod."""
    from k8s.rollout.desk import POD, cluster  # noqa: PLC0415 - as above

    if state is None and POD in os.environ:
        return cluster(None)  # the image of the rollout has no local stack
    from k8s.local import state as states  # noqa: PLC0415 - as above
    from k8s.local.backend import backend  # noqa: PLC0415 - as above

    if state is not None:
        return backend(states.State(state))
    for folder in (states.DEFAULT, states.DEMO):
        if states.owner(states.State(folder)) is not None:
            return backend(states.State(folder))
    return cluster(None)


if __name__ == "__main__":
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # else it calls home
    main(prog_name="vigil")
