"""The commands of a rollout: `vigil rollout`. Finds the command, and turns how it ends into an exit code."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from k8s.rollout.desk import Desk
from k8s.rollout.errors import FileError, NotRunningError, RolloutError
from k8s.rollout.fleets import FleetError
from k8s.rollout.history import HistoryError
from k8s.rollout.routers import RouterError
from k8s.rollout.settings import described
from k8s.rollout.stores import StoreError, UnreadableError
from k8s.rollout.verdict_codes import EPILOG, INTERRUPTED
from monitoring.errors import MonitoringError

_COMMANDS: Final = {
    "run": ("run_command", "Decide and act, until SIGTERM: the controller."),
    "start": ("spec_commands", "Make a model the candidate."),
    "status": ("status_commands", "Show what goes on, and why."),
    "watch": ("status_commands", "Follow a rollout to its verdict."),
    "plan": ("plan_command", "Say what a plan can see, and how long it takes."),
    "pause": ("spec_commands", "Let nothing rise and nothing be promoted."),
    "resume": ("spec_commands", "Go on."),
    "abort": ("spec_commands", "End a rollout; its model is not banned."),
    "promote": ("spec_commands", "Approve a promotion, or force one."),
    "undo": ("spec_commands", "Bring back what was stable before."),
    "history": ("history_command", "List what happened."),
    "replay": ("replay_command", "Decide again from recorded evidence."),
    "split": ("split_command", "Set the weights by hand, without a controller."),
}
"""Each is a function `<name>_command` of a module, which is imported when it is called."""

_AWAY: Final = (RouterError, FleetError, HistoryError, StoreError, MonitoringError, OSError)
"""Errors of the parts that mean that a part of the world does not answer."""


class _Commands(click.Group):
    """Commands whose expected errors are one message on standard error and an exit code, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"k8s.rollout.{_COMMANDS[cmd_name][0]}"), f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RolloutError as error:
            code, problem = error.exit_code, str(error)
        except UnreadableError as error:
            code, problem = FileError.exit_code, str(error)
        except _AWAY as error:
            code, problem = NotRunningError.exit_code, str(error)
        except KeyboardInterrupt:
            code, problem = INTERRUPTED, "interrupted; the rollout goes on without this command"
        except ValidationError as error:
            code, problem = click.UsageError.exit_code, "; ".join(_problem(each) for each in error.errors())
        click.echo(f"error: {problem}", err=True)
        return ctx.exit(code)


def _problem(found: Any) -> str:
    """One mistake in a value, without the value itself: it may be a secret."""
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


@click.group(
    "rollout",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=f"{EPILOG}\n\nEnvironment:\n\n{described()}",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    envvar="ROLLOUT_STATE",
    default=None,
    show_default="the stack that runs below .vigil",
    help="Folder of the local stack to work on.",
)
@click.pass_context
def main(ctx: click.Context, state: Path | None) -> None:
    """Replace the running model by one that proves itself on live traffic, or roll it back."""
    ctx.obj = (ctx.obj if isinstance(ctx.obj, Desk) else Desk()).at(state)
