"""Run `python -m portside` as the command line."""

from portside.cli import entry

entry()
