"""`python -m pipeline`: the `relmill` command from a checkout that is not installed."""

from pipeline.cli import main

main()
