"""The relay as the courier sees it: one message in, one report out, whatever network and server do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from emailhub.adapters.smtp.carried import Carried
from emailhub.adapters.smtp.chunking import Chunking
from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.dial import Trouble
from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.outcome import Outcome
from emailhub.adapters.smtp.pool import Pool
from emailhub.adapters.smtp.session import SessionOpener
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.status import PoolFacts
from emailhub.core.verdict import Envelope, Kind, Progress, Report, Session, Stage, Verdict


class SmtpRelay:
    """Hands messages to one SMTP account over a pool of kept connections.

    `clock` is monotonic seconds. Raises OSError when the certificate file of `options.ca` cannot be read.
    """

    captures = False

    def __init__(
        self, options: SmtpOptions, *, name: str = "default", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.capacity = options.connections
        self._options = options
        self._clock = clock
        self._opener = SessionOpener(options, clock)
        self._chunking = Chunking(name, wanted=options.chunking)
        self._pool = Pool(options, self._opener.open, clock)

    async def attempt(
        self,
        envelope: Envelope,
        *,
        fresh: bool,
        progress: Progress,
        before_body: Callable[[], Awaitable[None]] | None,
    ) -> Report:
        """Carry one message; a verdict per recipient in the envelope's order, never an exception for what others do.

        `fresh`: on a connection of its own. `before_body` is awaited after the server's go-ahead and before the first
        byte of the body; what it raises comes out here, the connection closed and nothing sent. Cancelled, the
        connection is closed too, and `progress.body_sent` tells whether the message may have been taken.
        """
        carried = Carried(self._options, self._chunking, envelope, progress, before_body, self._clock)
        if not envelope.recipients:
            return carried.report()
        try:
            return await self._carry(carried, fresh=fresh)
        except Trouble as trouble:
            carried.log.note(trouble.verdict.text)
            return carried.report(trouble.verdict)

    async def probe(self, *, progress: Progress) -> Report:
        """Connect, greet, log in and quit on a connection of its own; a report with exactly one verdict."""
        log = Transcript(self._clock)
        try:
            connection = await self._pool.take(fresh=True, progress=progress, log=log)
        except Trouble as trouble:
            log.note(trouble.verdict.text)
            return Report((trouble.verdict,), log.lines())
        self._pool.discard(connection, "probe")
        log.client("QUIT")
        took = " and took the login" if self._options.user else ""
        verdict = Verdict(Kind.ACCEPTED, Stage.AUTH if took else Stage.EHLO, f"the relay answered{took}")
        session = Session(connection.peer, connection.tls, 1, connection.id, log.stages())
        return Report((verdict,), log.lines(), session)

    async def drop_idle(self) -> None:
        """Close the connections nobody uses: the relay is in trouble."""
        self._pool.drop_idle("breaker opened")

    async def close(self) -> None:
        """Close all connections, busy ones too. Idempotent."""
        await self._pool.close()
        await self._opener.close()

    def facts(self) -> PoolFacts:
        """The connections, for screens."""
        return self._pool.facts()

    async def _carry(self, carried: Carried, *, fresh: bool) -> Report:
        connection = None if fresh else self._pool.kept(carried.log)
        if connection is None:
            connection = await self._pool.take(fresh=fresh, progress=carried.progress, log=carried.log)
        reused = connection.uses > 0
        while True:
            connection.uses += 1
            try:
                outcome = await carried.transaction(connection).run()
            except BaseException:
                self._pool.discard(connection, "cancelled", abort=True)
                raise
            self._after(connection, outcome)
            if outcome.unchunked or (outcome.stale and reused):
                reused = False
                carried.starts_again(outcome)
                connection = await self._pool.take(fresh=True, progress=carried.progress, log=carried.log)
            elif not carried.take_in(outcome, connection):
                break
        if not outcome.close:
            self._pool.give(connection)
        return carried.report()

    def _after(self, connection: Connection, outcome: Outcome) -> None:
        if outcome.close:
            self._pool.discard(connection, outcome.close, abort=outcome.stale or outcome.unchunked)
        else:
            connection.answered_at = self._clock()
