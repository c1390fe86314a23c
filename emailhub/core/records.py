"""What the outbox tells: rows as values, read by the engine and the faces. Times are unix seconds (UTC)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from emailhub.core.access import ANYBODY, Principal
from emailhub.core.delivery import OnUnknown, Outcome, Reason, Standing, State, Wish
from emailhub.core.message import Again, Made, Priority
from emailhub.core.query import Term
from emailhub.core.reply import Reply
from emailhub.core.verdict import Line, Session, Stage

Scalar = str | int | float | bool | None
"""What the data of an event may hold: short facts, never a body."""


class Origin(Struct, frozen=True):
    """Where a message came from: `face` is http, contract (the two seed endpoints), amqp, dashboard or cli.

    `detail` names the queue or API key; `correlation_id` is always set, from the sender or made by the face.
    `principal` is who gives it, and is held to what that may.
    """

    face: str
    correlation_id: str
    detail: str = ""
    principal: Principal = ANYBODY


class Parcel(Struct, frozen=True, kw_only=True):
    """A message ready to be stored: built by intake, its bytes final.

    An explicit `key` conflicts with other content. `key_matches` False: a message stored under the key before is not
    this one, and this one takes the key over (the body hash of a queue message that was not redelivered); the same for
    one stored before `key_since`. With `go` it is stored as being sent, its first attempt open, and `go` is called with
    it after the commit.

    Without `store_body` its content is shown to nobody, and erased as soon as it is final. `files` counts its
    attachments. `diverted` are the recipients its sender named and it does not go to, `note` says why in one line;
    `companion` is the part of it that is kept back, stored in the same commit under an id of its own.

    `pinned`: no other relay than its own may ever carry it. `again` is the message whose content it has.
    """

    id: str
    message_id: str
    relay: str
    origin: Origin
    sender: str
    from_header: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    to_header: str
    subject: str
    snippet: str
    content: bytes
    smtputf8: bool = False
    request_id: str | None = None
    key: str | None = None
    key_explicit: bool = True
    key_matches: bool = True
    key_since: float = 0.0
    fingerprint: bytes = b""
    queue_body: bytes | None = None
    tags: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    on_unknown: OnUnknown = OnUnknown.RETRY
    priority: Priority = Priority.NORMAL
    accepted_at: float
    scheduled_at: float | None = None
    expires_at: float
    due_at: float
    go: Callable[[Job], None] | None = None
    diverted: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    made: Made | None = None
    store_body: bool = True
    files: int = 0
    note: str = ""
    pinned: bool = False
    again: Again | None = None
    companion: Parcel | None = None

    @property
    def people(self) -> int:
        """How many recipients it has."""
        return len(self.to) + len(self.cc) + len(self.bcc)

    @property
    def parts(self) -> tuple[Parcel, ...]:
        """What is stored of it: itself, and its companion."""
        return (self,) if self.companion is None else (self, self.companion)


class Receipt(Struct, frozen=True):
    """Intake's answer: the message's `id`, and `replayed` when it was accepted earlier under the same key.

    `suppressed` counts its recipients, with those of its companion, that are on the suppression list: they get nothing.
    """

    id: str
    replayed: bool = False
    suppressed: int = 0


class Job(Struct, frozen=True):
    """A claimed message: its recipients are SENDING and an attempt row is open. The courier carries it.

    `relay` carries it, `domain` is its sender's; `why` says why another relay than its own does, "" when it does not.
    """

    id: str
    seq: int
    attempt_id: int
    number: int
    relay: str
    sender: str
    content: bytes
    smtputf8: bool
    on_unknown: OnUnknown
    expires_at: float
    accepted_at: float
    request_id: str | None
    correlation_id: str
    recipients: tuple[JobRecipient, ...]
    domain: str = ""
    why: str = ""


class JobRecipient(Struct, frozen=True):
    """One recipient of a job; `troubled_at` is when relay trouble last put it off."""

    id: int
    address: str
    standing: Standing
    troubled_at: float | None = None


class Result(Struct, frozen=True):
    """What an attempt means for one recipient: the outcome to apply and what is kept of the verdict."""

    recipient_id: int
    outcome: Outcome
    kind: str
    stage: Stage
    text: str
    reply: Reply | None = None


class Expired(Struct, frozen=True):
    """A message of which `recipients` outlived their time, with the ids it is known by."""

    id: str
    correlation_id: str
    request_id: str | None
    recipients: int


class RecipientRecord(Struct, frozen=True, kw_only=True):
    """A recipient as it stands. `kind` is to, cc or bcc; `last` one plain line of what happened last."""

    id: int
    address: str
    kind: str
    state: State
    reason: Reason
    attempts: int
    due_at: float | None
    changed_at: float
    last: str
    wish: Wish | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """A message as lists show it. `state` is the summary of its recipients' states (see `delivery.summarize`).

    `diverted`: rules keep it from some it was written to.
    """

    seq: int
    id: str
    message_id: str
    state: State
    reason: Reason
    relay: str
    face: str
    from_header: str
    to_header: str
    recipients: int
    subject: str
    request_id: str | None
    correlation_id: str
    priority: int
    accepted_at: float
    scheduled_at: float | None
    expires_at: float
    due_at: float | None
    final_at: float | None
    changed_at: float
    attempts: int
    last: str
    size: int
    diverted: bool = False
    reply_to: tuple[str, ...] = ()
    made: Made | None = None


class Detail(Struct, frozen=True, kw_only=True):
    """A message with everything but its bytes. `diverted`: the recipients its sender named and it does not go to.

    `has_content`: its content may be shown, which it never may without `store_body`.
    """

    summary: Summary
    sender: str
    detail: str
    snippet: str
    on_unknown: OnUnknown
    tags: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    has_content: bool
    recipients: tuple[RecipientRecord, ...]
    store_body: bool = True
    diverted: tuple[str, ...] = ()


class AttemptResult(Struct, frozen=True):
    """The verdict of one recipient in one attempt, as kept."""

    address: str
    kind: str
    stage: str
    text: str
    state: State
    code: int | None = None
    enhanced: str = ""


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One SMTP transaction. `finished_at` is None while it runs; `counted` says if it used an attempt.

    `why` is one plain line that says why this relay carried it, "" when the message belongs to it anyhow.
    """

    id: int
    message: str
    number: int
    relay: str
    started_at: float
    body_at: float | None
    finished_at: float | None
    counted: bool
    results: tuple[AttemptResult, ...]
    transcript: tuple[Line, ...]
    session: Session
    why: str = ""


