"""The neighbours `emailhub check` knocks at: the SMTP server and RabbitMQ. Nothing is sent and nothing is changed."""

from __future__ import annotations

import time

from aio_pika.exceptions import ChannelNotFoundEntity
from faststream.rabbit import Channel
from msgspec.structs import replace

from emailhub.adapters.rabbit.connection import Connection as RabbitConnection
from emailhub.adapters.rabbit.errors import FAILURES, explain
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.adapters.smtp.dial import Trouble
from emailhub.adapters.smtp.options import SmtpOptions, Timeouts, TlsMode
from emailhub.adapters.smtp.session import Connection, SessionOpener
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import Wire, WireError
from emailhub.cli.doctor import Finding, Mark
from emailhub.core.address import parse_mailbox
from emailhub.core.verdict import Progress, Stage
from emailhub.settings import Settings
from emailhub.wiring import rabbit_options, smtp_options

_SECONDS = 15.0
_TROUBLE: tuple[type[BaseException], ...] = (*FAILURES, ValueError)


async def check_smtp(settings: Settings) -> list[Finding]:
    """Open a session just as the hub does, and ask whether the sender is welcome."""
    if settings.capture:
        return [Finding(Mark.OK, "smtp", "mail is captured; no SMTP server is used")]
    options = _smtp_options(settings)
    opener = SessionOpener(options, time.monotonic)
    try:
        connection = await opener.open(Progress(), Transcript(time.monotonic))
    except Trouble as trouble:
        return [Finding(Mark.FAIL, "smtp", trouble.verdict.text, _STEPS.get(trouble.verdict.stage, ""))]
    finally:
        await opener.close()
    try:
        return [_welcome(connection, options), await _sender(connection.wire, settings.sender)]
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


def _smtp_options(settings: Settings) -> SmtpOptions:
    # Somebody watches a check: what is silent for so long is told as silent.
    return replace(smtp_options(settings), timeouts=Timeouts(connect=_SECONDS, greeting=_SECONDS, command=_SECONDS))


def _welcome(connection: Connection, options: SmtpOptions) -> Finding:
    login = f"logged in as {options.user}" if options.user else "no login"
    detail = f"{options.host}:{options.port} answers, {connection.tls or 'no TLS'}, {login}"
    if connection.tls or options.tls is TlsMode.NONE:
        return Finding(Mark.OK, "smtp", detail)
    step = "the server offers no TLS, so mail travels readable: use another port, or say EMAILHUB_SMTP_TLS=none"
    return Finding(Mark.WARN, "smtp", detail, step)


async def _sender(wire: Wire, sender: str) -> Finding:
    address = parse_mailbox(sender, field="EMAIL_FROM", allow_local=True).address
    try:
        wire.command(f"MAIL FROM:<{address}>\r\n".encode())
        reply = await wire.reply(_SECONDS)
    except WireError as error:
        return Finding(Mark.FAIL, "smtp", f"asked for the sender {address}, and {error}", "try again")
    if reply.code == 250:
        return Finding(Mark.OK, "smtp", f"the sender {address} is welcome")
    step = "verify this sender at the provider, or set EMAIL_FROM to one that is"
    return Finding(Mark.FAIL, "smtp", f"the sender {address} is refused: {reply}", step)


_STEPS = {
    Stage.CONNECT: "check SMTP_HOST and SMTP_PORT; where a firewall blocks 25 or 587, 465 or 2525 may be open",
    Stage.TLS: "use the port that fits EMAILHUB_SMTP_TLS, and as SMTP_HOST the name its certificate has",
    Stage.AUTH: "check SMTP_USER and SMTP_PASS at the provider",
}


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
