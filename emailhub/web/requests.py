"""What the API takes, as documentation. Bodies are read field by field elsewhere, so that all problems show at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from emailhub.web.kinds import (
    CORRELATION,
    HEADER_NAME,
    KEY_PATTERN,
    SOMEBODY,
    Address,
    Addresses,
    Duration,
    Instant,
    Label,
    Line,
    Mailbox,
    Moment,
    Reason,
    RequestId,
    Share,
    SomeAddresses,
    Text,
    about,
    limited,
    one_of,
)


class TagRequest(Struct):
    """A label."""

    name: Label
    value: Label


class AttachmentRequest(Struct, kw_only=True, omit_defaults=True):
    """A file that goes with a message: with `content`, or with `path` where the hub fetches files."""

    filename: Annotated[
        str | UnsetType,
        about("its name, in any script, without a folder", "invoice.pdf", minLength=1, maxLength=255),
    ] = UNSET
    content: Annotated[
        Annotated[str, limited(format="byte")]
        | Annotated[list[Annotated[int, Meta(ge=0, le=255)]], limited(minItems=1)]
        | UnsetType,
        about("its bytes in base64, or as a list of numbers", "SGVsbG8="),
    ] = UNSET
    path: Annotated[
        str | UnsetType,
        about("an https URL it is fetched from, instead of content", "https://example.com/a.pdf", format="https-url"),
    ] = UNSET
    content_type: Annotated[
        str | UnsetType,
        about("its MIME type; what the name says when left out", "application/pdf", format="media-type"),
    ] = UNSET
    content_id: Annotated[
        str | UnsetType,
        about("the html shows it in its place as `cid:` and this", "logo", minLength=1, format="content-id"),
    ] = UNSET
    inline_content_id: Annotated[
        str | UnsetType, about("the same under its older name", "logo", minLength=1, format="content-id")
    ] = UNSET


class TemplateRequest(Struct, kw_only=True, omit_defaults=True):
    """A template in place of a text. A `from`, `reply_to` and `subject` beside it go before the template's own."""

    id: Annotated[
        str,
        about("the template's name, or a stored one's id", "welcome", pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,98}$"),
    ]
    variables: Annotated[
        dict[str, Any] | UnsetType,
        about(
            "values for it: at most 10,000, with 262,144 characters and 16 levels of lists and objects",
            {"name": "Ada"},
            propertyNames={"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
        ),
    ] = UNSET
    language: Annotated[
        str | UnsetType,
        about(
            "the language wanted; where there is none for `pt-BR`, that for `pt`, then the one without a language",
            "fr",
            pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        ),
    ] = UNSET


class EmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message. It needs `to`, and `subject` with one of `text`, `html` and `body`, or else a `template`."""

    to: Annotated[
        Addresses | UnsetType,
        about("one address or a list; with cc and bcc 1 to 50", "ada@example.org"),
    ] = UNSET
    subject: Annotated[
        Line | UnsetType,
        about("1 to 998 characters on one line; with a template, in place of its own", "Your invoice", maxLength=998),
    ] = UNSET
    text: Annotated[Text | UnsetType, about("the plain text", "Hello Ada")] = UNSET
    html: Annotated[
        Text | UnsetType, about("the HTML, shown instead of the text by programs that can", "<p>Hello Ada</p>")
    ] = UNSET
    body: Annotated[Text | UnsetType, about("HTML when it contains an HTML tag, otherwise text", "Hello Ada")] = UNSET
    template: Annotated[
        TemplateRequest | UnsetType,
        about("a template and its variables, in place of text, html and body", {"id": "welcome"}),
    ] = UNSET
    from_: Annotated[
        Mailbox | UnsetType, about("the sender; the hub's own when left out", "Shop <shop@example.com>")
    ] = field(name="from", default=UNSET)
    cc: Annotated[Addresses | UnsetType, about("further recipients, visible to all", ["bob@example.org"])] = UNSET
    bcc: Annotated[Addresses | UnsetType, about("further recipients, visible to nobody", "carol@example.org")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, about("where answers go", "help@example.com")] = UNSET
    attachments: Annotated[
        list[AttachmentRequest] | UnsetType,
        about(
            "files, at most 50; the whole message has a limit of its own",
            [{"filename": "hello.txt", "content": "SGVsbG8="}],
            maxItems=50,
        ),
    ] = UNSET
    headers: Annotated[
        dict[str, Line] | UnsetType,
        about(
            "further headers, at most 50; none that a field or the hub sets itself",
            {"X-Order": "4711"},
            maxProperties=50,
            propertyNames={"pattern": HEADER_NAME},
        ),
    ] = UNSET
    unsubscribe_url: Annotated[
        str | UnsetType,
        about(
            "where a POST unsubscribes at once (RFC 8058): mail programs show a button for it when DKIM signs the mail",
            "https://example.org/unsubscribe/42",
            format="https-url",
            maxLength=900,
        ),
    ] = UNSET
    tags: Annotated[
        list[TagRequest] | UnsetType,
        about(
            "labels of ASCII letters, digits, _ and -, at most 50", [{"name": "kind", "value": "invoice"}], maxItems=50
        ),
    ] = UNSET
    metadata: Annotated[
        dict[str, Annotated[str, Meta(max_length=1024)] | float] | UnsetType,
        about(
            "names and values kept with the message, at most 50",
            {"order": "4711"},
            maxProperties=50,
            propertyNames={"minLength": 1, "maxLength": 64},
        ),
    ] = UNSET
    request_id: Annotated[
        RequestId | UnsetType, about("your own id; also the idempotency key when no other is given", "order-4711")
    ] = UNSET
    idempotency_key: Annotated[
        str | UnsetType, about("like the header Idempotency-Key", "invoice/4711", pattern=KEY_PATTERN)
    ] = UNSET
    on_unknown: Annotated[
        Literal["retry", "hold", "fail"] | UnsetType,
        about("what to do when the server may have taken the message: its final reply never came", "hold"),
    ] = UNSET
    priority: Annotated[Literal["high", "normal", "low"] | UnsetType, about("which goes first", "high")] = UNSET
    scheduled_at: Annotated[
        Moment | UnsetType,
        about(
            "not before this time: ISO 8601 with a zone, or plain words in UTC, such as `in 30 min`, `in 2 hours`, "
            "`tomorrow at 9am`, `monday at 14:30`, `next friday at noon`, `at 18:00`",
            "2027-01-31T09:30:00Z",
            "in 1 hour",
        ),
    ] = UNSET
    expires_at: Annotated[
        Instant | UnsetType, about("give up at this time, ISO 8601 with a zone", "2027-02-01T09:30:00Z")
    ] = UNSET
    expires_in: Annotated[Duration | UnsetType, about("give up after this long, from when it may be sent", "24h")] = (
        UNSET
    )
    correlation_id: Annotated[
        str | UnsetType,
        about(
            "your id to follow the message by in logs; like the header X-Correlation-Id",
            "cart-17",
            pattern=CORRELATION,
        ),
    ] = UNSET
    store_body: Annotated[
        bool | UnsetType,
        about("false: the content is shown nowhere, and erased as soon as the message is final; default true", False),
    ] = UNSET


class SendEmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message as the original service took it."""

    to: Annotated[Addresses, about("one address or a list", "ada@example.org")]
    subject: Annotated[Line, about("1 to 998 characters on one line", "Your invoice", maxLength=998)]
    request_id: Annotated[RequestId, about("your id, the idempotency key; `/status/` knows it", "order-4711")]
    body: Annotated[Text | UnsetType, about("HTML when it contains an HTML tag, otherwise text", "Hello Ada")] = UNSET
    html: Annotated[Text | UnsetType, about("the HTML beside a plain body", "<p>Hello Ada</p>")] = UNSET
    from_: Annotated[
        Mailbox | UnsetType, about("the sender; the hub's own when left out", "Shop <shop@example.com>")
    ] = field(name="from", default=UNSET)
    cc: Annotated[Addresses | UnsetType, about("further recipients, visible to all", ["bob@example.org"])] = UNSET
    bcc: Annotated[Addresses | UnsetType, about("further recipients, visible to nobody", "carol@example.org")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, about("where answers go", "help@example.com")] = UNSET


class StatusRequest(Struct):
    """Which message is meant."""

    request_id: Annotated[RequestId, about("the id the message was sent with", "order-4711")]


class RescheduleRequest(Struct, omit_defaults=True):
    """When to send a scheduled message instead."""

    scheduled_at: Annotated[
        Moment, about("ISO 8601 with a zone, or plain words in UTC, as when it was sent", "2027-01-31T09:30:00Z")
    ]
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "customer asked")] = UNSET


