"""From settings to the options of each part."""

from __future__ import annotations

import platform
import random
import secrets
import sqlite3
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from emailhub import __version__, descriptors
from emailhub.adapters.capture import CaptureRelay
from emailhub.adapters.chaos import ChaosRelay
from emailhub.adapters.dkim import DkimKey, Signer
from emailhub.adapters.oauth import OAuthOptions, TokenSource
from emailhub.adapters.rabbit import RabbitOptions
from emailhub.adapters.rabbit.pace import held
from emailhub.adapters.smtp import SmtpOptions, SmtpRelay, Timeouts, TlsMode
from emailhub.adapters.sqlite.database import migrations
from emailhub.core.access import Kind, Principal, Scope
from emailhub.core.address import parse_mailbox
from emailhub.core.backoff import Schedule
from emailhub.core.breaker import Rules
from emailhub.core.delivery import OnUnknown, Policy
from emailhub.core.diversion import NO_RULES, Diversion
from emailhub.core.message import Limits
from emailhub.core.routing import Route
from emailhub.core.setup import About
from emailhub.core.turns import Spare
from emailhub.engine.fleet import RelaySpec
from emailhub.engine.gate import Access, Gate
from emailhub.engine.intake import Defaults
from emailhub.engine.keeper import Keeping
from emailhub.engine.keyring import Keyring
from emailhub.engine.sessions import Sessions
from emailhub.engine.users import Users
from emailhub.settings import OAuth2Settings, RelaySettings, Settings
from emailhub.web.faces import WebOptions
from emailhub.web.server import CONNECTIONS

CAPTURE_RELAY = "capture"
CHAOS_RELAY = "chaos"
CAPTURE_CONNECTIONS = 50
ENCODED = 2
"""A body of n bytes of mail takes about this many times as much as JSON."""


def relays(settings: Settings, draw: Callable[[], float]) -> list[RelaySpec]:
    """The relays to run; `draw()` gives numbers in [0, 1). Capture is always there: what was captured before must not
    wait for nobody."""
    found = [_spec(relay, settings) for relay in settings.relays]
    if settings.capture and settings.chaos:
        chaos = partial(ChaosRelay, settings.chaos, random=draw, name=CHAOS_RELAY, capacity=CAPTURE_CONNECTIONS)
        found.append(RelaySpec(route=Route(name=CHAOS_RELAY), build=chaos, sends=False))
    capture = partial(CaptureRelay, CAPTURE_RELAY, capacity=CAPTURE_CONNECTIONS)
    return [*found, RelaySpec(route=Route(name=CAPTURE_RELAY), build=capture, sends=False)]


def _spec(relay: RelaySettings, settings: Settings) -> RelaySpec:
    timeouts = _timeouts(settings)
    return RelaySpec(
        route=Route(
            name=relay.name,
            domains=relay.from_domains,
            priority=relay.priority,
            weight=relay.weight,
            draining=relay.drain,
        ),
        build=lambda: SmtpRelay(smtp_options(relay, settings), name=relay.name),
        # What routing and the limits are about needs no new connections.
        options=(replace(relay, from_domains=(), priority=0, weight=1, drain=False, rate=()), timeouts),
        rates=relay.rate,
        host=relay.place,
    )


def spares(settings: Settings) -> list[Spare]:
    """What the domains of recipients are spared."""
    return [Spare(domain=one.domain, connections=one.connections, rates=one.rate) for one in settings.destinations]


def smtp_options(relay: RelaySettings, settings: Settings) -> SmtpOptions:
    """How to talk to `relay`; the deadlines are those of all relays."""
    return SmtpOptions(
        host=relay.host,
        port=relay.port,
        user=relay.user or "",
        password=relay.password.reveal() if relay.password else "",
        tls=TlsMode(relay.tls),
        ca=str(relay.ca.path) if relay.ca else None,
        local_hostname=relay.source,
        connections=relay.connections,
        messages_per_connection=relay.messages_per_connection,
        max_age=relay.connection_age,
        idle_for=relay.idle,
        pipelining=relay.pipelining,
        chunking=relay.chunking,
        token=_tokens(relay.oauth2) if relay.oauth2 else None,
        timeouts=_timeouts(settings),
    )


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.smtp_connect_timeout,
        greeting=settings.smtp_greeting_timeout,
        command=settings.smtp_command_timeout,
        final=settings.smtp_final_timeout,
        min_rate=settings.smtp_min_rate,
    )


