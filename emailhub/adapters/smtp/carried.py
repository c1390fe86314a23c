"""One message under way: what is settled, and who is still due."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from emailhub.adapters.smtp.chunking import Chunking
from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.outcome import BeforeBody, Outcome
from emailhub.adapters.smtp.transaction import Transaction
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.judge import TOO_MANY_RECIPIENTS
from emailhub.core.verdict import Envelope, Kind, Progress, Report, Session, Verdict


class Carried:
    """Collects the verdicts of one message over as many transactions as it takes."""

    __slots__ = (
        "_connection", "_due", "_verdicts", "before_body", "chunking", "envelope", "log", "options", "progress"
    )  # fmt: skip

    def __init__(
        self,
        options: SmtpOptions,
        chunking: Chunking,
        envelope: Envelope,
        progress: Progress,
        before_body: BeforeBody,
        clock: Callable[[], float],
    ) -> None:
        self.options = options
        self.chunking = chunking
        self.envelope = envelope
        self.progress = progress
        self.before_body = before_body
        self.log = Transcript(clock)
        self._verdicts: dict[int, Verdict] = {}
        self._due = list(range(len(envelope.recipients)))
        self._connection: Connection | None = None

    def transaction(self, connection: Connection) -> Transaction:
        """The transaction for the recipients still due."""
        self._connection = connection
        return Transaction(connection, self, self._due)

    def starts_again(self, outcome: Outcome) -> None:
        """The server has not taken the message: whoever it did not refuse is due on another connection."""
        if outcome.unchunked:
            self._verdicts.update(outcome.verdicts)
            self._due = [index for index in self._due if index not in self._verdicts]
        else:
            # Servers close idle connections whenever they like; that says nothing about message or relay.
            self.log.note("the kept connection was no longer good; opening another")

    def take_in(self, outcome: Outcome, connection: Connection) -> bool:
        """Keep the verdicts; True when recipients are left over that may go at once in a transaction of their own.

        A server that takes only so many recipients at a time has refused none of them (RFC 5321 §4.5.3.1.10).
        """
        self._verdicts.update(outcome.verdicts)
        if len(self._due) == 1 or outcome.close or not connection.wire.usable:
            return False
        verdicts = outcome.verdicts
        left = [index for index in self._due if verdicts[index].text.startswith(TOO_MANY_RECIPIENTS)]
        if not left or all(verdicts[index].kind is not Kind.ACCEPTED for index in self._due):
            return False
        self._due = left
        self.progress.settled.update(self._verdicts)
        self.log.note(f"{len(left)} recipients were too many for one transaction; they go in another one")
        return True

    def report(self, otherwise: Verdict | None = None) -> Report:
        """What was found out; `otherwise` is the verdict of those that have none."""
        found = [self._verdicts.get(index, otherwise) for index in range(len(self.envelope.recipients))]
        verdicts = tuple([verdict for verdict in found if verdict])
        used = self._connection
        return Report(verdicts, self.log.lines, partial(_session, used, used.uses if used else 1, self.log))


def _session(used: Connection | None, uses: int, log: Transcript) -> Session:
    if used is None:
        return Session(stages=log.stages())
    return Session(used.peer, used.tls, uses, used.id, log.stages())
