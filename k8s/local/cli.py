"""The front of the local stack: finds the command, and turns how it ends into an exit code (see `errors`)."""

import os
from importlib import import_module
from typing import Any, Final

import click

from bentos.artifacts import ArtifactError
from k8s.local.envoy import NoEnvoyError
from k8s.local.errors import INTERRUPTED, LocalError, NotRunningError, UsageError
from k8s.local.gateway_manifests import ManifestError
from k8s.local.interrupts import Interrupted, Interrupts
from k8s.local.postgres import PostgresError
from k8s.rollout.errors import RolloutError
from k8s.rollout.fleets import FleetError
from k8s.rollout.history import HistoryError
from k8s.rollout.routers import RouterError
from k8s.rollout.stores import StoreError
from monitoring.errors import MonitoringError
from training.errors import TrainingError

_COMMANDS: Final = {
    "demo": "The whole story: two models, a split with a mirror, traffic, checks, a report.",
    "up": "Run the stack until Ctrl-C.",
    "score": "Score one event over HTTP and print the answer.",
    "traffic": "Send events to a running stack and show a live table.",
}
"""Each is `command` in a module of its own, imported when it is called: training's libraries take seconds."""

_CODES: Final = """\b
Exit codes:
  0    done; for the demo: every check held; at Ctrl-C for what runs until then
  1    a check of the demo failed, or a request of the traffic
  2    a wrong call
  3    data that can't be read or used, or an event that was refused
  4    not enough data: too few rows, or too few of one class
  5    a process died or did not start, or there is no stack to talk to
  6    a stack is running in this state folder already
  130  interrupted; everything that was started is stopped
"""

_UNSTARTED: Final = (
    PostgresError,
    RouterError,
    FleetError,
    RolloutError,
    StoreError,
    HistoryError,
    ManifestError,
    NoEnvoyError,
    ArtifactError,
    MonitoringError,
)
"""Errors of the parts that mean that something could not be run."""


class _Commands(click.Group):
    """Commands whose expected errors are one message on standard error and an exit code, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"k8s.local.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with Interrupts() as ctx.obj:
                return super().invoke(ctx)
        except Interrupted as interrupted:
            click.echo(f"\ninterrupted by {interrupted}; everything that was started is stopped", err=True)
            ctx.exit(INTERRUPTED)
        except (LocalError, TrainingError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            click.echo(f"error: {error.filename or 'a file'}: {error.strerror or error}; name another place", err=True)
            ctx.exit(UsageError.exit_code)
        except _UNSTARTED as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(NotRunningError.exit_code)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}, epilog=_CODES
)
def main() -> None:
    """Vigil on one machine: no Docker, no cluster."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # else it calls home
