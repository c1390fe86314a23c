"""The `emailhub` command: its verbs, and how any of them ends."""

from __future__ import annotations

from typing import Any

import rich_click as click

from emailhub import __version__
from emailhub.cli import exits
from emailhub.cli.breaker import breaker
from emailhub.cli.check import check
from emailhub.cli.demo import demo
from emailhub.cli.dkim import dkim
from emailhub.cli.keys import keys
from emailhub.cli.message import send, status
from emailhub.cli.operate import backup, config, health, reload, serve
from emailhub.cli.repair import doctor
from emailhub.cli.suppress import lift, suppress
from emailhub.cli.templates import renderer, templates
from emailhub.cli.users import users


class _Group(click.RichGroup):
    """Ends a command that was stopped with its words on standard error and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except exits.Stop as stop:
            click.secho(f"emailhub: {stop.message}", fg="red", err=True)
            if stop.step:
                click.echo(f"  next: {stop.step}", err=True)
            ctx.exit(stop.code)


@click.group(cls=_Group, epilog=exits.EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="emailhub", message="%(prog)s %(version)s")
def cli() -> None:
    """E-mail in over HTTP and RabbitMQ, durable in SQLite, out over SMTP, live on screen."""


_MESSAGES = (send, status, breaker, suppress, lift, templates, keys, users)
_HUB = (serve, demo, check, health, config, reload, backup, doctor, dkim, renderer)
for _command in (*_MESSAGES, *_HUB):
    cli.add_command(_command)


def main() -> None:
    """The console script."""
    cli(prog_name="emailhub")
