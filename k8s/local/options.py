"""Options that more than one command of the local stack has."""

from pathlib import Path
from typing import Final

import click

from k8s.local.state import ARTIFACTS

FILE: Final = click.Path(path_type=Path)

state = click.option(
    "--state", type=FILE, default=None, show_default="below .vigil", help="Folder of the stack's data, logs and lock."
)
port = click.option(
    "--port", type=click.IntRange(1, 65535), default=None, show_default="a free one", help="Port of the gateway."
)
artifacts = click.option("--artifacts", type=FILE, default=ARTIFACTS, help="Folder of the artifact store.")
url = click.option("--url", default=None, show_default="of the stack that runs here", help="Where the gateway listens.")
data = click.option(
    "--data", type=FILE, default=None, show_default="made-up events", help="Labelled events: .csv or .parquet."
)
seed = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of the made-up events and of the arrivals."
)
