"""`emailhub suppress` and `emailhub lift`: who gets no mail."""

from __future__ import annotations

from typing import Any

import rich_click as click

from emailhub.cli import exits, options
from emailhub.cli.hub import Hub


@click.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option(
    "--origin",
    type=click.Choice(("manual", "unsubscribe", "complaint", "bounce")),
    default="manual",
    show_default=True,
    help="What led to it.",
)
@click.option("--reason", help="Why; kept with the entry and shown on the dashboard.")
@options.asks_hub
def suppress(
    *,
    addresses: tuple[str, ...],
    origin: str,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Send nothing to ADDRESS any more, also nothing that waits; without one, show the newest on the list."""
    if addresses:
        document = {"emails": list(addresses), "origin": origin, **({"reason": reason} if reason else {})}
        answer = hub.post("suppressions", "batch", "add", document=document)
    else:
        answer = hub.get("suppressions", query="limit=100")
    if as_json:
        options.write_json(answer)
        return
    for entry in answer["data"]:
        click.echo("  ".join(_entry(entry)))
    if not answer["data"]:
        click.echo("nobody is on the list")


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--reason", help="Why; kept in the history.")
@options.asks_hub
def lift(
    *,
    addresses: tuple[str, ...],
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Send to ADDRESS again. What was suppressed stays so until it is retried."""
    document = {"emails": list(addresses), **({"reason": reason} if reason else {})}
    answer = hub.post("suppressions", "batch", "remove", document=document)
    if as_json:
        options.write_json(answer)
    else:
        for entry in answer["data"]:
            click.echo(f"{entry['email']}  lifted")
    # Two spellings of one address are one entry.
    missing = len({address.lower() for address in addresses}) - len(answer["data"])
    if missing > 0:
        step = "`emailhub suppress` without an address shows the list"
        raise exits.Stop(exits.FAILED, f"{missing} of {len(addresses)} not on the list", step)


def _entry(entry: dict[str, Any]) -> list[str]:
    return [str(entry[name]) for name in ("email", "origin", "created_at", "reason") if entry.get(name)]
