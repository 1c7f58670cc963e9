"""`python -m k8s.local`."""

from k8s.local.cli import main

main()
