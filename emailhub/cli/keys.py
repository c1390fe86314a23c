"""`emailhub keys`: who may use the API of the running hub, with what."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import rich_click as click

from emailhub.cli import exits, options
from emailhub.cli.hub import Hub


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    A command shows the hub EMAILHUB_API_KEY or the first of EMAILHUB_API_KEYS; without one it logs in with
    EMAILHUB_ADMIN_PASSWORD.
    """


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(("send", "read", "admin")), help="What it may do.")
@click.option("--from-domain", "domains", multiple=True, metavar="DOMAIN", help="A domain it may send from [any].")
@click.option("--rate", help="Most requests in a span, such as 10/s [no limit].")
@click.option("--daily-quota", type=int, help="Most messages in a day (UTC) [no limit].")
@click.option("--expires-at", metavar="TIME", help="When it ends, such as 2027-01-31T09:30:00Z [never].")
@click.option("--reason", help="Why; kept in the audit log.")
@options.asks_hub
def create(
    *,
    name: str,
    scopes: tuple[str, ...],
    domains: tuple[str, ...],
    rate: str | None,
    daily_quota: int | None,
    expires_at: str | None,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Make a key called NAME and write its secret, this once. It may send, unless --scope says otherwise."""
    asked: dict[str, Any] = {
        "name": name,
        "scopes": [*(scopes or ("send",))],
        "from_domains": [*domains],
        "rate": rate,
        "daily_quota": daily_quota,
        "expires_at": expires_at,
        "reason": reason,
    }
    document = {field: value for field, value in asked.items() if value not in (None, [])}
    _write_secret(hub.post("api-keys", document=document), as_json=as_json)


@keys.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@options.asks_hub
def show(*, everything: bool, hub: Hub, as_json: bool) -> None:
    """List the keys."""
    answer = hub.get("api-keys")
    found = [key for key in answer["data"] if everything or key["state"] == "live"]
    if as_json:
        options.write_json({**answer, "data": found})
        return
    for key in found:
        click.echo("  ".join(_line(key)))
    if not found:
        click.echo("no key works" if not everything else "there is no key")


@keys.command()
@click.argument("key", metavar="NAME|ID")
@click.option("--grace", help="How long the old secret still works, such as 1h; 0: not at all [24h].")
@click.option("--reason", help="Why; kept in the audit log.")
@options.asks_hub
def rotate(
    *,
    key: str,
    grace: str | None,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Give a key a new secret and write it, this once. The old one works a while longer."""
    document = {name: value for name, value in (("grace", grace), ("reason", reason)) if value is not None}
    _write_secret(hub.post("api-keys", _id(hub, key), "rotate", document=document), as_json=as_json)


@keys.command()
@click.argument("key", metavar="NAME|ID")
@click.option("--reason", help="Why; kept with the key and in the audit log.")
@options.asks_hub
def revoke(*, key: str, reason: str | None, hub: Hub, as_json: bool) -> None:
    """End a key at once and for good."""
    answer = hub.delete("api-keys", _id(hub, key), query=urlencode({"reason": reason}) if reason else "")
    if as_json:
        options.write_json(answer)
    else:
        click.echo(f"{answer['name']}  revoked")


def _id(hub: Hub, key: str) -> str:
    """The id of a key that was called by its name or id; of several with that name the one that was not revoked."""
    found = [one for one in hub.get("api-keys")["data"] if key in (one["name"], one["id"])]
    if not found:
        raise exits.Stop(exits.FAILED, f"there is no key {key!r}", "`emailhub keys list --all` shows them")
    return str(min(found, key=lambda one: one["state"] == "revoked")["id"])


def _write_secret(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        options.write_json(answer)
        return
    # Alone on standard output, so that a script can take it.
    click.echo(answer["token"])
    click.echo(f"the secret of the key {answer['name']}; it cannot be shown again", err=True)


def _line(key: dict[str, Any]) -> list[str]:
    used = f"last used {key['last_used_at']}" if key["last_used_at"] else "never used"
    limits = [key["rate"] or "", f"{key['daily_quota']} a day" if key["daily_quota"] else ""]
    origin = "from settings" if key["source"] == "settings" else key["id"]
    domains = f"from {','.join(key['from_domains'])}" if key["from_domains"] else ""
    expires = f"expires {key['expires_at']}" if key["expires_at"] else ""
    facts = [key["name"], key["state"], ",".join(key["scopes"]), domains, *limits, expires, used, origin]
    return [fact for fact in facts if fact]
