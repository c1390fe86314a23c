"""A courier with the real SMTP relay and a real outbox, at work against a scripted server, in virtual time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from emailhub.adapters.smtp import SmtpOptions, SmtpRelay
from emailhub.core.backoff import Schedule
from emailhub.core.breaker import Phase, Rules, Signal, Snapshot
from emailhub.core.delivery import Policy
from emailhub.core.records import Detail
from tests.support.clock import settled
from tests.support.courier_line import Line
from tests.support.factories import opened
from tests.support.smtp_server import Session, SmtpServer

PATIENT = Policy(schedule=Schedule(limit=5, first=60.0))
"""Retries so far apart that a message can be looked at between two of its attempts."""
EARLIER = 2
"""Failures in a row that the breaker counted before the message of a test: they show a success and a failure alike."""


def content(id: str, lines: int = 1) -> bytes:
    """A small message, or one of so many lines of 20 bytes."""
    head = f"Subject: {id}\r\nMessage-ID: <{id}@x.test>\r\n\r\n"
    return head.encode() + b"How are you today?\r\n" * lines


class MailLine:
    """The parts, what tests do with them, and what the server saw since `mark`."""

    def __init__(self, server: SmtpServer, relay: SmtpRelay, line: Line) -> None:
        self.server = server
        self.relay = relay
        self.line = line
        self._seen: dict[int, int] = {}
        self._taken = 0
        self._down = False
        self._closed: socket.socket | None = None
        self._waiting: list[socket.socket] = []

    async def send(self, id: str, *recipients: str, **given: Any) -> Detail:
        """Accept a message and wait until its first attempt is over."""
        given.setdefault("content", content(id))
        await self.line.accept(id, to=recipients, **given)
        return await self.over(id)

    async def over(self, id: str) -> Detail:
        """Wait until no attempt of message `id` runs or is about to."""
        pause = 0.25
        while True:
            await asyncio.sleep(pause)
            found = await self.line.find(id)
            if not self.line.courier.in_flight and all(r.state not in {"queued", "sending"} for r in found.recipients):
                return found
            pause = min(pause * 2, 8.0)

    async def warm(self) -> None:
        """Carry a message, so that a connection is kept."""
        found = await self.send("warm", "warm@x.test")
        assert found.summary.state == "sent", found
        assert self.relay.facts().idle == 1

    def mark(self) -> None:
        """From here on the server's commands and messages count, and the breaker has met some failures."""
        self._seen = {session.number: len(session.commands) for session in self.server.sessions}
        self._taken = len(self.server.messages)
        for _ in range(EARLIER):
            permit = self.line.fuse.permit()
            assert permit is not None
            self.line.fuse.record(permit, Signal.TROUBLE, "before")

    def commands(self, verb: str = "") -> list[str]:
        """The commands since `mark` that begin with `verb`, over all connections."""
        return [c for s in self.server.sessions for c in self._of(s) if c.upper().startswith(verb)]

    @property
    def taken(self) -> list[tuple[str, ...]]:
        """The recipients of each message the server took since `mark`."""
        return [tuple(message.recipients) for message in self.server.messages[self._taken :]]

    @property
    def breaker(self) -> str:
        """What the breaker made of what came since `mark`: well, failure, opened or untouched."""
        snapshot = self.line.fuse.snapshot
        if snapshot.phase is not Phase.CLOSED:
            return "opened"
        return {0: "well", EARLIER: "untouched", EARLIER + 1: "failure"}[snapshot.failures]

    async def lose_kept(self) -> None:
        """The server ends the connections that are kept, and the relay notices."""
        self.server.cut()
        await settled(lambda: not self.relay.facts().open)

    async def refuse(self) -> None:
        """Nobody listens any more."""
        self._down = True
        await self.server.stop()

    async def swallow(self) -> None:
        """Whoever connects from now on hears nothing, not even that they are connected."""
        await self.refuse()
        self._closed = socket.socket()
        self._closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._closed.bind((self.server.host, self.server.port))
        self._closed.listen(0)
        self._waiting = [socket.socket() for _ in range(4)]
        for waiting in self._waiting:  # the kernel drops further SYNs once the backlog is full
            waiting.setblocking(False)
            waiting.connect_ex(self._closed.getsockname())

    async def heal(self) -> None:
        """Undo every fault."""
        self.server.rules.clear()
        self.unswallow()
        if self._down:
            await self.server.start()

    def unswallow(self) -> None:
        if self._closed is not None:
            for sock in (self._closed, *self._waiting):
                sock.close()
            self._closed = None

    def _of(self, session: Session) -> list[str]:
        return session.commands[self._seen.get(session.number, 0) :]


@asynccontextmanager
async def mail_line(folder: Path, server: SmtpServer, options: dict[str, Any]) -> AsyncIterator[MailLine]:
    """A running courier whose relay is `server`, all deadlines as in production; nothing is left open afterwards."""
    async with server, opened(folder / "hub.db") as store:
        relay = SmtpRelay(
            SmtpOptions(**{"host": server.host, "port": server.port, **options}), clock=asyncio.get_running_loop().time
        )
        line = Line(store, relay, PATIENT, Rules(), Snapshot())  # type: ignore[arg-type]
        line.start()
        parts = MailLine(server, relay, line)
        try:
            yield parts
        finally:
            await line.stop()
            parts.unswallow()
        facts = relay.facts()
        assert (facts.open, facts.busy) == (0, 0)
        assert not await store.rows("SELECT seq FROM recipient WHERE state = 'sending'")
