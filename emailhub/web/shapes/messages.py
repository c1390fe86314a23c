"""Messages as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from emailhub.core.delivery import OnUnknown, Reason, State
from emailhub.core.diversion import Addressed
from emailhub.core.header import display
from emailhub.core.message import Made, Priority
from emailhub.core.records import Detail, RecipientRecord, Summary
from emailhub.core.view import File, View
from emailhub.web.errors import FieldError
from emailhub.web.shapes.times import Time, iso, maybe_iso

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

_Priority: TypeAlias = Literal["high", "normal", "low"]
_PRIORITIES: dict[int, _Priority] = {Priority.HIGH: "high", Priority.NORMAL: "normal", Priority.LOW: "low"}


class Accepted(Struct, frozen=True):
    """The message is durable; `id` finds it."""

    id: str


class BatchError(Struct, frozen=True):
    """Why a message of a batch was not taken: the error it would have got alone. `index` counts from 0."""

    index: int
    name: str
    message: str
    errors: list[FieldError]


class AcceptedBatch(Struct, frozen=True, omit_defaults=True):
    """The messages that are durable, in the order they were given, and with permissive validation those not taken."""

    data: list[Accepted]
    errors: list[BatchError] | UnsetType = UNSET


class Tag(Struct, frozen=True):
    """A label the sender gave."""

    name: str
    value: str


class FileShape(Struct, frozen=True, kw_only=True):
    """A file of a message."""

    filename: str
    content_type: Annotated[str, Meta(description="what its sender says it is")]
    content_disposition: Annotated[Literal["attachment", "inline"], Meta(description="inline: shown inside the HTML")]
    content_id: str | None
    size: Annotated[int, Meta(description="bytes")]

    @classmethod
    def of(cls, file: File) -> FileShape:
        return cls(
            filename=file.name,
            content_type=file.type,
            content_disposition="inline" if file.inline else "attachment",
            content_id=file.content_id or None,
            size=file.size,
        )


class AttachmentShape(FileShape, frozen=True, kw_only=True):
    """A file of a message, and where its bytes are."""

    object: Literal["attachment"] = "attachment"
    id: Annotated[str, Meta(description="its number in the message, from 0")]
    download_url: Annotated[str, Meta(description="gives its bytes, with the API key, until the content is erased")]

    @classmethod
    def at(cls, file: File, number: int, download_url: str) -> AttachmentShape:
        """The file `number` of a message."""
        shared = structs.asdict(FileShape.of(file))
        return cls(id=str(number), download_url=download_url, **shared)


class AttachmentList(Struct, frozen=True):
    """The files of a message."""

    data: list[AttachmentShape]
    has_more: bool = False
    object: Literal["list"] = "list"


class MadeFrom(Struct, frozen=True, kw_only=True):
    """The template a message was made from. It may have been changed since, or deleted."""

    id: Annotated[str, Meta(description="a stored template's id, or the name of one in files")]
    version: Annotated[str, Meta(description="a stored one's number; of files, the beginning of a hash")]
    language: Annotated[str | None, Meta(description="of files in several languages: which")]

    @classmethod
    def of(cls, made: Made | None) -> MadeFrom | None:
        return None if made is None else cls(id=made.id, version=made.version, language=made.language or None)


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
    message_id: str
    to: list[str]
    from_: str = field(name="from")
    subject: str
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
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
    def of(cls, summary: Summary, addressed: Addressed) -> EmailSummary:
        return cls(
            id=summary.id,
            message_id=summary.message_id,
            to=list(addressed.to),
            cc=list(addressed.cc),
            bcc=list(addressed.bcc),
            reply_to=list(summary.reply_to),
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
    """A message with everything but its raw bytes.

    `html` and `text` are null and no attachments are listed once the content was erased, without `store_body` always.
    """

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
    diverted_from: Annotated[
        list[str], Meta(description="recipients its sender named and it does not go to, by the rules of this hub")
    ]
    reply_to: list[str]
    attachments: list[FileShape]
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
    priority: Annotated[_Priority, Meta(description="which goes first")]
    store_body: bool
    tags: list[Tag]
    metadata: dict[str, str]
    template: MadeFrom | None
    recipients: list[RecipientShape]

    @classmethod
    def of(cls, detail: Detail, view: View | None) -> Email:
        summary = detail.summary
        return cls(
            id=summary.id,
            message_id=summary.message_id,
            to=_addresses(detail, "to"),
            from_=summary.from_header,
            created_at=iso(summary.accepted_at),
            subject=summary.subject,
            html=view.html if view else None,
            text=view.text if view else None,
            bcc=_addresses(detail, "bcc"),
            cc=_addresses(detail, "cc"),
            diverted_from=list(detail.diverted),
            reply_to=_reply_to(view) or list(summary.reply_to),
            attachments=[FileShape.of(file) for file in view.files] if view else [],
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
            priority=_PRIORITIES[summary.priority],
            store_body=detail.store_body,
            tags=[Tag(name, value) for name, value in detail.tags],
            metadata=dict(detail.metadata),
            template=MadeFrom.of(summary.made),
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


def last_event(summary: Summary) -> str:
    """The state in the words of the API this one follows: a refusal by the receiving server is a bounce."""
    if summary.state is State.FAILED and summary.reason is Reason.REFUSED:
        return "bounced"
    return _LAST_EVENTS[summary.state]


def _addresses(detail: Detail, kind: str) -> list[str]:
    return [recipient.address for recipient in detail.recipients if recipient.kind == kind]


def _reply_to(view: View | None) -> list[str]:
    return [display(box) for box in view.reply_to] if view else []
