"""Faults while a session opens: none of them is the message's, none costs an attempt, none sends a secret in clear."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import trustme

from emailhub.adapters.smtp import TlsMode
from emailhub.adapters.smtp.dial import Address, Dialer
from tests.fault_matrix.matrix import Cell, Expect, Row, Scene, sent, trouble
from tests.support.smtp_relays import Authority
from tests.support.smtp_server import EXTENSIONS, SILENCE, _Connection

USER = {"user": "hub", "password": "s3cret"}


def at(step: str, reply: str | bytes | None = None, **how: Any) -> Callable[[Scene], None]:
    """A server that answers so at `step`."""
    return lambda scene: scene.line.server.on(step, reply, **how) and None


def mute(step: str, **how: Any) -> Callable[[Scene], None]:
    """A server that says nothing any more once it is at `step`."""
    return lambda scene: scene.line.server.on(step, hold=asyncio.Event(), **how) and None


def refused(scene: Scene) -> Any:
    return scene.line.refuse()


def swallowed(scene: Scene) -> Any:
    return scene.line.swallow()


def tls(authority: Authority) -> dict[str, Any]:
    return {"tls": "starttls", "context": authority.context()}


def login(authority: Authority) -> dict[str, Any]:
    return {**tls(authority), "users": {"hub": "s3cret"}}


def trusting(authority: Authority) -> dict[str, Any]:
    return {"tls": TlsMode.STARTTLS, "ca": authority.file}


def as_user(authority: Authority) -> dict[str, Any]:
    return {"ca": authority.file, **USER}


def showing(cert: Callable[[Authority], trustme.LeafCert]) -> Callable[[Scene], None]:
    """A server that shows this certificate from now on."""

    def fault(scene: Scene) -> None:
        scene.line.server.context = scene.authority.context(cert(scene.authority))

    return fault


def honest(scene: Scene) -> None:
    scene.line.server.context = scene.authority.context()


def expired(authority: Authority) -> trustme.LeafCert:
    return authority.ca.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))


def of_another(authority: Authority) -> trustme.LeafCert:
    return authority.ca.issue_cert("elsewhere.test")


def home_made(_: Authority) -> trustme.LeafCert:
    return trustme.CA().issue_cert("127.0.0.1")


def set_(name: str, value: Any) -> Callable[[Scene], None]:
    """A server whose attribute `name` is `value` from now on."""
    return lambda scene: setattr(scene.line.server, name, value)


def resolving(*answers: str | OSError | None) -> Callable[[Scene], None]:
    """A resolver that gives these addresses, raises this error, or (None) takes minutes to."""

    def fault(scene: Scene) -> None:
        async def resolve(self: Dialer) -> list[Address]:
            found: list[Address] = []
            for answer in answers:
                if answer is None:
                    await asyncio.sleep(120.0)
                    raise NO_DNS
                if isinstance(answer, OSError):
                    raise answer
                found.append((socket.AF_INET, socket.SOCK_STREAM, 6, (answer, scene.line.server.port)))
            return found

        scene.patch.setattr(Dialer, "_resolve", resolve)

    return fault


def deaf(scene: Scene) -> None:
    """A server that announces TLS and says no more."""

    def upgrade(self: _Connection) -> None:
        self.flush()
        self.blocked = True

    scene.patch.setattr(_Connection, "upgrade", upgrade)


NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_DNS = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
found = resolving("127.0.0.1")


def opened_breaker(cell: Cell) -> Expect:
    return trouble(cell)._replace(breaker="opened")


def only_when_fresh(cell: Cell) -> Expect:
    """The address it had before serves for a kept relay."""
    return sent(cell) if cell.pooled else trouble(cell)


def no_session_without_tls(scene: Scene) -> None:
    assert not any(command.startswith(("AUTH", "MAIL")) for command in scene.line.commands())


ROWS = (
    Row("a connection that is refused", refused, trouble, opening=True),
    Row("a connection that is swallowed", swallowed, trouble, opening=True),
    Row("a greeting that never comes", at("CONNECT", SILENCE), trouble, opening=True),
    Row("a greeting that drips a byte a minute", at("CONNECT", "220 slow", drip=59.0), trouble, opening=True),
    Row("a connection closed instead of a greeting", at("CONNECT", SILENCE, close="fin"), trouble, opening=True),
    Row("a greeting that refuses for good", at("CONNECT", "554 5.3.2 no service", close="fin"), trouble, opening=True),
    Row("a greeting that refuses for now", at("CONNECT", "421 4.3.2 busy", close="fin"), trouble, opening=True),
    Row("a greeting of another protocol", at("CONNECT", b"HTTP/1.1 400 Bad Request\r\n\r\n"), trouble, opening=True),
    Row("a greeting without end", at("CONNECT", b"220-" + b"x" * 200_000), trouble, opening=True),
    Row("EHLO that is not known", at("EHLO", "502 5.5.1 what?"), sent, opening=True),
    Row("EHLO that is refused for now", at("EHLO", "421 4.3.2 going down", close="fin"), trouble, opening=True),
    Row("EHLO that is not answered", at("EHLO", SILENCE), trouble, opening=True),
    Row(
        "STARTTLS that is not offered any more", set_("tls", ""), trouble, opening=True, server=tls, options=trusting,
        heal=set_("tls", "starttls"), check=no_session_without_tls,
    ),
    Row(
        "a login over a connection whose STARTTLS was stripped", set_("tls", ""), trouble, opening=True, server=login,
        options=as_user, heal=set_("tls", "starttls"), check=no_session_without_tls,
    ),
    Row(
        "STARTTLS that is refused for now", at("STARTTLS", "454 4.7.0 not now"), trouble, opening=True, server=tls,
        options=trusting, check=no_session_without_tls,
    ),
    Row(
        "a TLS handshake that hangs", deaf, trouble, opening=True, server=tls, options=trusting,
        heal=lambda scene: scene.patch.undo(),
    ),
    Row(
        "a certificate that has expired", showing(expired), trouble, opening=True, server=tls, options=trusting,
        heal=honest, check=no_session_without_tls,
    ),
    Row(
        "a certificate of another name", showing(of_another), trouble, opening=True, server=tls, options=trusting,
        heal=honest, check=no_session_without_tls,
    ),
    Row(
        "a certificate nobody vouches for", showing(home_made), trouble, opening=True, server=tls, options=trusting,
        heal=honest, check=no_session_without_tls,
    ),
    Row(
        "replies injected before TLS", at("STARTTLS", b"220 2.0.0 Go ahead\r\n250-injected\r\n250 SIZE 1\r\n"), sent,
        opening=True, server=tls, options=trusting,
    ),
    Row(
        "a login that is rejected", at("AUTH", "535 5.7.8 wrong password"), opened_breaker, opening=True, server=login,
        options=as_user,
    ),
    Row(
        "a login that cannot be checked now", at("AUTH", "454 4.7.0 try later"), trouble, opening=True, server=login,
        options=as_user,
    ),
    Row("a login that is not answered", at("AUTH", SILENCE), trouble, opening=True, server=login, options=as_user),
    Row(
        "no login we can do", set_("mechanisms", "GSSAPI NTLM"), trouble, opening=True, server=login, options=as_user,
        heal=set_("mechanisms", "PLAIN LOGIN"),
    ),
    Row(
        "a name that does not exist any more", resolving(NO_SUCH_NAME), only_when_fresh, opening=True, heal=found,
        options=lambda _: {"host": "smtp.x.test"},
    ),
    Row(
        "a name server that is away", resolving(NO_DNS), only_when_fresh, opening=True, heal=found,
        options=lambda _: {"host": "smtp.x.test"},
    ),
    Row(
        "a name server that takes minutes", resolving(None), only_when_fresh, opening=True, heal=found,
        options=lambda _: {"host": "smtp.x.test"},
    ),
    Row(
        "an address that is dead beside one that lives", resolving("127.0.0.7", "127.0.0.1"), sent, opening=True,
        heal=found, options=lambda _: {"host": "smtp.x.test"},
    ),
    Row(
        "no SMTPUTF8, no 8BITMIME, no SIZE, no enhanced codes",
        set_("extensions", tuple(e for e in EXTENSIONS if e == "PIPELINING")), sent, opening=True,
    ),
)  # fmt: skip
