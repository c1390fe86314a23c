"""`emailhub send` and `emailhub status`: one message in, and what became of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import rich_click as click

from emailhub.cli import exits, options
from emailhub.cli.hub import Hub, Refused

GOOD = frozenset({"sent", "delivered"})
FINAL = GOOD | {"failed", "canceled", "suppressed", "bounced"}
STUCK = "held"
_POLL_SECONDS = 0.3


@click.command()
@click.option("--to", "to", multiple=True, required=True, help="Recipient; may be repeated.")
@click.option("--cc", multiple=True, help="Copy; may be repeated.")
@click.option("--bcc", multiple=True, help="Hidden copy; may be repeated.")
@click.option("--from", "from", help="Sender [EMAIL_FROM of the hub].")
@click.option("--reply-to", help="Where answers go.")
@click.option("--subject", required=True)
@click.option("--text", help="The text; `-` or neither --text nor --html reads it from standard input.")
@click.option("--html", help="The HTML; `-` reads it from standard input.")
@click.option("--key", help="Idempotency key: the same key and content send one message only.")
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for the outcome.")
@options.asks_hub
def send(
    *,
    text: str | None,
    html: str | None,
    key: str | None,
    wait: float | None,
    hub: Hub,
    as_json: bool,
    **fields: str | Sequence[str] | None,
) -> None:
    """Send a message through the running hub and print its id."""
    text, html = _bodies(text, html)
    answer = submit(hub, {name: value for name, value in {**fields, "text": text, "html": html}.items() if value}, key)
    if wait is None:
        options.write_json(answer) if as_json else click.echo(answer["id"])
        return
    message = wait_for(hub, answer["id"], wait)
    show(message, as_json=as_json)
    _end_with(message)


@click.command()
@click.argument("id")
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for the outcome.")
@options.asks_hub
def status(
    *,
    id: str,
    wait: float | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Show what became of the message ID that `emailhub send` or the API gave."""
    message = wait_for(hub, id, wait or 0)
    show(message, as_json=as_json)
    if wait is not None:
        _end_with(message)


def submit(hub: Hub, document: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Hand a message to the hub; its answer with the `id`."""
    answer: dict[str, Any] = hub.post("emails", document=document, headers={"Idempotency-Key": key} if key else None)
    return answer


def wait_for(
    hub: Hub,
    id: str,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The message once it is final or held, or as it is after `seconds`."""
    deadline = clock() + seconds
    while True:
        message = _find(hub, id)
        if outcome(message) in FINAL | {STUCK} or clock() >= deadline:
            return message
        sleep(_POLL_SECONDS)


def outcome(message: dict[str, Any]) -> str:
    """The state of a message as the hub calls it."""
    return str(message.get("status") or message.get("last_event") or "unknown")


def show(message: dict[str, Any], *, as_json: bool) -> None:
    """Write a message for a script or a human."""
    if as_json:
        options.write_json(message)
        return
    click.echo(f"{message.get('id')}  {outcome(message)}")
    for recipient in message.get("recipients") or ():
        click.echo("  " + "  ".join(_recipient(recipient)))


def _recipient(recipient: dict[str, Any]) -> list[str]:
    values = [str(recipient[name]) for name in ("address", "state", "reason", "last_reply") if recipient.get(name)]
    due = recipient.get("next_attempt_at")
    # Without a server the reason is all that was said; nobody needs it twice.
    return [*dict.fromkeys(values), *([f"next attempt {due}"] if due else [])]


def _find(hub: Hub, id: str) -> dict[str, Any]:
    try:
        message: dict[str, Any] = hub.get("emails", id)
    except Refused as error:
        if error.status == 404:
            error.step = "give the id that `emailhub send` printed; the dashboard finds messages by other words"
        raise
    return message


def _bodies(text: str | None, html: str | None) -> tuple[str | None, str | None]:
    if text == "-" and html == "-":
        raise click.UsageError("standard input can be the text or the HTML, not both")
    if text is None and html is None:
        text = "-"
    if "-" not in (text, html):
        return text, html
    if sys.stdin.isatty():
        click.echo("Type the message, then Ctrl-D:", err=True)
    given = sys.stdin.read()
    return (given, html) if text == "-" else (text, given)


def _end_with(message: dict[str, Any]) -> None:
    state = outcome(message)
    if state in GOOD:
        return
    step = "the dashboard shows every attempt and the server's replies"
    if state not in FINAL | {STUCK}:
        raise exits.Stop(exits.FAILED, f"still {state} after the wait", f"`emailhub status {message.get('id')}` later")
    raise exits.Stop(exits.FAILED, f"the message is {state}", step)
