"""The relay as the courier sees it: one message in, one report out, whatever network and server do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from emailhub.adapters.smtp.dial import Trouble
from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.pool import Pool
from emailhub.adapters.smtp.session import Connection, SessionOpener
from emailhub.adapters.smtp.transaction import Outcome, Transaction
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.judge import TOO_MANY_RECIPIENTS
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
        carried = _Carried(self._options, envelope, progress, Transcript(self._clock), before_body)
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
        return Report((verdict,), log.lines(), Session(connection.peer, connection.tls, 1))

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

    async def _carry(self, carried: _Carried, *, fresh: bool) -> Report:
        connection = await self._pool.take(fresh=fresh, progress=carried.progress, log=carried.log)
        reused = connection.uses > 0
        outcome = await self._transact(carried, connection)
        if outcome.stale and reused:
            # Servers close idle connections whenever they like; that says nothing about message or relay.
            carried.log.note("the kept connection was no longer good; opening another")
            connection = await self._pool.take(fresh=True, progress=carried.progress, log=carried.log)
            outcome = await self._transact(carried, connection)
        while carried.take_in(outcome, connection):
            outcome = await self._transact(carried, connection)
        self._hand_back(connection, outcome)
        return carried.report()

    async def _transact(self, carried: _Carried, connection: Connection) -> Outcome:
        connection.uses += 1
        try:
            outcome = await carried.transaction(connection).run()
        except BaseException:
            self._pool.discard(connection, "cancelled", abort=True)
            raise
        if outcome.stale:
            self._pool.discard(connection, outcome.close, abort=True)
        return outcome

    def _hand_back(self, connection: Connection, outcome: Outcome) -> None:
        if outcome.stale:
            return
        if outcome.close:
            self._pool.discard(connection, outcome.close)
        else:
            self._pool.give(connection)


class _Carried:
    """One message under way: what is settled, and who is still due."""

    def __init__(
        self,
        options: SmtpOptions,
        envelope: Envelope,
        progress: Progress,
        log: Transcript,
        before_body: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.progress = progress
        self.log = log
        self._options = options
        self._envelope = envelope
        self._before_body = before_body
        self._verdicts: list[Verdict | None] = [None] * len(envelope.recipients)
        self._due = list(range(len(envelope.recipients)))
        self._session = Session()

    def transaction(self, connection: Connection) -> Transaction:
        """The transaction for the recipients still due."""
        self._session = Session(connection.peer, connection.tls, connection.uses)
        return Transaction(
            connection,
            self._envelope,
            [self._envelope.recipients[index] for index in self._due],
            options=self._options,
            progress=self.progress,
            log=self.log,
            before_body=self._before_body,
        )

    def take_in(self, outcome: Outcome, connection: Connection) -> bool:
        """Keep the verdicts; True when recipients are left over that may go at once in a transaction of their own.

        A server that takes only so many recipients at a time has refused none of them (RFC 5321 §4.5.3.1.10).
        """
        left = []
        for index, verdict in zip(self._due, outcome.verdicts, strict=True):
            self._verdicts[index] = verdict
            if verdict.text.startswith(TOO_MANY_RECIPIENTS):
                left.append(index)
        took_some = any(verdict.kind is Kind.ACCEPTED for verdict in outcome.verdicts)
        if not left or not took_some or outcome.close or not connection.wire.usable:
            return False
        self._due = left
        self.log.note(f"{len(left)} recipients were too many for one transaction; they go in another one")
        return True

    def report(self, otherwise: Verdict | None = None) -> Report:
        """What was found out; `otherwise` is the verdict of those that have none."""
        verdicts = tuple(own or otherwise for own in self._verdicts)
        return Report(tuple(v for v in verdicts if v is not None), self.log.lines(), self._session)
