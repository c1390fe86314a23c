"""What the TOML file lists in tables: `[[relay]]`, `[[destination]]` and `[[dkim]]`, each key declared once.

A key is an attribute of the same name; a secret may also be read from a file, named by the key with `_file`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import msgspec

from emailhub.core.limits import Rate
from emailhub.settings import kinds, mail_kinds
from emailhub.settings.doc import Doc
from emailhub.settings.secret import Secret

_relay = partial(Doc, "relay")
_oauth2 = partial(Doc, "relay.oauth2")
_destination = partial(Doc, "destination")
_dkim = partial(Doc, "dkim")

Tls = Literal["auto", "implicit", "starttls", "none"]
Security = Literal["implicit", "starttls", "opportunistic", "none"]
Grant = Literal["refresh_token", "client_credentials"]

TLS = kinds.choice("auto", "implicit", "starttls", "none")
GRANT = kinds.choice("refresh_token", "client_credentials")
TOKEN_URL = mail_kinds.TOKEN_URL

DEFAULT_RELAY = "default"
"""The name of the relay that SMTP_HOST sets up."""


class OAuth2Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to get the access token that stands in for a password (RFC 6749; XOAUTH2 at the SMTP server)."""

    token_url: Annotated[str, _oauth2(TOKEN_URL, "Where tokens are given out.", "needed")]
    client_id: Annotated[str, _oauth2(kinds.TEXT, "The id of your application.", "needed")]
    client_secret: Annotated[
        Secret | None, _oauth2(kinds.SECRET, "Its secret.", "none; `client_credentials` needs one")
    ] = None
    refresh_token: Annotated[
        Secret | None, _oauth2(kinds.SECRET, "What the mailbox's owner granted.", "none; `refresh_token` needs one")
    ] = None
    scope: Annotated[str, _oauth2(kinds.TEXT, "What is asked for.", "what was granted")] = ""
    grant: Annotated[
        Grant,
        _oauth2(
            GRANT,
            "`refresh_token` acts for one mailbox, `client_credentials` for the application itself.",
            "by whether there is a refresh token",
        ),
    ] = "refresh_token"


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """One SMTP account to hand mail to. Durations are seconds; `from_domains` empty: any sender's domain."""

    name: Annotated[str, _relay(mail_kinds.NAME, "What it is called everywhere.", "needed")]
    host: Annotated[str, _relay(kinds.HOST, "The SMTP server.", "needed")]
    port: Annotated[int, _relay(kinds.SMTP_PORT, 'Its port; 465 with `tls = "implicit"`.')] = 587
    tls: Annotated[Tls, _relay(TLS, "As `EMAILHUB_SMTP_TLS`.")] = "auto"
    ca: Annotated[
        mail_kinds.CaFile | None,
        _relay(mail_kinds.CA, "Certificates (PEM) to trust.", "the system's"),
    ] = None
    user: Annotated[str | None, _relay(kinds.TEXT, "Login name; with `oauth2` the mailbox.", "no login")] = None
    password: Annotated[Secret | None, _relay(kinds.SECRET, "Login password.", "no login")] = None
    oauth2: OAuth2Settings | None = None
    from_domains: Annotated[
        tuple[str, ...],
        _relay(mail_kinds.DOMAINS, "Domains of senders it may carry; `*.example.com` are the sub-domains.", "all"),
    ] = ()
    connections: Annotated[
        int, _relay(kinds.integer(1, 1000, 20), "Most connections at a time.", "`EMAILHUB_SMTP_CONNECTIONS`")
    ] = 20
    rate: Annotated[tuple[Rate, ...], _relay(mail_kinds.RATES, "Most recipients in any such span.", "no limit")] = ()
    priority: Annotated[int, _relay(kinds.integer(0, 1000, 0), "Relays with the lowest number are asked first.")] = 0
    weight: Annotated[
        int,
        _relay(
            kinds.integer(0, 1000, 1),
            "Its share of the mail among those of the same priority; `0`: only as a stand-in.",
        ),
    ] = 1
    drain: Annotated[bool, _relay(kinds.BOOLEAN, "`true`: it gets no new mail; what waits for it still goes out.")] = (
        False
    )
    source: Annotated[
        str | None, _relay(kinds.HOST, "The name emailhub gives itself in EHLO.", "`EMAILHUB_SMTP_SOURCE`")
    ] = None
    pipelining: Annotated[
        bool, _relay(kinds.BOOLEAN, "Send commands together where offered.", "`EMAILHUB_SMTP_PIPELINING`")
    ] = True
    chunking: Annotated[bool, _relay(kinds.BOOLEAN, "Use BDAT where offered.", "`EMAILHUB_SMTP_CHUNKING`")] = True
    messages_per_connection: Annotated[
        int,
        _relay(
            kinds.integer(1, None, 100),
            "Messages after which a connection is replaced.",
            "`EMAILHUB_SMTP_MESSAGES_PER_CONNECTION`",
        ),
    ] = 100
    connection_age: Annotated[
        float,
        _relay(kinds.duration(1, "5m"), "Age at which a connection is replaced.", "`EMAILHUB_SMTP_CONNECTION_AGE`"),
    ] = 300.0
    idle: Annotated[
        float, _relay(kinds.duration(0, "30s"), "How long an unused connection is kept.", "`EMAILHUB_SMTP_IDLE`")
    ] = 30.0

    @property
    def place(self) -> str:
        """`host:port`, for people."""
        return f"{self.host}:{self.port}"

    @property
    def security(self) -> Security:
        """How a connection is protected; `opportunistic` takes STARTTLS when it is offered."""
        if self.tls != "auto":
            return self.tls
        if self.port == 465:
            return "implicit"
        return "starttls" if self.user else "opportunistic"


class DestinationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipients' domain is spared: most `connections` at a time, and most recipients a span."""

    domain: Annotated[
        str,
        _destination(mail_kinds.PATTERN, "The domain of the recipients; `*.example.com`: its sub-domains.", "needed"),
    ]
    connections: Annotated[
        int | None, _destination(kinds.integer(1, 1000, 5), "Most messages to it under way at a time.", "no limit")
    ] = None
    rate: Annotated[
        tuple[Rate, ...], _destination(mail_kinds.RATES, "Most recipients in any such span.", "no limit")
    ] = ()


class DkimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The key mail from `domain` is signed with (RFC 6376). `key` is PEM: RSA of 2048 bits or more, or Ed25519."""

    domain: Annotated[str, _dkim(mail_kinds.DOMAIN, "The domain of the senders whose mail is signed.", "needed")]
    selector: Annotated[
        str, _dkim(mail_kinds.SELECTOR, "The public key is the TXT record at `selector._domainkey.domain`.", "needed")
    ]
    key: Annotated[Secret, _dkim(mail_kinds.PEM, "The private key (PEM); best as `key_file`.", "needed")]
