"""How a transaction ends, and what it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from emailhub.adapters.smtp.chunking import Chunking
from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import Late, WireError
from emailhub.core.reply import Reply
from emailhub.core.verdict import Envelope, Progress, Stage, Verdict

BeforeBody = Callable[[], Awaitable[None]] | None


class Outcome(Struct, frozen=True):
    """Verdicts by index in the envelope. `close`: why the connection must go, "" when it may be used again.

    `stale`: the connection turned out to be dead or dismissed before the server took up this message. `unchunked`: the
    server does not do the CHUNKING it offers and has not taken the message: recipients without a verdict are still due.
    """

    verdicts: dict[int, Verdict]
    close: str = ""
    stale: bool = False
    unchunked: bool = False


class Task(Protocol):
    """What all transactions of one message have in common."""

    @property
    def envelope(self) -> Envelope: ...
    @property
    def options(self) -> SmtpOptions: ...
    @property
    def chunking(self) -> Chunking: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def log(self) -> Transcript: ...
    @property
    def before_body(self) -> BeforeBody: ...


class Ended(Exception):
    """The transaction is over; every recipient without a verdict gets `verdict`."""

    def __init__(self, verdict: Verdict, close: str = "", *, stale: bool = False) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict
        self.close = close
        self.stale = stale


def why_broken(error: WireError, where: str) -> str:
    return f"{'late' if isinstance(error, Late) else 'lost'} at {where}"


def why_over(reply: Reply, stage: Stage) -> str:
    """Why the conversation cannot go on after this reply; "" when it can.

    After a success where none fits, the next reply would be paired with the wrong command, perhaps with the body.
    """
    if reply.code == 421:
        return f"421 at {stage.value}"
    if reply.code // 100 in {4, 5}:
        return ""
    return f"{'garbage' if reply.code < 0 else 'out of step'} at {stage.value}"