def _tokens(oauth2: OAuth2Settings) -> TokenSource:
    options = OAuthOptions(
        token_url=oauth2.token_url,
        client_id=oauth2.client_id,
        client_secret=oauth2.client_secret.reveal() if oauth2.client_secret else "",
        refresh_token=oauth2.refresh_token.reveal() if oauth2.refresh_token else "",
        scope=oauth2.scope,
        grant=oauth2.grant,
    )
    return TokenSource(options, jitter=partial(random.uniform, -1.0, 1.0))


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
        prefetch=held(settings.queue_prefetch, settings.queue_rate),
        rates=settings.queue_rate,
        dead_letter_queue=settings.dead_letter_queue,
        dead_letter_exchange=settings.dead_letter_exchange or "",
    )


def queue_principal(settings: Settings) -> Principal:
    """Whoever may write to the queue: RabbitMQ decides who that is, the settings what they may send."""
    return Principal(
        kind=Kind.QUEUE,
        name="the queue",
        id="queue",
        scopes=frozenset({Scope.SEND}),
        from_domains=settings.queue_from_domains,
    )


def diversion(settings: Settings) -> Diversion:
    """Who gets mail. While capturing nobody does, so no rule is asked: everything stays together."""
    if settings.capture:
        return NO_RULES
    return Diversion(settings.divert_to, settings.allow_recipients)


def signer(settings: Settings, now: Callable[[], float]) -> Signer | None:
    """What signs accepted mail; None without a key. Raises BadKey."""
    keys = [DkimKey(key.domain, key.selector, key.key.reveal()) for key in settings.dkim]
    return Signer(keys, now=now) if keys else None


def policy(settings: Settings) -> Policy:
    schedule = Schedule(settings.max_retry_attempts, settings.smtp_retry_delay_seconds)
    return Policy(schedule, unknown_wait=settings.unknown_wait)


def rules(settings: Settings) -> Rules:
    return Rules(
        failures=settings.breaker_failures, open_for=settings.breaker_open_for, open_max=settings.breaker_open_max
    )


def limits(settings: Settings) -> Limits:
    return Limits(settings.max_recipients, settings.max_message_size, settings.max_subject)


def first_relay(settings: Settings) -> str:
    """Where new mail goes when nothing else says so."""
    if settings.capture:
        return CHAOS_RELAY if settings.chaos else CAPTURE_RELAY
    return settings.relays[0].name


def defaults(settings: Settings) -> Defaults:
    return Defaults(
        sender=parse_mailbox(settings.sender, field="EMAIL_FROM", allow_local=True),
        relay=first_relay(settings),
        expire_after=settings.expire_after,
        on_unknown=OnUnknown(settings.on_unknown),
    )


def keeping(settings: Settings) -> Keeping:
    kept = settings.keep_bodies, settings.keep_messages, settings.keep_idempotency, settings.keep_audit
    return Keeping(*kept)


def admin(settings: Settings) -> str | None:
    return settings.admin_password.reveal() if settings.admin_password else None


def sessions(settings: Settings) -> Sessions:
    return Sessions(lambda: secrets.token_urlsafe(32), idle=settings.session_idle, absolute=settings.session_age)


def gate(settings: Settings, keyring: Keyring, users: Users) -> Gate:
    access = Access(
        listen=settings.host,
        auth=settings.auth != "none",
        admin_password=admin(settings),
        api_keys=tuple(key.reveal() for key in settings.api_keys),
        open_send=settings.open_send,
        allowed_hosts=settings.allowed_hosts,
        public_url=settings.public_url,
        trusted_proxies=settings.trusted_proxies,
    )
    return Gate(access, people=users, keyring=keyring)


def web_options(settings: Settings) -> WebOptions:
    return WebOptions(
        public_url=settings.public_url,
        body_limit=settings.max_message_size * ENCODED + 1024 * 1024,
        body_budget=settings.body_budget,
        api_rate=settings.api_rate,
        templates_dir=settings.templates_dir,
        static_dir=settings.static_dir,
    )


def about(started_at: float) -> About:
    """The program, and what it stands on."""
    return About(
        version=__version__,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        schema=migrations()[-1][0],
        started_at=started_at,
    )


def callers(settings: Settings) -> int:
    """How many connections the HTTP server may have open."""
    return descriptors.for_callers(CONNECTIONS, relays=sum(relay.connections for relay in settings.relays))


def greeting(settings: Settings, seconds: float) -> dict[str, object]:
    """What the first log line says."""
    return {
        "url": f"http://{settings.host}:{settings.port}",
        "relay": _sending(settings) or "capture: mail is stored, not sent",
        "rabbitmq": settings.queue if settings.rabbitmq_url else "off",
        "database": str(settings.database),
        "seconds": round(seconds, 2),
    }


def _sending(settings: Settings) -> str:
    return ", ".join(f"{name} at {place}" for name, place in ((relay.name, relay.place) for relay in settings.relays))
