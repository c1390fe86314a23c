"""Every setting, declared once: type, default and meaning. README and `emailhub config` are made from this."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from emailhub.settings import kinds
from emailhub.settings.kinds import Kind, Network
from emailhub.settings.secret import Secret, SecretLink, SecretUrl

CAPTURE_SENDER = "emailhub@localhost"

Tls = Literal["implicit", "starttls", "opportunistic", "none"]


@dataclass(frozen=True, slots=True)
class Doc:
    """What is written beside a setting's declaration. `unset` says what happens without it, when it has no default."""

    section: str
    kind: Kind
    meaning: str
    unset: str = ""


_mail = partial(Doc, "Sending")
_smtp = partial(Doc, "SMTP connections")
_patience = partial(Doc, "Retries, breaker and expiry")
_limit = partial(Doc, "Limits")
_rabbit = partial(Doc, "RabbitMQ")
_web = partial(Doc, "Web")
_access = partial(Doc, "Who may come in")
_store = partial(Doc, "Storage and process")
_watch = partial(Doc, "Logs and alerts")
_client = partial(Doc, "Command line")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective settings. Durations are seconds, sizes bytes. Secrets print as `***`; `reveal()` opens them."""

    smtp_host: Annotated[
        str | None, _mail(kinds.HOST, "The SMTP server that carries the mail.", "mail is captured, not sent")
    ] = None
    smtp_port: Annotated[
        int, _mail(kinds.SMTP_PORT, "Its port. 465 speaks TLS from the first byte, and is the default for that.")
    ] = 587
    smtp_user: Annotated[str | None, _mail(kinds.TEXT, "Login name at the SMTP server.", "no login")] = None
    smtp_pass: Annotated[Secret | None, _mail(kinds.SECRET, "Login password at the SMTP server.", "no login")] = None
    email_from: Annotated[
        str | None,
        _mail(kinds.SENDER, "The sender of messages that name none.", "`SMTP_USER`, when that is an address"),
    ] = None
    use_real_smtp: Annotated[
        bool | None,
        _mail(
            kinds.BOOLEAN, "`false` captures all mail, `true` insists on `SMTP_HOST`.", "real when `SMTP_HOST` is set"
        ),
    ] = None

    smtp_tls: Annotated[
        Literal["auto", "implicit", "starttls", "none"],
        _smtp(
            kinds.choice("auto", "implicit", "starttls", "none"),
            "`auto`: implicit on port 465, otherwise STARTTLS, which is required as soon as a login is set.",
        ),
    ] = "auto"
    smtp_ca: Annotated[
        Path | None,
        _smtp(kinds.path("file", "/etc/ssl/private-ca.pem"), "Certificates (PEM) to trust.", "the system's"),
    ] = None
    smtp_source: Annotated[
        str | None, _smtp(kinds.HOST, "The name emailhub gives itself in EHLO.", "this machine's name")
    ] = None
    smtp_connections: Annotated[
        int, _smtp(kinds.integer(1, 1000, 20), "Most connections to the SMTP server at a time.")
    ] = 20
    smtp_messages_per_connection: Annotated[
        int, _smtp(kinds.integer(1, None, 100), "Messages after which a connection is replaced.")
    ] = 100
    smtp_connection_age: Annotated[float, _smtp(kinds.duration(1, "5m"), "Age at which a connection is replaced.")] = (
        300.0
    )
    smtp_idle: Annotated[float, _smtp(kinds.duration(0, "30s"), "How long an unused connection is kept.")] = 30.0
    smtp_connect_timeout: Annotated[float, _smtp(kinds.duration(0.1, "30s"), "Longest wait for a connection.")] = 30.0
    smtp_greeting_timeout: Annotated[
        float, _smtp(kinds.duration(0.1, "60s"), "Longest wait for the server's greeting.")
    ] = 60.0
    smtp_command_timeout: Annotated[
        float, _smtp(kinds.duration(0.1, "60s"), "Longest wait for the reply to EHLO, MAIL, RCPT or DATA.")
    ] = 60.0
    smtp_final_timeout: Annotated[
        float,
        _smtp(
            kinds.duration(0.1, "600s"),
            "Longest wait for the reply after the body. A shorter one makes duplicates more likely.",
        ),
    ] = 600.0

    max_retry_attempts: Annotated[
        int | None,
        _patience(
            kinds.integer(1, 1000, 5),
            "Attempts in all before a message fails.",
            "2, 4, 8, 16 s, 1, 5, 15, 30, 60 min, then hourly until it expires",
        ),
    ] = None
    smtp_retry_delay_seconds: Annotated[
        float,
        _patience(
            kinds.seconds(0.01, "2"), "Wait before the second attempt, doubled each time; with `MAX_RETRY_ATTEMPTS`."
        ),
    ] = 2.0
    breaker_failures: Annotated[
        int, _patience(kinds.integer(1, 1000, 5), "Relay failures in a row that open the breaker.")
    ] = 5
    breaker_open_for: Annotated[
        float, _patience(kinds.duration(0.1, "30s"), "Wait before the first probe of an open breaker, then doubled.")
    ] = 30.0
    breaker_open_max: Annotated[float, _patience(kinds.duration(0.1, "10m"), "Longest wait between probes.")] = 600.0
    expire_after: Annotated[
        float, _patience(kinds.duration(1, "24h"), "Age at which a message that could not be sent fails.")
    ] = 86400.0
    unknown_wait: Annotated[
        float,
        _patience(kinds.duration(0, "5m"), "Wait before a message is sent again whose last outcome is unknown."),
    ] = 300.0
    on_unknown: Annotated[
        Literal["retry", "hold", "fail"],
        _patience(
            kinds.choice("retry", "hold", "fail"),
            "When the SMTP server may or may not have taken a message: send again, ask a human, or give up.",
        ),
    ] = "retry"

    max_waiting: Annotated[
        int, _limit(kinds.integer(1, None, 250000), "Unfinished messages above which new ones are turned away.")
    ] = 250_000
    max_recipients: Annotated[
        int, _limit(kinds.integer(1, 1000, 50), "Most addresses of a message in to, cc and bcc together.")
    ] = 50
    max_message_size: Annotated[
        int, _limit(kinds.size(1024, "10MiB"), "Largest message, in bytes as it goes to the SMTP server.")
    ] = 10 * 2**20
    max_subject: Annotated[int, _limit(kinds.integer(1, 10000, 998), "Longest subject in characters.")] = 998
    disk_reserve: Annotated[
        int, _limit(kinds.size(0, "64MiB"), "Free disk space below which new messages are turned away.")
    ] = 64 * 2**20

    rabbitmq_url: Annotated[
        SecretUrl | None,
        _rabbit(kinds.AMQP, "Where RabbitMQ is; `amqps://` for TLS.", "no RabbitMQ; the outbox is the queue"),
    ] = None
    queue: Annotated[str, _rabbit(kinds.TEXT, "The queue to take requests from.")] = "email.queue"
    queue_declare: Annotated[
        Literal["auto", "passive", "never"],
        _rabbit(
            kinds.choice("auto", "passive", "never"),
            "`auto` creates the queue when it is absent, `passive` waits for it, `never` does not ask.",
        ),
    ] = "auto"
    queue_arguments: Annotated[
        dict[str, Any], _rabbit(kinds.TABLE, "Arguments of the queue when emailhub creates it.")
    ] = {}
    queue_exchange: Annotated[str | None, _rabbit(kinds.TEXT, "An exchange to bind the queue to.", "no binding")] = None
    queue_exchange_type: Annotated[
        Literal["direct", "topic", "fanout", "headers"],
        _rabbit(kinds.choice("direct", "topic", "fanout", "headers"), "The type of that exchange."),
    ] = "direct"
    queue_exchange_durable: Annotated[bool, _rabbit(kinds.BOOLEAN, "Whether that exchange is durable.")] = True
    queue_routing_keys: Annotated[
        tuple[str, ...], _rabbit(kinds.words("email,email.high"), "Routing keys to bind with.", "the queue's name")
    ] = ()
    queue_prefetch: Annotated[
        int, _rabbit(kinds.integer(1, 65535, 200), "Most deliveries taken and not yet acknowledged.")
    ] = 200
    dead_letter_queue: Annotated[str, _rabbit(kinds.TEXT, "Where messages that failed for good are published.")] = (
        "failed.queue"
    )
    dead_letter_exchange: Annotated[
        str, _rabbit(kinds.TEXT, "The exchange to publish them to.", "the default exchange")
    ] = ""
    redis_url: Annotated[
        SecretUrl | None, _rabbit(kinds.REDIS, "For several replicas. One replica does not use it.", "not used")
    ] = None

    host: Annotated[str, _web(kinds.LISTEN, "The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _web(kinds.PORT, "The port of API and dashboard.")] = 8000
    public_url: Annotated[
        str | None, _web(kinds.SITE, "How people reach emailhub, with a path prefix if any.", "as the request says")
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        _web(kinds.HOSTS, "Host names requests may ask for.", "those of `EMAILHUB_PUBLIC_URL` and `EMAILHUB_HOST`"),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        _web(kinds.NETWORKS, "Networks of reverse proxies whose `X-Forwarded-*` headers count.", "none"),
    ] = ()
    request_timeout: Annotated[
        float, _web(kinds.duration(0.1, "10s"), "Longest wait for the headers of a request.")
    ] = 10.0
    sse_clients: Annotated[int, _web(kinds.integer(0, 10000, 50), "Most live pages at a time.")] = 50
    templates_dir: Annotated[
        Path | None, _web(kinds.path("folder", "/srv/templates"), "Your own page templates.", "the built-in ones")
    ] = None
    static_dir: Annotated[
        Path | None, _web(kinds.path("folder", "/srv/static"), "Your own static files.", "the built-in ones")
    ] = None

    api_keys: Annotated[
        tuple[Secret, ...],
        _access(
            kinds.KEYS, "Keys for the API, sent as `Authorization: Bearer …`.", "API open on loopback, closed elsewhere"
        ),
    ] = ()
    admin_password: Annotated[
        Secret | None,
        _access(kinds.SECRET, "Password of the dashboard.", "dashboard open on loopback, closed elsewhere"),
    ] = None
    auth: Annotated[
        Literal["keys", "none"],
        _access(kinds.choice("keys", "none"), "`none` opens everything to everybody who can connect."),
    ] = "keys"
    open_send: Annotated[
        tuple[Network, ...],
        _access(kinds.NETWORKS, "Networks that may use `/send_email/` and `/status/` without a key.", "none"),
    ] = ()

    database: Annotated[Path, _store(kinds.path("new file", "/data/emailhub.db"), "The SQLite file of the outbox.")] = (
        Path("emailhub.db")
    )
    keep_bodies: Annotated[
        float, _store(kinds.duration(0, "7d"), "How long the content of finished messages is kept.")
    ] = 7 * 86400.0
    keep_messages: Annotated[
        float, _store(kinds.duration(0, "90d"), "How long finished messages stay in the history.")
    ] = 90 * 86400.0
    keep_idempotency: Annotated[
        float,
        _store(kinds.duration(72 * 3600, "72h"), "How long after its end a message still answers for its key."),
    ] = 72 * 3600.0
    shutdown_grace: Annotated[
        float, _store(kinds.duration(0, "25s"), "How long a stop waits for transactions that could deliver.")
    ] = 25.0
    config: Annotated[
        Path | None,
        _store(kinds.path("file", "/etc/emailhub.toml"), "A TOML file with settings.", "`./emailhub.toml`, if there"),
    ] = None

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _watch(kinds.choice("debug", "info", "warning", "error"), "The least important lines to write."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        _watch(kinds.choice("auto", "console", "json"), "`auto`: console on a terminal, JSON otherwise."),
    ] = "auto"
    log_addresses: Annotated[
        Literal["full", "masked"],
        _watch(kinds.choice("full", "masked"), "`masked` logs `a***@example.org` instead of addresses."),
    ] = "full"
    alert_url: Annotated[
        SecretLink | None, _watch(kinds.WEBHOOK, "Gets a JSON POST when something needs a human.", "no alerts")
    ] = None
    alert_waiting: Annotated[
        float, _watch(kinds.duration(1, "15m"), "Age of the oldest waiting message that raises an alert.")
    ] = 900.0

    url: Annotated[
        str | None,
        _client(kinds.SITE, "The running hub the commands talk to.", "`EMAILHUB_HOST` and `EMAILHUB_PORT`"),
    ] = None
    api_key: Annotated[
        Secret | None,
        _client(kinds.KEY, "The key the commands show to the hub.", "the first of `EMAILHUB_API_KEYS`"),
    ] = None

    @property
    def capture(self) -> bool:
        """Whether mail is only stored and shown, never sent."""
        return self.use_real_smtp is False or self.smtp_host is None

    @property
    def sender(self) -> str:
        """The sender of messages that name none: `EMAIL_FROM`, else an `SMTP_USER` that is an address."""
        if self.email_from:
            return self.email_from
        if self.smtp_user and kinds.is_address(self.smtp_user):
            return self.smtp_user
        return CAPTURE_SENDER

    @property
    def smtp_security(self) -> Tls:
        """How a connection to the SMTP server is protected; `opportunistic` takes STARTTLS when it is offered."""
        if self.smtp_tls != "auto":
            return self.smtp_tls
        if self.smtp_port == 465:
            return "implicit"
        return "starttls" if self.smtp_user else "opportunistic"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def hub_url(self) -> str:
        """Where the commands find the running hub, without a slash at the end."""
        if self.url:
            return self.url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def secrets(self) -> tuple[str, ...]:
        """Every secret text that is set, also the passwords inside URLs, for the logs to hide."""
        values = [getattr(self, attribute) for attribute in self.__struct_fields__]
        items = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
        return tuple(text for item in items if isinstance(item, Secret) for text in item.texts())