class VerbRequest(Struct, omit_defaults=True):
    """Why, for the history; the body may be left out."""

    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "customer asked")] = UNSET


class ResendMessageRequest(Struct, omit_defaults=True):
    """To whom, and why, for the history; the body may be left out."""

    to: Annotated[
        SomeAddresses | UnsetType, about("who gets it; everybody it was for when left out", "ada@example.org")
    ] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "the mailbox was full")] = UNSET


class BreakerRequest(Struct, omit_defaults=True):
    """What the breaker shall do."""

    state: Annotated[
        Literal["open", "closed", "auto"],
        about("open: stop mail; closed: go on in spite of failures; auto: let it decide", "open"),
    ]
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "maintenance")] = UNSET
    until: Annotated[
        Instant | UnsetType,
        about("back to auto at this time, ISO 8601 with a zone; with open or closed", "2027-01-31T09:30:00Z"),
    ] = UNSET


_ORIGIN = "why: bounce, complaint, unsubscribe or, when left out, manual"
_Origin = Literal["bounce", "complaint", "unsubscribe", "manual"]


class SuppressionRequest(Struct, omit_defaults=True):
    """An address nothing shall be sent to."""

    email: Annotated[Address, about("the address; upper and lower case make no difference", "ada@example.org")]
    origin: Annotated[_Origin | UnsetType, about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "asked on the phone")] = UNSET


