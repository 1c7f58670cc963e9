"""`python -m k8s.rollout`."""

from k8s.rollout.cli import main

main(prog_name="python -m k8s.rollout")
