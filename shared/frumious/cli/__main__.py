"""python -m frumious.cli: the command, where it is not installed."""

from frumious.cli.main import main

main(prog_name="frumious")
