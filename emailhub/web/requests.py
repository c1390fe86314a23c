"""What the API takes, as documentation. Bodies are read field by field elsewhere, so that all problems show at once."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

Addresses = str | list[str]


def _about(text: str, *examples: object) -> Meta:
    return Meta(description=text, examples=list(examples) or None)


class AttachmentRequest(Struct, kw_only=True, omit_defaults=True):
    """A file that goes with a message: with `content`, or with `path` where the hub fetches files."""

    filename: Annotated[str | UnsetType, _about("its name, in any script, without a folder", "invoice.pdf")] = UNSET
    content: Annotated[
        str | list[int] | UnsetType, _about("its bytes in base64, or as a list of numbers", "SGVsbG8=")
    ] = UNSET
    path: Annotated[str | UnsetType, _about("an https URL it is fetched from, instead of content")] = UNSET
    content_type: Annotated[
        str | UnsetType, _about("its MIME type; what the name says when left out", "application/pdf")
    ] = UNSET
    content_id: Annotated[
        str | UnsetType, _about("the html shows it in its place as `cid:` and this; also inline_content_id")
    ] = UNSET


class EmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message. It needs `to`, `subject` and one of `text`, `html` and `body`."""

    to: Annotated[Addresses, _about("one address or a list; with cc and bcc at most 50", "ada@example.org")]
    subject: Annotated[str, _about("1 to 998 characters on one line", "Your invoice")]
    text: Annotated[str | UnsetType, _about("the plain text", "Hello Ada")] = UNSET
    html: Annotated[str | UnsetType, _about("the HTML, shown instead of the text by programs that can")] = UNSET
    body: Annotated[str | UnsetType, _about("HTML when it contains an HTML tag, otherwise text")] = UNSET
    from_: Annotated[str | UnsetType, _about("the sender; the hub's own when left out")] = field(
        name="from", default=UNSET
    )
    cc: Annotated[Addresses | UnsetType, _about("further recipients, visible to all")] = UNSET
    bcc: Annotated[Addresses | UnsetType, _about("further recipients, visible to nobody")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, _about("where answers go")] = UNSET
    attachments: Annotated[
        list[AttachmentRequest] | UnsetType, _about("files, at most 50; the whole message has a limit of its own")
    ] = UNSET
    headers: Annotated[dict[str, str] | UnsetType, _about("further headers, at most 50", {"X-Order": "4711"})] = UNSET
    tags: Annotated[
        list[dict[str, str]] | UnsetType,
        _about("labels of ASCII letters, digits, _ and -", [{"name": "kind", "value": "invoice"}]),
    ] = UNSET
    metadata: Annotated[dict[str, str] | UnsetType, _about("names and values kept with the message")] = UNSET
    request_id: Annotated[str | UnsetType, _about("your own id; also the idempotency key when no other is given")] = (
        UNSET
    )
    idempotency_key: Annotated[str | UnsetType, _about("like the header Idempotency-Key")] = UNSET
    on_unknown: Annotated[
        Literal["retry", "hold", "fail"] | UnsetType,
        _about("what to do when the server may have taken the message: its final reply never came"),
    ] = UNSET
    priority: Annotated[Literal["high", "normal", "low"] | UnsetType, _about("which goes first")] = UNSET
    scheduled_at: Annotated[
        str | UnsetType,
        _about(
            "not before this time: ISO 8601 with a zone, or plain words in UTC, such as `in 30 min`, `in 2 hours`, "
            "`tomorrow at 9am`, `monday at 14:30`, `next friday at noon`, `at 18:00`",
            "2027-01-31T09:30:00Z",
            "in 1 hour",
        ),
    ] = UNSET
    expires_at: Annotated[str | UnsetType, _about("give up at this time")] = UNSET
    correlation_id: Annotated[
        str | UnsetType, _about("your id to follow the message by in logs; like the header X-Correlation-Id", "cart-17")
    ] = UNSET
    store_body: Annotated[
        bool | UnsetType,
        _about("false: the content is shown nowhere, and erased as soon as the message is final; default true"),
    ] = UNSET
    expires_in: Annotated[str | UnsetType, _about("give up after this long, from when it may be sent", "24h")] = UNSET


class SendEmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message as the original service took it."""

    to: Annotated[Addresses, _about("one address or a list", "ada@example.org")]
    subject: Annotated[str, _about("1 to 998 characters on one line", "Your invoice")]
    body: Annotated[str, _about("HTML when it contains an HTML tag, otherwise text", "Hello Ada")]
    request_id: Annotated[str, _about("your id, the idempotency key; `/status/` knows it", "order-4711")]
    html: Annotated[str | UnsetType, _about("the HTML beside a plain body")] = UNSET
    from_: Annotated[str | UnsetType, _about("the sender; the hub's own when left out")] = field(
        name="from", default=UNSET
    )
    cc: Annotated[Addresses | UnsetType, _about("further recipients, visible to all")] = UNSET
    bcc: Annotated[Addresses | UnsetType, _about("further recipients, visible to nobody")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, _about("where answers go")] = UNSET


class StatusRequest(Struct):
    """Which message is meant."""

    request_id: Annotated[str, _about("the id the message was sent with", "order-4711")]


class RescheduleRequest(Struct, omit_defaults=True):
    """When to send a scheduled message instead."""

    scheduled_at: Annotated[
        str, _about("ISO 8601 with a zone, or plain words in UTC, as when it was sent", "2027-01-31T09:30:00Z")
    ]
    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "customer asked")] = UNSET


class VerbRequest(Struct, omit_defaults=True):
    """Why, for the history; the body may be left out."""

    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "customer asked")] = UNSET


class BreakerRequest(Struct, omit_defaults=True):
    """What the breaker shall do."""

    state: Annotated[
        Literal["open", "closed", "auto"],
        _about("open: stop mail; closed: go on in spite of failures; auto: let it decide", "open"),
    ]
    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "maintenance")] = UNSET
    until: Annotated[str | UnsetType, _about("back to auto at this time, ISO 8601", "2027-01-31T09:30:00Z")] = UNSET


_ORIGIN = "why: bounce, complaint, unsubscribe or, when left out, manual"
_Origin = Literal["bounce", "complaint", "unsubscribe", "manual"]


class SuppressionRequest(Struct, omit_defaults=True):
    """An address nothing shall be sent to."""

    email: Annotated[str, _about("the address; upper and lower case make no difference", "ada@example.org")]
    origin: Annotated[_Origin | UnsetType, _about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "asked on the phone")] = UNSET


class SuppressionsRequest(Struct, omit_defaults=True):
    """Addresses nothing shall be sent to."""

    emails: Annotated[list[str], _about("1 to 100 addresses", ["ada@example.org", "bob@example.org"])]
    origin: Annotated[_Origin | UnsetType, _about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "asked on the phone")] = UNSET


class LiftRequest(Struct, omit_defaults=True):
    """Addresses mail shall go to again: `emails` or `ids`."""

    emails: Annotated[list[str] | UnsetType, _about("1 to 100 addresses", ["ada@example.org"])] = UNSET
    ids: Annotated[list[str] | UnsetType, _about("1 to 100 ids of entries", ["17"])] = UNSET
    reason: Annotated[str | UnsetType, _about("one line of at most 500 characters", "they asked again")] = UNSET


class ResumeSenderRequest(Struct):
    """Whose mail may go again."""

    domain: Annotated[str, _about("the domain of the suspended From addresses", "example.com")]


class BehaviourRequest(Struct, omit_defaults=True):
    """How the chaos relay shall behave; what is left out stays as it is. The first three are at most 1 together."""

    transient: Annotated[float | UnsetType, _about("how often it puts off (4xx), 0 to 1", 0.1)] = UNSET
    permanent: Annotated[float | UnsetType, _about("how often it refuses (5xx), 0 to 1", 0.05)] = UNSET
    drop: Annotated[float | UnsetType, _about("how often it loses the connection, 0 to 1", 0.02)] = UNSET
    slow: Annotated[float | UnsetType, _about("how often it is slow, 0 to 1", 0.05)] = UNSET
    delay: Annotated[float | UnsetType, _about("seconds a slow answer takes, at most 600", 3)] = UNSET


def names(shape: type[Struct]) -> frozenset[str]:
    """The fields of a request as senders name them."""
    return frozenset(found.encode_name for found in msgspec.structs.fields(shape))
