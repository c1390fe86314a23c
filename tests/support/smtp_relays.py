"""What the tests of the SMTP relay share: relays with short deadlines, a certificate authority, a clock."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trustme

from emailhub.adapters.smtp import SmtpOptions, SmtpRelay, Timeouts
from emailhub.core.verdict import Envelope, Kind, Progress, Report
from tests.support.smtp_server import SmtpServer

BODY = b"Subject: hello\r\nMessage-ID: <1@x.test>\r\n\r\nHow are you?\r\n"
QUICK = Timeouts(connect=2.0, greeting=2.0, command=2.0, final=2.0, reset=1.0)
"""Long enough for a busy machine where an answer is expected."""
BRIEF = Timeouts(connect=0.2, greeting=0.2, command=0.2, final=0.2, reset=0.2)
"""For tests in which no answer comes."""


@dataclass(frozen=True)
class Authority:
    """A private certificate authority: `file` is its certificate, `context` makes a server's context."""

    ca: trustme.CA
    file: str

    def context(self, cert: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (cert or self.ca.issue_cert("127.0.0.1", "localhost")).configure_cert(context)
        return context


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Relays:
    """Makes relays for a server, with short deadlines."""

    def __init__(self, made: list[SmtpRelay]) -> None:
        self._made = made

    def to(self, server: SmtpServer, *, clock: Callable[[], float] = time.monotonic, **options: Any) -> SmtpRelay:
        return self.at(server.port, clock=clock, **options)

    def at(self, port: int, *, clock: Callable[[], float] = time.monotonic, **options: Any) -> SmtpRelay:
        settings = {"host": "127.0.0.1", "timeouts": QUICK} | options
        relay = SmtpRelay(SmtpOptions(port=port, **settings), clock=clock)
        self._made.append(relay)
        return relay


def envelope(*recipients: str, sender: str = "me@x.test", content: bytes = BODY, smtputf8: bool = False) -> Envelope:
    return Envelope("m1", sender, recipients or ("ann@x.test",), content, smtputf8)


async def send(
    relay: SmtpRelay,
    *recipients: str,
    what: Envelope | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    before_body: Callable[[], Awaitable[None]] | None = None,
) -> Report:
    return await relay.attempt(
        what or envelope(*recipients), fresh=fresh, progress=progress or Progress(), before_body=before_body
    )


async def until(true: Callable[[], bool], timeout: float = 20.0) -> None:
    """Return once `true()` is, which nothing announces. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not true():  # noqa: ASYNC110 - what happens inside a relay has no event
            await asyncio.sleep(0.001)


def kinds(report: Report) -> list[Kind]:
    return [verdict.kind for verdict in report.verdicts]


def said(report: Report) -> str:
    return "\n".join(f"{line.side}: {line.text}" for line in report.transcript)
