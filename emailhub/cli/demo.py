"""`demo`: everything alive in a minute, and nothing real."""

from __future__ import annotations

import sys

import rich_click as click

from emailhub.cli import exits
from emailhub.settings import SettingsError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--anybody", is_flag=True, help="Let everybody in who can reach the address; needed beyond loopback.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same number makes up the same mail.")
@click.option(
    "--rate", type=click.FloatRange(1, 6000), default=30.0, show_default=True, help="Messages a minute to make up."
)
def demo(*, host: str, port: int, anybody: bool, seed: int, rate: float) -> None:
    """Run a hub with made-up mail, relays and troubles, to look at it and try it out.

    It works on a temporary file that is removed at the end, connects to nothing, and reads neither your settings nor
    your outbox. Ctrl-C ends it.
    """
    from emailhub.demo.hub import serve

    click.echo("making up the last 24 hours …", err=True)
    try:
        code = serve(host=host, port=port, anybody=anybody, seed=seed, per_minute=rate, say=_tell)
    except SettingsError as error:
        step = "add --anybody: whoever can reach the address may then use the demo"
        raise exits.Stop(exits.CONFIGURATION, str(error), "" if anybody else step) from None
    except OSError as error:
        raise exits.Stop(exits.FAILED, str(error), "choose another --port") from None
    sys.exit(code)


def _tell(url: str, key: str) -> None:
    click.echo(f"the demo runs at {url}   (Ctrl-C ends it; nothing of it is real)")
    click.echo(f"for its API: export EMAILHUB_URL={url} EMAILHUB_API_KEY={key}")