class SuppressionsRequest(Struct, omit_defaults=True):
    """Addresses nothing shall be sent to."""

    emails: Annotated[
        list[Address], about("1 to 100 addresses", ["ada@example.org", "bob@example.org"], minItems=1, maxItems=100)
    ]
    origin: Annotated[_Origin | UnsetType, about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "asked on the phone")] = UNSET


class LiftRequest(Struct, omit_defaults=True):
    """Addresses mail shall go to again: `emails` or `ids`."""

    emails: Annotated[
        list[Address] | UnsetType, about("1 to 100 addresses", ["ada@example.org"], minItems=1, maxItems=100)
    ] = UNSET
    ids: Annotated[
        list[Annotated[str, limited(pattern="^[1-9][0-9]{0,17}$")]] | UnsetType,
        about("1 to 100 ids of entries", ["17"], minItems=1, maxItems=100),
    ] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "they asked again")] = UNSET


class ResumeSenderRequest(Struct):
    """Whose mail may go again."""

    domain: Annotated[
        str,
        about("the domain of the suspended From addresses", "example.com", minLength=1, maxLength=253),
    ]


class BehaviourRequest(Struct, omit_defaults=True):
    """How the chaos relay shall behave; what is left out stays as it is. The first three are at most 1 together."""

    transient: Annotated[Share | UnsetType, about("how often it puts off (4xx), 0 to 1", 0.1)] = UNSET
    permanent: Annotated[Share | UnsetType, about("how often it refuses (5xx), 0 to 1", 0.05)] = UNSET
    drop: Annotated[Share | UnsetType, about("how often it loses the connection, 0 to 1", 0.02)] = UNSET
    slow: Annotated[Share | UnsetType, about("how often it is slow, 0 to 1", 0.05)] = UNSET
    delay: Annotated[
        float | UnsetType, about("seconds a slow answer takes, at most 600", 3, minimum=0, maximum=600)
    ] = UNSET


NEEDS: dict[type[Struct], dict[str, object]] = {
    EmailRequest: {
        "allOf": [
            one_of("to", "cc", "bcc", there=SOMEBODY),
            {"anyOf": [{"allOf": [one_of("subject"), one_of("text", "html", "body")]}, one_of("template")]},
        ]
    },
    AttachmentRequest: {"allOf": [one_of("content", "path"), one_of("filename", "content_id", "path")]},
    SendEmailRequest: one_of("body", "html") | {"allOf": [{"properties": {"to": SOMEBODY}}]},
    LiftRequest: one_of("emails", "ids"),
    StatusRequest: {"additionalProperties": True},
}
"""What holds beside the types of the fields, as JSON Schema."""


def shapes_sent() -> list[type[Struct]]:
    """Every shape of this module: what is sent, and never answered."""
    return [
        one for one in globals().values() if isinstance(one, type) and issubclass(one, Struct) and one is not Struct
    ]


def names(shape: type[Struct]) -> frozenset[str]:
    """The fields of a request as senders name them."""
    return frozenset(found.encode_name for found in msgspec.structs.fields(shape))
