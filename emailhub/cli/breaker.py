"""`emailhub breaker`: see the breakers of the relays, force them, and let them decide again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import rich_click as click

from emailhub.cli import options
from emailhub.cli.hub import Hub
from emailhub.settings import units

_FORCED = (("until", "until"), ("by", "actor"), ("because:", "reason"))
_CAPTURE = "capture"
_STATES = {"open": "open", "close": "closed", "auto": "auto"}


@click.command()
@click.argument("action", type=click.Choice(("show", *_STATES)), default="show")
@click.argument("relay", required=False)
@click.option("--reason", help="Why; kept with the change and shown on the dashboard.")
@click.option("--until", metavar="WHEN", help="With open: a duration such as 30m or a time such as 2026-12-01T08:00Z.")
@options.asks_hub
def breaker(
    *,
    action: str,
    relay: str | None,
    reason: str | None,
    until: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Show the breakers, or force the one of RELAY; the name may be left out where only one sends.

    `open` pauses the relay, `close` ignores its failures, `auto` lets the breaker decide again.
    """
    if action == "show":
        _show(hub.get("breakers"), as_json=as_json)
        return
    if until and action != "open":
        raise click.UsageError("--until belongs to `breaker open`")
    if action != "auto" and not reason:
        raise click.UsageError("say why with --reason: whoever finds the breaker forced will want to know")
    document = {"state": _STATES[action], "reason": reason or "back to automatic"}
    if until:
        document["until"] = moment(until, datetime.now(UTC)).isoformat().replace("+00:00", "Z")
    _show(hub.post("breakers", relay or _only_relay(hub), document=document), as_json=as_json)


def moment(text: str, now: datetime) -> datetime:
    """The UTC time that `text`, a duration from `now` or an ISO time with its zone, means."""
    try:
        return now.replace(microsecond=0) + timedelta(seconds=units.duration(text))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a duration such as 30m nor a time such as 2026-12-01T08:00Z", param_hint="--until"
        ) from None
    if at.tzinfo is None:
        raise click.BadParameter("the time needs its zone, such as Z or +01:00", param_hint="--until")
    if at <= now:
        raise click.BadParameter("the time is over", param_hint="--until")
    return at.astimezone(UTC)


def _only_relay(hub: Hub) -> str:
    names = [str(item.get("relay")) for item in _items(hub.get("breakers"))]
    # Beside a relay that sends there is always the one that captures, and nobody stops mail by stopping that.
    meant = [name for name in names if name != _CAPTURE] or names
    if len(meant) == 1:
        return meant[0]
    raise click.UsageError(f"say which relay: {', '.join(names)}")


def _show(answer: Any, *, as_json: bool) -> None:
    if as_json:
        options.write_json(answer)
        return
    for item in _items(answer):
        click.echo(f"{item.get('relay')}  {item.get('state')}{_forced(item)}")
        if item.get("cause"):
            click.echo(f"  cause: {item['cause']}")
        if item.get("next_probe_at"):
            click.echo(f"  next probe: {item['next_probe_at']}")


def _forced(item: dict[str, Any]) -> str:
    if item.get("forced") in (None, "auto"):
        return ""
    parts = [f"forced {item['forced']}", *(f"{word} {item[key]}" for word, key in _FORCED if item.get(key))]
    return f"  ({', '.join(parts)})"


def _items(answer: Any) -> list[dict[str, Any]]:
    if isinstance(answer, dict) and isinstance(answer.get("data"), list):
        answer = answer["data"]
    return [answer] if isinstance(answer, dict) else list(answer or ())
