"""`emailhub check`: everything a hub needs, tried once, told one line each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from emailhub.cli import exits, options
from emailhub.cli.hub import Hub
from emailhub.cli.message import GOOD, outcome, submit, wait_for

if TYPE_CHECKING:
    from emailhub.cli.doctor import Finding
    from emailhub.settings import Loaded

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--send-to", metavar="ADDRESS", help="Send a real test message there through the running hub.")
@click.option("--wait", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait for it.")
@options.talks_to_hub
def check(
    *, send_to: str | None, wait: float, url: str | None, as_json: bool, env_file: Path | None, config: Path | None
) -> None:
    """Check settings, outbox, RabbitMQ, SMTP server and the running hub; one line each.

    Exits with 1 when anything fails, with 78 when the settings do.
    """
    loaded = options.load(env_file, config, url=url)
    report(_findings(loaded, Hub.of(loaded.settings, timeout=10.0), send_to, wait), as_json=as_json)


def report(findings: Iterator[Finding], *, as_json: bool) -> None:
    """Tell each as it is found. Ends the command with 1 when any fails."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        options.write_json(
            [{"status": str(item.mark), "what": item.what, "detail": item.detail, "next": item.step} for item in found]
        )
    failed = sum(item.mark == "fail" for item in found)
    if failed:
        raise exits.Stop(exits.FAILED, f"{failed} of {len(found)} checks failed")


def _findings(loaded: Loaded, hub: Hub, send_to: str | None, wait: float) -> Iterator[Finding]:
    from emailhub.cli import doctor, neighbours

    # Their libraries log tracebacks at every lost connection; the lines below say it in words.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield from doctor.check_settings(loaded)
    yield from doctor.check_outbox(loaded.settings)
    yield from asyncio.run(neighbours.check_rabbit(loaded.settings))
    yield from asyncio.run(neighbours.check_smtp(loaded.settings))
    yield from doctor.check_hub(hub)
    if send_to:
        yield _test_message(hub, send_to, wait)


def _test_message(hub: Hub, address: str, wait: float) -> Finding:
    from emailhub.cli.doctor import Finding, Mark

    text = "This is the test message of `emailhub check --send-to`. Its arrival is all it has to say.\n"
    try:
        id = submit(hub, {"to": [address], "subject": "emailhub test message", "text": text})["id"]
        message = wait_for(hub, id, wait)
    except exits.Stop as stop:
        return Finding(Mark.FAIL, "message", stop.message.replace("\n", "; "), stop.step)
    state = outcome(message)
    last = [str(item["last_reply"]) for item in message.get("recipients") or () if item.get("last_reply")]
    detail = f"{id} to {address} is {state}{': ' if last else ''}{'; '.join(last)}"
    if state in GOOD:
        return Finding(Mark.OK, "message", detail)
    return Finding(Mark.FAIL, "message", detail, f"`emailhub status {id}`, or the dashboard, says why")


def _tell(finding: Finding) -> None:
    mark = click.style(f"{finding.mark:<5}", fg=_COLOURS[finding.mark])
    step = f"  -> {finding.step}" if finding.step else ""
    click.echo(f"{mark} {finding.what:<9} {finding.detail}{step}")
