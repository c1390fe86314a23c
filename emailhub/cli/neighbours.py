"""The neighbours `emailhub check` knocks at: the SMTP server and RabbitMQ. Nothing is sent and nothing is changed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import aio_pika
import aiosmtplib
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from emailhub.adapters.rabbit.errors import FAILURES, explain
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.cli.doctor import Finding, Mark
from emailhub.core.address import parse_mailbox
from emailhub.settings import Secret, Settings

_SECONDS = 15.0
_TROUBLE: tuple[type[BaseException], ...] = (*FAILURES, ValueError)


async def check_smtp(settings: Settings) -> list[Finding]:
    """Connect, say hello, secure the connection, log in, and ask whether the sender is welcome."""
    if settings.capture:
        return [Finding(Mark.OK, "smtp", "mail is captured; no SMTP server is used")]
    place = f"{settings.smtp_host}:{settings.smtp_port}"
    session = _session(settings, _trust(settings))
    try:
        await session.connect()
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        return [Finding(Mark.FAIL, "smtp", f"{place}: {_plain(error)}", _smtp_step(error, settings))]
    try:
        return [_welcome(session, settings, place), await _sender(session, settings.sender)]
    finally:
        await _part(session)


async def check_rabbit(settings: Settings) -> list[Finding]:
    """Log in and look at the queues, each on a channel of its own, because asking for an absent one closes it."""
    if settings.rabbitmq_url is None:
        return [Finding(Mark.OK, "rabbitmq", "not configured; the outbox is the queue")]
    options = _options(settings, settings.rabbitmq_url)
    try:
        connection = await aio_pika.connect(options.url, timeout=_SECONDS)
    except _TROUBLE as error:
        return [Finding(Mark.FAIL, "rabbitmq", explain(error, options).text, "check RABBITMQ_URL and the server")]
    async with connection:
        found = [Finding(Mark.OK, "rabbitmq", f"logged in at {options.place} as {options.user}")]
        found += [finding async for finding in _queues(connection, settings, options)]
        return found


def _session(settings: Settings, context: ssl.SSLContext) -> aiosmtplib.SMTP:
    start_tls = {"starttls": True, "opportunistic": None}.get(settings.smtp_security, False)
    return aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_user,
        password=settings.smtp_pass.reveal() if settings.smtp_pass else None,
        local_hostname=settings.smtp_source,
        use_tls=settings.smtp_security == "implicit",
        start_tls=start_tls,
        tls_context=context,
        timeout=_SECONDS,
    )


def _trust(settings: Settings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(settings.smtp_ca) if settings.smtp_ca else None)


def _welcome(session: aiosmtplib.SMTP, settings: Settings, place: str) -> Finding:
    secured = session.get_transport_info("ssl_object") is not None
    login = f"logged in as {settings.smtp_user}" if settings.smtp_user else "no login"
    detail = f"{place} answers, {'TLS' if secured else 'no TLS'}, {login}"
    if secured or settings.smtp_security == "none":
        return Finding(Mark.OK, "smtp", detail)
    return Finding(Mark.WARN, "smtp", detail, "the server offers no TLS: mail travels readable. Set EMAILHUB_SMTP_TLS")


async def _sender(session: aiosmtplib.SMTP, sender: str) -> Finding:
    address = parse_mailbox(sender, field="EMAIL_FROM", allow_local=True).address
    try:
        await session.mail(address)
    except aiosmtplib.SMTPException as error:
        step = "verify this sender at the provider, or set EMAIL_FROM to one that is"
        return Finding(Mark.FAIL, "smtp", f"the sender {address} is refused: {_plain(error)}", step)
    return Finding(Mark.OK, "smtp", f"the sender {address} is welcome")


async def _part(session: aiosmtplib.SMTP) -> None:
    try:
        await session.quit()
    except (aiosmtplib.SMTPException, OSError):
        session.close()


def _smtp_step(error: BaseException, settings: Settings) -> str:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return "check SMTP_USER and SMTP_PASS at the provider"
    if _certificate(error):
        return "use the name the certificate has as SMTP_HOST, or name its issuer with EMAILHUB_SMTP_CA"
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        return "a firewall may block the port: try SMTP_PORT 587, 465 or 2525"
    if settings.smtp_security == "starttls":
        return "check SMTP_HOST and SMTP_PORT; port 465 speaks TLS at once, others must offer STARTTLS for a login"
    return "check SMTP_HOST, SMTP_PORT and that the server runs"


def _certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _plain(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return " ".join(f"{error.code} {error.message}".split())
    return " ".join(str(error).split()) or type(error).__name__


def _options(settings: Settings, url: Secret) -> RabbitOptions:
    return RabbitOptions(
        url=url.reveal(),
        outbox_id="check",
        queue=settings.queue,
        dead_letter_queue=settings.dead_letter_queue,
        connect=_SECONDS,
    )


async def _queues(connection: AbstractConnection, settings: Settings, options: RabbitOptions) -> AsyncIterator[Finding]:
    for queue in (settings.queue, settings.dead_letter_queue):
        yield await _queue(connection, queue, settings, options)


async def _queue(connection: AbstractConnection, name: str, settings: Settings, options: RabbitOptions) -> Finding:
    try:
        channel = await asyncio.wait_for(connection.channel(), _SECONDS)
        queue = await channel.declare_queue(name, passive=True, timeout=_SECONDS)
    except ChannelNotFoundEntity:
        if settings.queue_declare == "auto":
            return Finding(Mark.OK, "rabbitmq", f"the queue {name} does not exist yet; `emailhub serve` makes it")
        step = "create it, or set EMAILHUB_QUEUE_DECLARE=auto"
        return Finding(Mark.WARN, "rabbitmq", f"the queue {name} does not exist", step)
    except _TROUBLE as error:
        return Finding(Mark.FAIL, "rabbitmq", f"the queue {name}: {explain(error, options).text}", "grant the right")
    counts = queue.declaration_result
    detail = f"the queue {name} has {counts.message_count} messages and {counts.consumer_count} consumers"
    return Finding(Mark.OK, "rabbitmq", detail)
