"""What a reply or a failure means for a recipient, and where in the conversation it happened."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from emailhub.core.reply import Reply


class Kind(StrEnum):
    """The meanings an attempt can have for one recipient.

    ACCEPTED   the recipient got its own 25x and the message its final 250 (or it was captured).
    TRANSIENT  this recipient or message was put off; try again later, an attempt is used.
    PERMANENT  this recipient or message was refused for good.
    RELAY      the relay itself is in trouble (connection, TLS, login, 421, quota); no attempt used.
    SENDER     the relay does not let this From address send: the mail is kept, no attempt used, a human is told.
    UNKNOWN    the whole body was handed over and no final reply came: it may or may not have been taken.
    """

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    RELAY = "relay trouble"
    SENDER = "sender trouble"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """How far the conversation had come, in order."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "login"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    FINAL = "final reply"


STAGES: tuple[Stage, ...] = tuple(Stage)


class Verdict(Struct, frozen=True):
    """The meaning (`kind`) of what happened at `stage`, with the server's `reply` when there was one.

    `text` is one plain line for people; `wait` the delay in seconds the reply named; `greylisted` asks for the slower
    greylisting schedule. `no_token`: who gives out access tokens refused our credentials, so no login was tried.
    """

    kind: Kind
    stage: Stage
    text: str
    reply: Reply | None = None
    wait: float | None = None
    greylisted: bool = False
    no_token: bool = False

    @property
    def login_rejected(self) -> bool:
        """True when our credentials were refused, by the relay or for a token; opens the breaker at once."""
        refused = self.no_token or (self.reply is not None and self.reply.code >= 500)
        return refused and self.kind is Kind.RELAY and self.stage is Stage.AUTH


class Line(Struct, frozen=True):
    """One line of the conversation: `at` milliseconds after the attempt began, `side` client, server or note."""

    at: float
    side: str
    text: str


class Session(Struct, frozen=True):
    """The connection an attempt used: `peer` address, `tls` such as "TLSv1.3" or "", `uses` counts messages on it.

    `id` names the connection among all of this process; `stages` are (stage, milliseconds it took), in order, and begin
    with MAIL on a reused connection.
    """

    peer: str = ""
    tls: str = ""
    uses: int = 1
    id: str = ""
    stages: tuple[tuple[str, float], ...] = ()


_NO_SESSION = Session()


class Report:
    """All an attempt found out: a verdict per recipient in the envelope's order, the masked transcript, the session.

    Transcript and session may be given as functions, which are called when the value is first read: a relay has better
    things to do than to write for people.
    """

    __slots__ = ("_session", "_transcript", "verdicts")

    def __init__(
        self,
        verdicts: tuple[Verdict, ...],
        transcript: tuple[Line, ...] | Callable[[], tuple[Line, ...]] = (),
        session: Session | Callable[[], Session] = _NO_SESSION,
    ) -> None:
        self.verdicts = verdicts
        self._transcript = transcript
        self._session = session

    @property
    def transcript(self) -> tuple[Line, ...]:
        """The conversation, line by line."""
        if callable(self._transcript):
            self._transcript = self._transcript()
        return self._transcript

    @property
    def session(self) -> Session:
        """The connection that was used last."""
        if callable(self._session):
            self._session = self._session()
        return self._session


class Envelope(Struct, frozen=True):
    """What travels: MAIL FROM `sender`, RCPT TO `recipients` (addr-specs, ASCII domains), the final MIME `content`.

    `content` has CRLF line ends, is 7-bit clean and not dot-stuffed. `smtputf8`: an address has a non-ASCII local part.
    """

    id: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    smtputf8: bool = False


class Progress:
    """How far a running attempt is; updated by the relay, read by the courier when it is cancelled.

    `body_sent`: the last byte of the body was handed over and its outcome is not known; `on_body` is called whenever
    that comes about. `settled`: by index in the envelope, the verdicts that stand whatever becomes of the other
    recipients.
    """

    __slots__ = ("_body_sent", "_on_body", "settled", "stage")

    def __init__(self, on_body: Callable[[], None] | None = None) -> None:
        self.stage = Stage.CONNECT
        self.settled: dict[int, Verdict] = {}
        self._body_sent = False
        self._on_body = on_body

    @property
    def body_sent(self) -> bool:
        return self._body_sent

    @body_sent.setter
    def body_sent(self, sent: bool) -> None:
        before, self._body_sent = self._body_sent, sent
        if sent and not before and self._on_body is not None:
            self._on_body()

    @property
    def harmless(self) -> bool:
        """True while giving the whole message back could neither deliver it twice nor forget an answer."""
        return not self.body_sent and not self.settled and STAGES.index(self.stage) < STAGES.index(Stage.BODY)

    def verdicts(self, recipients: int, otherwise: Verdict) -> tuple[Verdict, ...]:
        """A verdict for each of so many recipients: the settled one, else `otherwise`."""
        return tuple(self.settled.get(index, otherwise) for index in range(recipients))
