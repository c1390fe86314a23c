"""`serve`, `reload`, `health`, `config` and `backup`: running a hub and looking after it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import rich_click as click

from emailhub import settings
from emailhub.cli import exits, options
from emailhub.cli.hub import Hub, Refused, Unreachable
from emailhub.core.patterns import rate_text
from emailhub.settings import Loaded, RelaySettings, Settings, units


@click.command()
@click.option("--host", help="Address to listen on [EMAILHUB_HOST, 127.0.0.1].")
@click.option("--port", help="Port to listen on [EMAILHUB_PORT, 8000].")
@click.option("--database", help="The outbox file [EMAILHUB_DATABASE, ./emailhub.db].")
@click.option("--log-level", help="debug, info, warning or error [EMAILHUB_LOG_LEVEL, info].")
@click.option("--log-format", help="console or json [EMAILHUB_LOG_FORMAT, by terminal].")
@options.reads_settings
def serve(*, env_file: Path | None, config: Path | None, **flags: str | None) -> None:
    """Run the hub: API, dashboard, RabbitMQ subscriber and delivery in one process.

    SIGTERM or Ctrl-C stops it in order, another one a second later or after that at once.
    """
    loaded = options.load(env_file, config, **flags)
    from emailhub.serving import serve as run

    sys.exit(run(loaded, options.reader(env_file, config, **flags)))


@click.command()
@click.option("--reason", help="Why; kept in the audit log.")
@options.asks_hub
def reload(*, reason: str | None, hub: Hub, as_json: bool) -> None:
    """Let the running hub read its settings again; says what changed.

    Relays, destinations, DKIM keys and rules about recipients change without a restart. Settings that do not work are
    refused whole, with every problem and exit code 78; the hub then goes on as before.
    """
    try:
        answer = hub.post("reload", document={"reason": reason} if reason else {})
    except Refused as refused:
        if refused.name == "invalid_settings":
            refused.code = exits.CONFIGURATION
        raise
    if as_json:
        options.write_json(answer)
        return
    _tell_changes(answer)


def _tell_changes(answer: dict[str, Any]) -> None:
    applied, restart = answer.get("applied") or (), answer.get("restart") or ()
    for change in applied:
        click.echo(f"{change['what']}: {change['text']}")
    for change in restart:
        click.echo(f"needs a restart: {change['what']}: {change['text']}")
    if not (applied or restart):
        click.echo("nothing has changed")
    for warning in answer.get("warnings") or ():
        click.secho(f"warning: {warning}", fg="yellow", err=True)


@click.command()
@click.option("--url", help="The running hub [EMAILHUB_URL].")
@click.option("--ready", is_flag=True, help="Ask whether it can take and send mail, not only whether it lives.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=4.0, show_default=True, help="Seconds to wait.")
@options.reads_settings
def health(*, url: str | None, ready: bool, timeout: float, env_file: Path | None, config: Path | None) -> None:
    """Exit with 0 when the hub is well, with 1 when not: for containers and supervisors."""
    hub = Hub.of(options.load(env_file, config, url=url).settings, timeout=timeout)
    try:
        status, answer = hub.status_of("health", "ready" if ready else "live")
    except Unreachable as error:
        raise exits.Stop(exits.FAILED, error.message) from error
    state = answer.get("status") if isinstance(answer, dict) else None
    if status != 200:
        raise exits.Stop(exits.FAILED, f"HTTP {status} from {hub.url}: {state or 'not a hub'}")
    click.echo(state or "ok")


@click.command()
@click.option("--markdown", is_flag=True, help="The table of all settings with their meaning, as in the README.")
@options.as_json
@options.reads_settings
def config(*, env_file: Path | None, config: Path | None, as_json: bool, markdown: bool) -> None:
    """Show every setting with its value and where that came from; secrets are masked."""
    if markdown:
        click.echo(settings.markdown())
        return
    loaded = options.load(env_file, config)
    rows = settings.describe(loaded)
    if as_json:
        options.write_json(
            [{"name": row.name, "value": row.value, "source": row.source, "is_default": row.is_default} for row in rows]
        )
        return
    names, values = max(len(row.name) for row in rows), max(len(row.value) for row in rows)
    for row in rows:
        line = f"{row.name:<{names}}  {row.value or '-':<{min(values, 40)}}  {row.source}"
        click.echo(click.style(line, dim=row.is_default))
    click.echo(f"\n{meaning(loaded.settings)}")
    tell_warnings(loaded)


def meaning(effective: Settings) -> str:
    """What the settings come down to, in a sentence for each relay."""
    if effective.capture:
        return "Mail is captured and shown in the dashboard; nothing is sent."
    sender = f"from {effective.sender} unless a message says otherwise."
    accounts = [_account(relay) for relay in effective.relays]
    if len(accounts) == 1:
        return "\n".join([f"Mail goes to {accounts[0]}, {sender}", *_diversion(effective)])
    lines = [f"  {relay.name}: {text}" for relay, text in zip(effective.relays, accounts, strict=True)]
    return "\n".join([f"Mail goes {sender} It is carried by", *lines, *_diversion(effective)])


def _account(relay: RelaySettings) -> str:
    parts = [f"{relay.place} (TLS: {relay.security})"]
    if relay.from_domains:
        parts.append(f"for {', '.join(relay.from_domains)}")
    if relay.rate:
        parts.append(f"at most {' and '.join(rate_text(rate) for rate in relay.rate)}")
    return ", ".join([*parts, *(["draining"] if relay.drain else [])])


def _diversion(effective: Settings) -> list[str]:
    if not (effective.divert_to or effective.allow_recipients):
        return []
    other = f"diverted to {effective.divert_to}" if effective.divert_to else "captured"
    if not effective.allow_recipients:
        return [f"All of it is {other}."]
    return [f"What is not for {', '.join(effective.allow_recipients)} is {other}."]


def tell_warnings(loaded: Loaded) -> None:
    """What the settings deserve to be asked about, on standard error."""
    for warning in loaded.warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--database", help="The outbox file [EMAILHUB_DATABASE, ./emailhub.db].")
@options.as_json
@options.reads_settings
def backup(*, target: Path, database: str | None, as_json: bool, env_file: Path | None, config: Path | None) -> None:
    """Copy the outbox to TARGET (a new file, or a folder) while the hub runs.

    A hub that opens the copy holds everything unfinished for a human, because it may have been sent since.
    """
    source = options.load(env_file, config, database=database).settings.database
    from emailhub.cli.copy import copy_outbox

    now = time.time()
    copied = copy_outbox(source, target, now)
    if as_json:
        options.write_json({"target": str(copied.path), "bytes": copied.size})
    else:
        click.echo(f"{copied.path}  {units.size_text(copied.size)}")
