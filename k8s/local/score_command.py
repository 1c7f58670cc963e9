"""`score`: one event over HTTP, given as options or as JSON."""

from typing import Any

import click

from bentos.risk_scorer.events import FEATURES, FeatureField
from k8s.local import options
from k8s.local.errors import DataError, NotRunningError
from k8s.local.score_request import event_text, found_url, post


@click.command("score")
@options.url
@click.option("--json", "whole", default=None, help="The whole event as JSON, instead of its fields as options.")
@click.option("--entity", default=None, help="Pseudonym of the customer, which decides between stable and canary.")
def command(url: str | None, whole: str | None, entity: str | None, **values: Any) -> None:
    """Score one event over HTTP and print the answer. Ends with 3 when the event is refused."""
    answer = post(found_url(url), event_text(whole, values), entity)
    click.echo(answer.body)
    if answer.status >= 500:
        raise NotRunningError(f"the stack can't score: status {answer.status}")
    if answer.status != 200:
        raise DataError(f"the event was refused: status {answer.status}")


def _feature_option(field: FeatureField) -> Any:
    """The command line's option for a feature of the event."""
    kinds: dict[str, click.ParamType[Any]] = {
        "number": click.FLOAT,
        "integer": click.INT,
        "category": click.Choice(field.categories),
    }
    return click.option(f"--{field.name.replace('_', '-')}", field.name, type=kinds[field.kind], help=field.description)


for _feature in FEATURES:
    command = _feature_option(_feature)(command)
