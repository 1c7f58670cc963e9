"""`python -m k8s.demo`: the rollout's two stories on the cluster of KUBECONFIG, in which Vigil runs already."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from k8s.demo import stories
from k8s.demo.cluster import Cluster
from k8s.demo.errors import DemoError

_CHECKOUT = Path(__file__).parents[2]


@click.command(epilog="Exit codes: 0 both ended as they must; 1 one did not; 5 the cluster did not do what was asked.")
@click.option("--namespace", default="vigil", show_default=True, help="Where Vigil runs.")
@click.option("--url", required=True, help="The gateway, as in http://localhost:8080.")
@click.option("--image", default="vigil/pipeline:0.1.0", show_default=True, help="The pipeline's image on the cluster.")
def main(namespace: str, url: str, image: str) -> None:
    """Train a candidate, roll it out under traffic, then one that is wrong; each must end as it deserves."""
    try:
        stories.run(Cluster(namespace, _CHECKOUT), url, image, Console(stderr=True))
    except DemoError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # else it calls home
    main(prog_name="python -m k8s.demo")
