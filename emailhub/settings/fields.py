"""Every setting, declared once: type, default and meaning. README and `emailhub config` are made from this."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from emailhub.core.limits import Rate
from emailhub.settings import kinds, mail_kinds
from emailhub.settings.doc import Doc
from emailhub.settings.kinds import Network
from emailhub.settings.mail import MailSettings
from emailhub.settings.secret import Secret, SecretLink, SecretUrl
from emailhub.settings.tables import DEFAULT_RELAY, DestinationSettings, DkimSettings, OAuth2Settings, RelaySettings

CAPTURE_SENDER = "emailhub@localhost"

_rabbit = partial(Doc, "RabbitMQ")
_web = partial(Doc, "Web")
_access = partial(Doc, "Who may come in")
_store = partial(Doc, "Storage and process")
_watch = partial(Doc, "Logs and alerts")
_client = partial(Doc, "Command line")


class Settings(MailSettings, frozen=True, kw_only=True):
    """The effective settings. Durations are seconds, sizes bytes. Secrets print as `***`; `reveal()` opens them."""

    rabbitmq_url: Annotated[
        SecretUrl | None,
        _rabbit(
            kinds.AMQP,
            "Where RabbitMQ is; `amqps://` for TLS, `?cafile=/ca.pem` to trust a CA.",
            "no RabbitMQ; the outbox is the queue",
        ),
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
    ] = msgspec.field(default_factory=dict)
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
    queue_from_domains: Annotated[
        tuple[str, ...],
        _rabbit(
            mail_kinds.DOMAINS, "Domains that requests of the queue may send from; others are dead letters.", "any"
        ),
    ] = ()
    queue_rate: Annotated[
        tuple[Rate, ...],
        _rabbit(mail_kinds.RATES, "Most requests taken from the queue in any such span; the rest waits.", "no limit"),
    ] = ()
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
        _access(
            kinds.SECRET,
            "Password of the user `admin` of the dashboard, or an argon2id hash of it.",
            "dashboard open on loopback, closed elsewhere",
        ),
    ] = None
    session_idle: Annotated[
        float, _access(kinds.duration(60, "30m"), "How long a log-in to the dashboard lasts without being used.")
    ] = 1800.0
    session_age: Annotated[
        float, _access(kinds.duration(60, "12h"), "How long a log-in to the dashboard lasts at most.")
    ] = 43200.0
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
    keep_audit: Annotated[
        float, _store(kinds.duration(0, "365d"), "How long the audit log remembers who did what.")
    ] = 365 * 86400.0
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

    listed_relays: tuple[RelaySettings, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    listed_dkim: tuple[DkimSettings, ...] = ()

    @property
    def accounts(self) -> tuple[RelaySettings, ...]:
        """Every SMTP account that is set up: that of `SMTP_HOST`, named `default`, then those of `[[relay]]` tables."""
        return (*((self._default_relay(),) if self.smtp_host else ()), *self.listed_relays)

    @property
    def capture(self) -> bool:
        """Whether mail is only stored and shown, never sent."""
        return self.use_real_smtp is False or not (self.smtp_host or self.listed_relays)

    @property
    def relays(self) -> tuple[RelaySettings, ...]:
        """The SMTP accounts mail is handed to; none while capturing."""
        return () if self.capture else self.accounts

    @property
    def dkim(self) -> tuple[DkimSettings, ...]:
        """The keys to sign with: that of `EMAILHUB_DKIM_…`, then those of `[[dkim]]` tables."""
        if self.dkim_domain and self.dkim_selector and self.dkim_key:
            own = DkimSettings(domain=self.dkim_domain, selector=self.dkim_selector, key=self.dkim_key)
            return (own, *self.listed_dkim)
        return self.listed_dkim

    @property
    def sender(self) -> str:
        """The sender of messages that name none: `EMAIL_FROM`, else the first login that is an address."""
        return self.email_from or self.login_address or CAPTURE_SENDER

    @property
    def login_address(self) -> str | None:
        """The first login name that is an address, `SMTP_USER` before those of `[[relay]]` tables."""
        logins = (self.smtp_user, *(relay.user for relay in self.listed_relays))
        return next((user for user in logins if user and kinds.is_address(user)), None)

    @property
    def oauth2(self) -> OAuth2Settings | None:
        """How `SMTP_USER` gets its access tokens, when `EMAILHUB_OAUTH2_…` says so."""
        if self.oauth2_token_url is None or self.oauth2_client_id is None:
            return None
        return OAuth2Settings(
            token_url=self.oauth2_token_url,
            client_id=self.oauth2_client_id,
            client_secret=self.oauth2_client_secret,
            refresh_token=self.oauth2_refresh_token,
            scope=self.oauth2_scope or "",
            grant="refresh_token" if self.oauth2_refresh_token else "client_credentials",
        )

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
        return tuple(text for secret in _secrets_in(self) for text in secret.texts())

    def _default_relay(self) -> RelaySettings:
        assert self.smtp_host is not None
        return RelaySettings(
            name=DEFAULT_RELAY,
            host=self.smtp_host,
            port=self.smtp_port,
            tls=self.smtp_tls,
            ca=self.smtp_ca,
            user=self.smtp_user,
            password=self.smtp_pass,
            oauth2=self.oauth2,
            connections=self.smtp_connections,
            rate=self.smtp_rate,
            source=self.smtp_source,
            pipelining=self.smtp_pipelining,
            chunking=self.smtp_chunking,
            messages_per_connection=self.smtp_messages_per_connection,
            connection_age=self.smtp_connection_age,
            idle=self.smtp_idle,
        )


def _secrets_in(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _secrets_in(item)
    elif isinstance(value, msgspec.Struct):
        for attribute in value.__struct_fields__:
            yield from _secrets_in(getattr(value, attribute))