class Event(Struct, frozen=True):
    """Something that happened. `id` grows by one with every event and never repeats, also across restarts.

    `kind` of a message: accepted, scheduled (anew), sending, queued, sent, deferred, failed, held, canceled,
    suppressed, wish, copied, resent, dead_letter, listed (its recipient was put on the suppression list);
    of a relay: breaker_opened, breaker_probing, breaker_closed, breaker_forced, breaker_auto, chaos_set;
    of a template: template_created, template_saved, template_renamed, template_published, template_deleted;
    of a job over many messages: bulk_started, bulk_stopped, bulk_done; of a letter: letter_resent, letter_discarded;
    of none of these: unreadable, suppression_added, suppression_lifted, key_created, key_rotated, key_revoked.
    `message` and `relay` say whom it concerns, `data` holds only short facts (never a body): text, actor, reason,
    state, recipients, due_at …
    """

    id: int
    at: float
    kind: str
    message: str | None
    relay: str | None
    data: dict[str, Scalar]


class Filter(Struct, frozen=True):
    """Which messages a list shows: `state`, exact ids, and the `terms` of a search; all of it must be so.

    `ids` are those of the messages themselves, any of which will do.
    """

    state: State | None = None
    terms: tuple[Term, ...] = ()
    request_id: str | None = None
    correlation_id: str | None = None
    relay: str | None = None
    template: str | None = None
    ids: tuple[str, ...] = ()


class Page(Struct, frozen=True):
    """A page of a list, newest first: `older` and `newer` are message ids to page from, None at the end.

    `reached`: only messages that came then or later were looked at; older ones may match too.
    """

    items: tuple[Summary, ...]
    older: str | None
    newer: str | None
    reached: float | None = None


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What goes to the dead-letter queue: a failed recipient, or a queue body that could not be read.

    `body` is published as it is, with `headers`, and not kept beyond that without `keep`: its publisher asked for it.
    """

    id: int
    at: float
    reason: str
    body: bytes
    headers: dict[str, str]
    content_type: str
    correlation_id: str
    message: str | None = None
    recipient: str | None = None
    tries: int = 0
    keep: bool = True
