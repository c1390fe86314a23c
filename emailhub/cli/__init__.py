"""The command line. Everything heavy is imported by the command that needs it, so that `--version` is quick."""

from emailhub.cli.main import cli, main

__all__ = ["cli", "main"]
