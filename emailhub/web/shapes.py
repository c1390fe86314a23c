"""What the API answers, as values; the reference is made from these. Times are ISO 8601, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from emailhub.core.breaker import Mode, Phase
from emailhub.core.delivery import OnUnknown, Reason, State
from emailhub.core.mime import View
from emailhub.core.records import AttemptRecord, Detail, Event, RecipientRecord, Summary
from emailhub.core.status import RelayStatus

_LAST_EVENTS = {
    State.QUEUED: "queued",
    State.SCHEDULED: "scheduled",
    State.SENDING: "queued",
    State.DEFERRED: "delivery_delayed",
    State.HELD: "delivery_delayed",
    State.SENT: "sent",
    State.FAILED: "failed",
    State.CANCELED: "canceled",
    State.SUPPRESSED: "suppressed",
}

Time = Annotated[str, Meta(description="ISO 8601, UTC, milliseconds", examples=["2026-11-24T03:41:59.123Z"])]


def iso(at: float) -> str:
    """Unix seconds as `2026-11-24T03:41:59.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_iso(at: float | None) -> str | None:
    """Like `iso`, None stays None."""
    return None if at is None else iso(at)


class Health(Struct, frozen=True):
    """The answer of the service that emailhub takes the place of."""

    status: Literal["ok"] = "ok"
    service: Literal["email_service"] = "email_service"


class Queued(Struct, frozen=True):
    """The message is durable and will be carried."""

    success: Literal[True] = True
    message: Literal["Email queued for delivery"] = "Email queued for delivery"


class RequestStatus(Struct, frozen=True):
    """Where the newest message of a request id stands."""

    request_id: str
    status: Annotated[str, Meta(description="pending, delivered or failed")]


class Accepted(Struct, frozen=True):
    """The message is durable; `id` finds it."""

    id: str


class Tag(Struct, frozen=True):
    """A label the sender gave."""

    name: str
    value: str


class RecipientShape(Struct, frozen=True, kw_only=True):
    """One address of a message with its own state."""

    address: str
    kind: Annotated[str, Meta(description="to, cc or bcc")]
    state: State
    reason: Reason
    attempts: Annotated[int, Meta(description="attempts used of the current allowance")]
    next_attempt_at: Time | None
    changed_at: Time
    last_reply: Annotated[str, Meta(description="what happened last, in one line")]

    @classmethod
    def of(cls, record: RecipientRecord) -> RecipientShape:
        return cls(
            address=record.address,
            kind=record.kind,
            state=record.state,
            reason=record.reason,
            attempts=record.attempts,
            next_attempt_at=maybe_iso(record.due_at),
            changed_at=iso(record.changed_at),
            last_reply=record.last,
        )


class EmailSummary(Struct, frozen=True, kw_only=True):
    """A message as lists show it."""

    object: Literal["email"] = "email"
    id: str
    to: Annotated[list[str], Meta(description="the first recipient; the message itself names all")]
    from_: str = field(name="from")
    subject: str
    created_at: Time
    last_event: Annotated[str, Meta(description="the state in the words of the API this one follows")]
    status: State
    reason: Reason
    request_id: str | None
    relay: str
    recipients: int
    attempts: int
    next_attempt_at: Time | None
    scheduled_at: Time | None
    expires_at: Time
    last_reply: str

    @classmethod
    def of(cls, summary: Summary) -> EmailSummary:
        return cls(
            id=summary.id,
            to=[summary.to_header],
            from_=summary.from_header,
            subject=summary.subject,
            created_at=iso(summary.accepted_at),
            last_event=last_event(summary),
            status=summary.state,
            reason=summary.reason,
            request_id=summary.request_id,
            relay=summary.relay,
            recipients=summary.recipients,
            attempts=summary.attempts,
            next_attempt_at=maybe_iso(summary.due_at),
            scheduled_at=maybe_iso(summary.scheduled_at),
            expires_at=iso(summary.expires_at),
            last_reply=summary.last,
        )


class EmailList(Struct, frozen=True):
    """A page of messages, newest first."""

    data: list[EmailSummary]
    has_more: bool
    object: Literal["list"] = "list"


class Email(Struct, frozen=True, kw_only=True):
    """A message with everything but its raw bytes. `html` and `text` are null once the content was erased."""

    object: Literal["email"] = "email"
    id: str
    message_id: str
    to: list[str]
    from_: str = field(name="from")
    created_at: Time
    subject: str
    html: str | None
    text: str | None
    bcc: list[str]
    cc: list[str]
    reply_to: list[str]
    last_event: str
    status: State
    reason: Reason
    request_id: str | None
    correlation_id: str
    relay: str
    scheduled_at: Time | None
    expires_at: Time
    next_attempt_at: Time | None
    attempts: int
    size: Annotated[int, Meta(description="bytes as they go to the SMTP server")]
    on_unknown: Annotated[OnUnknown, Meta(description="what to do when the final reply was never seen")]
    tags: list[Tag]
    metadata: dict[str, str]
    recipients: list[RecipientShape]

    @classmethod
    def of(cls, detail: Detail, view: View | None) -> Email:
        summary = detail.summary
        return cls(
            id=summary.id,
            message_id=detail.message_id,
            to=_addresses(detail, "to"),
            from_=summary.from_header,
            created_at=iso(summary.accepted_at),
            subject=summary.subject,
            html=view.html if view else None,
            text=view.text if view else None,
            bcc=_addresses(detail, "bcc"),
            cc=_addresses(detail, "cc"),
            reply_to=_reply_to(view),
            last_event=last_event(summary),
            status=summary.state,
            reason=summary.reason,
            request_id=summary.request_id,
            correlation_id=summary.correlation_id,
            relay=summary.relay,
            scheduled_at=maybe_iso(summary.scheduled_at),
            expires_at=iso(summary.expires_at),
            next_attempt_at=maybe_iso(summary.due_at),
            attempts=summary.attempts,
            size=summary.size,
            on_unknown=detail.on_unknown,
            tags=[Tag(name, value) for name, value in detail.tags],
            metadata=dict(detail.metadata),
            recipients=[RecipientShape.of(record) for record in detail.recipients],
        )


class Changed(Struct, frozen=True, kw_only=True):
    """A message after a verb was applied to it."""

    object: Literal["email"] = "email"
    id: str
    status: State
    recipients: list[RecipientShape]

    @classmethod
    def of(cls, detail: Detail) -> Changed:
        recipients = [RecipientShape.of(record) for record in detail.recipients]
        return cls(id=detail.summary.id, status=detail.summary.state, recipients=recipients)


class EventShape(Struct, frozen=True, kw_only=True):
    """Something that happened. `data` holds short facts, never a body."""

    id: int
    at: Time
    kind: str
    data: dict[str, str | int | float | bool | None]

    @classmethod
    def of(cls, event: Event) -> EventShape:
        return cls(id=event.id, at=iso(event.at), kind=event.kind, data=event.data)


class EventList(Struct, frozen=True):
    """All that happened to a message, oldest first."""

    data: list[EventShape]
    object: Literal["list"] = "list"


class ResultShape(Struct, frozen=True, kw_only=True):
    """What an attempt came to for one recipient; `code` and `enhanced` are of the server's reply."""

    address: str
    verdict: str
    stage: str
    state: State
    code: int | None
    enhanced: str
    text: str


class LineShape(Struct, frozen=True, kw_only=True):
    """One line of the SMTP conversation, secrets and body masked; `milliseconds` since the attempt began."""

    milliseconds: float
    side: str
    text: str


class AttemptShape(Struct, frozen=True, kw_only=True):
    """One SMTP transaction. `finished_at` is null while it runs; `counted` says if it used an attempt."""

    number: int
    relay: str
    started_at: Time
    finished_at: Time | None
    counted: bool
    peer: str
    tls: str
    results: list[ResultShape]
    transcript: list[LineShape]

    @classmethod
    def of(cls, record: AttemptRecord) -> AttemptShape:
        return cls(
            number=record.number,
            relay=record.relay,
            started_at=iso(record.started_at),
            finished_at=maybe_iso(record.finished_at),
            counted=record.counted,
            peer=record.session.peer,
            tls=record.session.tls,
            results=[
                ResultShape(
                    address=result.address,
                    verdict=result.kind,
                    stage=result.stage,
                    state=result.state,
                    code=result.code,
                    enhanced=result.enhanced,
                    text=result.text,
                )
                for result in record.results
            ],
            transcript=[LineShape(milliseconds=line.at, side=line.side, text=line.text) for line in record.transcript],
        )


class AttemptList(Struct, frozen=True):
    """All attempts of a message, oldest first."""

    data: list[AttemptShape]
    object: Literal["list"] = "list"


class BreakerShape(Struct, frozen=True, kw_only=True):
    """The circuit breaker of one relay. `forced` is auto unless an operator decided: see `actor`, `reason`, `until`."""

    object: Literal["breaker"] = "breaker"
    relay: str
    state: Phase
    forced: Mode
    failures: Annotated[int, Meta(description="relay-level failures in a row")]
    cause: str
    since: Time | None
    next_probe_at: Time | None
    actor: str
    reason: str
    until: Time | None

    @classmethod
    def of(cls, relay: RelayStatus) -> BreakerShape:
        snapshot = relay.breaker
        return cls(
            relay=relay.name,
            state=snapshot.phase,
            forced=snapshot.mode,
            failures=snapshot.failures,
            cause=snapshot.cause,
            since=iso(snapshot.since) if snapshot.since else None,
            next_probe_at=maybe_iso(relay.next_probe),
            actor=snapshot.actor,
            reason=snapshot.note,
            until=maybe_iso(snapshot.until),
        )


class BreakerList(Struct, frozen=True):
    """The breakers of all relays."""

    data: list[BreakerShape]
    object: Literal["list"] = "list"


def last_event(summary: Summary) -> str:
    """The state in the words of the API this one follows: a refusal by the receiving server is a bounce."""
    if summary.state is State.FAILED and summary.reason is Reason.REFUSED:
        return "bounced"
    return _LAST_EVENTS[summary.state]


def _addresses(detail: Detail, kind: str) -> list[str]:
    return [recipient.address for recipient in detail.recipients if recipient.kind == kind]


def _reply_to(view: View | None) -> list[str]:
    values = [value for name, value in view.headers if name.lower() == "reply-to"] if view else []
    return [part.strip() for value in values for part in value.split(",")]
