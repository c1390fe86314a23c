"""The neighbours `emailhub check` knocks at: the SMTP server and RabbitMQ. Nothing is sent and nothing is changed."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from aio_pika.exceptions import ChannelNotFoundEntity
from faststream.rabbit import Channel
from msgspec.structs import replace

from emailhub.adapters.rabbit.connection import Connection as RabbitConnection
from emailhub.adapters.rabbit.errors import FAILURES, explain
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.dial import Trouble
from emailhub.adapters.smtp.options import SmtpOptions, Timeouts, TlsMode
from emailhub.adapters.smtp.session import SessionOpener
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import Wire, WireError
from emailhub.cli.doctor import Finding, Mark
from emailhub.core.address import parse_mailbox
from emailhub.core.routing import Route, domain_of
from emailhub.core.verdict import Progress, Stage
from emailhub.settings import DEFAULT_RELAY, RelaySettings, Settings
from emailhub.wiring import rabbit_options, smtp_options

_SECONDS = 15.0
_OFFERS = ("STARTTLS", "PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "SIZE", "AUTH")
_TROUBLE: tuple[type[BaseException], ...] = (*FAILURES, ValueError)


async def check_smtp(settings: Settings) -> list[Finding]:
    """Open a session with every relay just as the hub does, see what it offers, and ask if the sender is welcome."""
    if settings.capture:
        return [Finding(Mark.OK, "smtp", "mail is captured; no SMTP server is used")]
    found = await asyncio.gather(*(_check_relay(relay, settings) for relay in settings.relays))
    return [finding for findings in found for finding in findings]


async def _check_relay(relay: RelaySettings, settings: Settings) -> list[Finding]:
    what = "smtp" if relay.name == DEFAULT_RELAY else f"smtp {relay.name}"
    options = _smtp_options(relay, settings)
    opener = SessionOpener(options, time.monotonic)
    try:
        connection = await opener.open(Progress(), Transcript(time.monotonic))
    except Trouble as trouble:
        return [Finding(Mark.FAIL, what, trouble.verdict.text, _step(relay, trouble.verdict.stage))]
    finally:
        await opener.close()
        if options.token:
            await options.token.close()
    try:
        found = [_welcome(what, connection, options)]
        if sender := _sender_of(relay, settings):
            found.append(await _sender(what, connection.wire, sender))
        return found
    finally:
        connection.wire.quit()
        await connection.wire.closed


async def check_rabbit(settings: Settings) -> list[Finding]:
    """Log in and look at the queues, each on a channel of its own, because asking for an absent one closes it."""
    if settings.rabbitmq_url is None:
        return [Finding(Mark.OK, "rabbitmq", "not configured; the outbox is the queue")]
    options = replace(rabbit_options(settings, "check"), connect=_SECONDS)
    link = RabbitConnection(options, "check", Channel())
    try:
        await link.open()
        found = [Finding(Mark.OK, "rabbitmq", f"logged in at {options.place} as {options.user}")]
        queues = (options.queue, options.dead_letter_queue)
        return found + [await _queue(link, queue, options) for queue in queues]
    except _TROUBLE as error:
        return [Finding(Mark.FAIL, "rabbitmq", explain(error, options).text, "check RABBITMQ_URL and the server")]
    finally:
        await link.close()


def _smtp_options(relay: RelaySettings, settings: Settings) -> SmtpOptions:
    # Somebody watches a check: what is silent for so long is told as silent.
    timeouts = Timeouts(connect=_SECONDS, greeting=_SECONDS, command=_SECONDS)
    return replace(smtp_options(relay, settings), timeouts=timeouts)


def _welcome(what: str, connection: Connection, options: SmtpOptions) -> Finding:
    login = f"logged in as {options.user}" if options.user else "no login"
    place = f"{options.host}:{options.port}"
    tls = connection.tls and (connection.tls if options.implicit else f"{connection.tls} by STARTTLS")
    detail = f"{place} answers, {tls or 'no TLS'}, {login}; it offers {_offers(connection)}"
    if connection.tls or options.tls is TlsMode.NONE:
        return Finding(Mark.OK, what, detail)
    step = "the server offers no TLS, so mail travels readable: use another port, or say TLS none where it is set up"
    return Finding(Mark.WARN, what, detail, step)


def _offers(connection: Connection) -> str:
    # STARTTLS is not offered again once it is used.
    offered = {name.upper(): value for name, value in connection.extensions.items()}
    names = [name for name in _OFFERS if name in offered]
    return ", ".join(f"{name} {offered[name]}" if offered[name] else name for name in names) or "nothing beyond SMTP"


def _sender_of(relay: RelaySettings, settings: Settings) -> str | None:
    """The default sender's address, where `relay` may carry its mail."""
    address = parse_mailbox(settings.sender, field="EMAIL_FROM", allow_local=True).address
    carries = Route(name=relay.name, domains=relay.from_domains).carries(domain_of(address))
    return address if carries else None


async def _sender(what: str, wire: Wire, address: str) -> Finding:
    try:
        wire.command(f"MAIL FROM:<{address}>\r\n".encode())
        reply = await wire.reply(_SECONDS)
    except WireError as error:
        return Finding(Mark.FAIL, what, f"asked for the sender {address}, and {error}", "try again")
    if reply.code == 250:
        return Finding(Mark.OK, what, f"the sender {address} is welcome")
    step = "verify this sender at the provider, or set EMAIL_FROM to one that is"
    return Finding(Mark.FAIL, what, f"the sender {address} is refused: {reply}", step)


def _step(relay: RelaySettings, stage: Stage) -> str:
    if relay.name == DEFAULT_RELAY:
        names = _Names("SMTP_HOST", "SMTP_PORT", "EMAILHUB_SMTP_TLS", "SMTP_USER and SMTP_PASS")
    else:
        names = _Names("its host", "port", "its tls", "its user and password")
    if relay.oauth2:
        names = names._replace(login="user, client, token and scope of its OAuth2")
    return {
        Stage.CONNECT: f"check {names.host} and {names.port}; a firewall that blocks 25 and 587 may let 465 pass",
        Stage.TLS: f"use the port that fits {names.tls}, and as {names.host} the name its certificate has",
        Stage.AUTH: f"check {names.login} at the provider",
    }.get(stage, "")


class _Names(NamedTuple):
    """What the settings of an account are called where it is set up."""

    host: str
    port: str
    tls: str
    login: str


async def _queue(link: RabbitConnection, name: str, options: RabbitOptions) -> Finding:
    try:
        async with link.throwaway() as channel:
            there = await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        if options.declare == "auto":
            return Finding(Mark.OK, "rabbitmq", f"the queue {name} does not exist yet; `emailhub serve` makes it")
        step = "create it, or set EMAILHUB_QUEUE_DECLARE=auto"
        return Finding(Mark.WARN, "rabbitmq", f"the queue {name} does not exist", step)
    except _TROUBLE as error:
        return Finding(Mark.FAIL, "rabbitmq", f"the queue {name}: {explain(error, options).text}", "grant the right")
    detail = f"the queue {name} has {there.message_count} messages and {there.consumer_count} consumers"
    return Finding(Mark.OK, "rabbitmq", detail)
