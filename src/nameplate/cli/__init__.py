"""The command line: one file per command, and no rules in it."""

from nameplate.cli.main import main

__all__ = ["main"]
