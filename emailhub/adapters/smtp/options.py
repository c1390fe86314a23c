"""Where the SMTP server is and how to talk to it."""

from __future__ import annotations

import re
import ssl
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

IMPLICIT_TLS_PORT = 465
_NAME = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


class TlsMode(StrEnum):
    """When the connection is encrypted.

    IMPLICIT  from the first byte (usual on port 465).
    STARTTLS  after EHLO; a server that does not offer it gets no mail.
    NONE      never; no credentials then.
    AUTO      IMPLICIT on port 465; else STARTTLS where there are credentials; else encrypted if the server offers it.
    """

    AUTO = "auto"
    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds until an unanswered step is given up; each bounds a whole reply, however slowly it drips in.

    `connect` covers name resolution, and TCP over all addresses; `greeting` the TLS handshake on port 465, then again
    the greeting; `command` EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, and each 64 KiB of the body; `final` the reply to
    the dot (RFC 5321 §4.5.3.2.6: at least 10 minutes, a shorter one makes duplicates); `reset` RSET, whose answer
    decides only whether the connection is kept. `min_rate` is in bytes per second: a server that takes a body slower
    than that for longer than `command` is given up.
    """

    connect: float = 30.0
    greeting: float = 60.0
    command: float = 60.0
    final: float = 600.0
    reset: float = 10.0
    min_rate: float = 500.0


class Tokens(Protocol):
    """Access tokens for a login, kept and renewed by whoever gives them."""

    async def __call__(self) -> str:
        """A token that is good now. Raises TokenFailed."""
        ...

    def drop(self, token: str) -> None:
        """The server refused `token`: give another one next time."""
        ...

    async def close(self) -> None: ...


class SmtpOptions(Struct, frozen=True, kw_only=True):
    """One SMTP account. `user` and `password` come together or not at all; `ca` is a file of trusted certificates.

    With `ca` only its certificates are trusted, without it the system's. `local_hostname` is our name in EHLO; without
    one the machine's if it has a dot, else the address literal of our end of the connection (RFC 5321 §4.1.3).
    `idle_for` and `max_age` are seconds. `pipelining` and `chunking` say whether PIPELINING (RFC 2920) and CHUNKING
    (RFC 3030) are used where the server offers them. `token` gives a bearer token for `user` (XOAUTH2) and stands in
    for the password.
    """

    host: str
    port: int = 587
    user: str = ""
    password: str = ""
    tls: TlsMode = TlsMode.AUTO
    ca: str | None = None
    local_hostname: str | None = None
    connections: int = 20
    messages_per_connection: int = 100
    max_age: float = 300.0
    idle_for: float = 30.0
    pipelining: bool = True
    chunking: bool = True
    token: Tokens | None = None
    login_pause: float = 60.0
    timeouts: Timeouts = Timeouts()

    def __post_init__(self) -> None:
        if self.token is not None and (self.password or not self.user):
            raise ValueError("an SMTP token needs a user and stands in for the password: set both, and no password")
        if self.token is None and bool(self.user) != bool(self.password):
            raise ValueError("SMTP user and password must be set together")
        if self.user and self.tls is TlsMode.NONE:
            raise ValueError("an SMTP login is never sent unencrypted: set TLS to auto, implicit or starttls")
        if self.local_hostname is not None and not _NAME.fullmatch(self.local_hostname):
            raise ValueError(
                f"the name for EHLO must be a host name or an address literal, not {self.local_hostname!r}"
            )
        if self.timeouts.min_rate <= 0:
            raise ValueError("the least rate of an SMTP body must be above 0 bytes a second")
        if self.connections < 1 or self.messages_per_connection < 1:
            raise ValueError("SMTP connections and messages per connection must be at least 1")

    def __repr__(self) -> str:
        return f"SmtpOptions({self.host}:{self.port}, tls={self.tls.value}, login={'yes' if self.user else 'no'})"

    @property
    def implicit(self) -> bool:
        """True when TLS starts with the first byte."""
        return self.tls is TlsMode.IMPLICIT or (self.tls is TlsMode.AUTO and self.port == IMPLICIT_TLS_PORT)

    @property
    def tls_required(self) -> bool:
        """True when nothing may be sent over an unencrypted connection."""
        return self.implicit or self.tls is TlsMode.STARTTLS or bool(self.user)

    def tls_context(self) -> ssl.SSLContext:
        """The context all connections share (building one takes 20 ms). Raises OSError when `ca` cannot be read.

        Where plain text would do as well (auto without credentials or `ca`), an encrypted connection to a server with a
        home-made certificate is still better than none, so there nothing is verified.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if not self.tls_required and self.ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
