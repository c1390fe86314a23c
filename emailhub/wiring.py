"""From settings to the options of each part."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from emailhub.adapters.capture import CaptureRelay
from emailhub.adapters.rabbit import RabbitOptions
from emailhub.adapters.smtp import SmtpOptions, SmtpRelay, Timeouts, TlsMode
from emailhub.core.address import parse_mailbox
from emailhub.core.backoff import Schedule
from emailhub.core.breaker import Rules
from emailhub.core.delivery import OnUnknown, Policy
from emailhub.core.message import Limits
from emailhub.engine.gate import Access, Gate
from emailhub.engine.intake import Defaults
from emailhub.engine.keeper import Keeping
from emailhub.engine.ports import Relay
from emailhub.settings import Settings
from emailhub.web.faces import WebOptions

DEFAULT_RELAY = "default"
CAPTURE_RELAY = "capture"
CAPTURE_CONNECTIONS = 50
ENCODED = 2
"""A body of n bytes of mail takes about this many times as much as JSON."""


def relays(settings: Settings) -> Iterator[Relay]:
    """The relays to run. Capture is always there: what was captured before must not wait for nobody."""
    if not settings.capture:
        yield SmtpRelay(smtp_options(settings), name=DEFAULT_RELAY)
    yield CaptureRelay(CAPTURE_RELAY, capacity=CAPTURE_CONNECTIONS)


def smtp_options(settings: Settings) -> SmtpOptions:
    return SmtpOptions(
        host=settings.smtp_host or "",
        port=settings.smtp_port,
        user=settings.smtp_user or "",
        password=settings.smtp_pass.reveal() if settings.smtp_pass else "",
        tls=TlsMode(settings.smtp_tls),
        ca=str(settings.smtp_ca) if settings.smtp_ca else None,
        local_hostname=settings.smtp_source,
        connections=settings.smtp_connections,
        messages_per_connection=settings.smtp_messages_per_connection,
        max_age=settings.smtp_connection_age,
        idle_for=settings.smtp_idle,
        timeouts=Timeouts(
            connect=settings.smtp_connect_timeout,
            greeting=settings.smtp_greeting_timeout,
            command=settings.smtp_command_timeout,
            final=settings.smtp_final_timeout,
        ),
    )


def rabbit_options(settings: Settings, outbox_id: str) -> RabbitOptions:
    """Only to be called when RABBITMQ_URL is set."""
    assert settings.rabbitmq_url is not None
    return RabbitOptions(
        url=settings.rabbitmq_url.reveal(),
        outbox_id=outbox_id,
        queue=settings.queue,
        declare=settings.queue_declare,
        arguments=settings.queue_arguments,
        exchange=settings.queue_exchange or "",
        exchange_type=settings.queue_exchange_type,
        exchange_durable=settings.queue_exchange_durable,
        routing_keys=settings.queue_routing_keys,
        prefetch=settings.queue_prefetch,
        dead_letter_queue=settings.dead_letter_queue,
        dead_letter_exchange=settings.dead_letter_exchange or "",
    )


def policy(settings: Settings) -> Policy:
    schedule = Schedule(settings.max_retry_attempts, settings.smtp_retry_delay_seconds)
    return Policy(schedule, unknown_wait=settings.unknown_wait)


def rules(settings: Settings) -> Rules:
    return Rules(
        failures=settings.breaker_failures, open_for=settings.breaker_open_for, open_max=settings.breaker_open_max
    )


def limits(settings: Settings) -> Limits:
    return Limits(settings.max_recipients, settings.max_message_size, settings.max_subject)


def defaults(settings: Settings) -> Defaults:
    return Defaults(
        sender=parse_mailbox(settings.sender, field="EMAIL_FROM", allow_local=True),
        relay=CAPTURE_RELAY if settings.capture else DEFAULT_RELAY,
        expire_after=settings.expire_after,
        on_unknown=OnUnknown(settings.on_unknown),
    )


def keeping(settings: Settings) -> Keeping:
    return Keeping(settings.keep_bodies, settings.keep_messages, settings.keep_idempotency)


def gate(settings: Settings) -> Gate:
    access = Access(
        listen=settings.host,
        auth=settings.auth != "none",
        admin_password=settings.admin_password.reveal() if settings.admin_password else None,
        api_keys=tuple(key.reveal() for key in settings.api_keys),
        open_send=settings.open_send,
        allowed_hosts=settings.allowed_hosts,
        public_url=settings.public_url,
        trusted_proxies=settings.trusted_proxies,
    )
    return Gate(access, lambda: secrets.token_urlsafe(32))


def web_options(settings: Settings) -> WebOptions:
    return WebOptions(
        public_url=settings.public_url,
        body_limit=settings.max_message_size * ENCODED + 1024 * 1024,
        templates_dir=settings.templates_dir,
        static_dir=settings.static_dir,
    )


def _smtp(settings: Settings) -> str:
    return f"{settings.smtp_host}:{settings.smtp_port}"


def greeting(settings: Settings, seconds: float) -> dict[str, object]:
    """What the first log line says."""
    return {
        "url": f"http://{settings.host}:{settings.port}",
        "relay": "capture: mail is stored, not sent" if settings.capture else _smtp(settings),
        "rabbitmq": settings.queue if settings.rabbitmq_url else "off",
        "database": str(settings.database),
        "seconds": round(seconds, 2),
    }
