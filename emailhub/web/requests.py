"""What the API takes, as documentation. Bodies are read field by field elsewhere, so that all problems show at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field


def _about(text: str, *examples: object, **schema: object) -> Meta:
    """The meaning of a field; `schema` is what JSON Schema can say of its limits."""
    return Meta(description=text, examples=list(examples) or None, extra_json_schema=schema or None)


def _limited(**schema: object) -> Meta:
    return Meta(extra_json_schema=schema)


Mailbox = Annotated[str, _limited(format="mailbox")]
"""`ada@example.org` or `Ada Lovelace <ada@example.org>`."""
Address = Annotated[str, _limited(format="address")]
Addresses = Mailbox | list[Mailbox]
Line = Annotated[str, _limited(minLength=1, maxLength=4096)]
"""Text that goes into a header: no control character, no line break, not only spaces."""
Text = Annotated[str, _limited(minLength=1)]
Moment = Annotated[str, _limited(format="moment")] | Annotated[float, _limited(minimum=0)]
"""As Instant, or plain words."""
Instant = Annotated[str, _limited(format="date-time")] | Annotated[float, _limited(minimum=0)]
"""ISO 8601 with a zone, or unix seconds; at most 366 days ahead."""
Duration = (
    Annotated[str, _limited(pattern="^[0-9]{1,9}([.][0-9]{1,3})?[smhd]$")]
    | Annotated[float, _limited(exclusiveMinimum=0, maximum=31622400)]
)
Share = Annotated[float, Meta(ge=0, le=1)]
Label = Annotated[str, _limited(pattern="^[A-Za-z0-9_-]{1,256}$")]
Reason = Annotated[str, _limited(maxLength=500)]
RequestId = Annotated[str, _limited(minLength=1, maxLength=256)]
_KEY_PATTERN = "^[!-~]{1,256}$"
_CORRELATION = "^[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}$"
_HEADER_NAME = "^[A-Za-z][A-Za-z0-9-]{0,63}$"


class TagRequest(Struct):
    """A label."""

    name: Label
    value: Label


class AttachmentRequest(Struct, kw_only=True, omit_defaults=True):
    """A file that goes with a message: with `content`, or with `path` where the hub fetches files."""

    filename: Annotated[
        str | UnsetType,
        _about("its name, in any script, without a folder", "invoice.pdf", minLength=1, maxLength=255),
    ] = UNSET
    content: Annotated[
        Annotated[str, _limited(format="byte")]
        | Annotated[list[Annotated[int, Meta(ge=0, le=255)]], _limited(minItems=1)]
        | UnsetType,
        _about("its bytes in base64, or as a list of numbers", "SGVsbG8="),
    ] = UNSET
    path: Annotated[
        str | UnsetType,
        _about("an https URL it is fetched from, instead of content", "https://example.com/a.pdf", format="https-url"),
    ] = UNSET
    content_type: Annotated[
        str | UnsetType,
        _about("its MIME type; what the name says when left out", "application/pdf", format="media-type"),
    ] = UNSET
    content_id: Annotated[
        str | UnsetType,
        _about("the html shows it in its place as `cid:` and this", "logo", format="content-id"),
    ] = UNSET
    inline_content_id: Annotated[
        str | UnsetType, _about("the same under its older name", "logo", format="content-id")
    ] = UNSET


class TemplateRequest(Struct, kw_only=True, omit_defaults=True):
    """A template in place of a text. A `from`, `reply_to` and `subject` beside it go before the template's own."""

    id: Annotated[
        str,
        _about("the template's name, or a stored one's id", "welcome", pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,98}$"),
    ]
    variables: Annotated[
        dict[str, Any] | UnsetType,
        _about(
            "values for it: at most 10,000, with 262,144 characters and 16 levels of lists and objects",
            {"name": "Ada"},
            propertyNames={"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
        ),
    ] = UNSET
    language: Annotated[
        str | UnsetType,
        _about(
            "the language wanted; where there is none for `pt-BR`, that for `pt`, then the one without a language",
            "fr",
            pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        ),
    ] = UNSET


class EmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message. It needs `to`, and `subject` with one of `text`, `html` and `body`, or else a `template`."""

    to: Annotated[
        Addresses | UnsetType,
        _about("one address or a list; with cc and bcc 1 to 50", "ada@example.org"),
    ] = UNSET
    subject: Annotated[
        Line | UnsetType,
        _about("1 to 998 characters on one line; with a template, in place of its own", "Your invoice", maxLength=998),
    ] = UNSET
    text: Annotated[Text | UnsetType, _about("the plain text", "Hello Ada")] = UNSET
    html: Annotated[
        Text | UnsetType, _about("the HTML, shown instead of the text by programs that can", "<p>Hello Ada</p>")
    ] = UNSET
    body: Annotated[Text | UnsetType, _about("HTML when it contains an HTML tag, otherwise text", "Hello Ada")] = UNSET
    template: Annotated[
        TemplateRequest | UnsetType,
        _about("a template and its variables, in place of text, html and body", {"id": "welcome"}),
    ] = UNSET
    from_: Annotated[
        Mailbox | UnsetType, _about("the sender; the hub's own when left out", "Shop <shop@example.com>")
    ] = field(name="from", default=UNSET)
    cc: Annotated[Addresses | UnsetType, _about("further recipients, visible to all", ["bob@example.org"])] = UNSET
    bcc: Annotated[Addresses | UnsetType, _about("further recipients, visible to nobody", "carol@example.org")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, _about("where answers go", "help@example.com")] = UNSET
    attachments: Annotated[
        list[AttachmentRequest] | UnsetType,
        _about(
            "files, at most 50; the whole message has a limit of its own",
            [{"filename": "hello.txt", "content": "SGVsbG8="}],
            maxItems=50,
        ),
    ] = UNSET
    headers: Annotated[
        dict[str, Line] | UnsetType,
        _about(
            "further headers, at most 50; none that a field or the hub sets itself",
            {"X-Order": "4711"},
            maxProperties=50,
            propertyNames={"pattern": _HEADER_NAME},
        ),
    ] = UNSET
    unsubscribe_url: Annotated[
        str | UnsetType,
        _about(
            "where a POST unsubscribes at once (RFC 8058): mail programs show a button for it when DKIM signs the mail",
            "https://example.org/unsubscribe/42",
            format="https-url",
            maxLength=900,
        ),
    ] = UNSET
    tags: Annotated[
        list[TagRequest] | UnsetType,
        _about(
            "labels of ASCII letters, digits, _ and -, at most 50", [{"name": "kind", "value": "invoice"}], maxItems=50
        ),
    ] = UNSET
    metadata: Annotated[
        dict[str, Annotated[str, Meta(max_length=1024)] | float] | UnsetType,
        _about(
            "names and values kept with the message, at most 50",
            {"order": "4711"},
            maxProperties=50,
            propertyNames={"minLength": 1, "maxLength": 64},
        ),
    ] = UNSET
    request_id: Annotated[
        RequestId | UnsetType, _about("your own id; also the idempotency key when no other is given", "order-4711")
    ] = UNSET
    idempotency_key: Annotated[
        str | UnsetType, _about("like the header Idempotency-Key", "invoice/4711", pattern=_KEY_PATTERN)
    ] = UNSET
    on_unknown: Annotated[
        Literal["retry", "hold", "fail"] | UnsetType,
        _about("what to do when the server may have taken the message: its final reply never came", "hold"),
    ] = UNSET
    priority: Annotated[Literal["high", "normal", "low"] | UnsetType, _about("which goes first", "high")] = UNSET
    scheduled_at: Annotated[
        Moment | UnsetType,
        _about(
            "not before this time: ISO 8601 with a zone, or plain words in UTC, such as `in 30 min`, `in 2 hours`, "
            "`tomorrow at 9am`, `monday at 14:30`, `next friday at noon`, `at 18:00`",
            "2027-01-31T09:30:00Z",
            "in 1 hour",
        ),
    ] = UNSET
    expires_at: Annotated[
        Instant | UnsetType, _about("give up at this time, ISO 8601 with a zone", "2027-02-01T09:30:00Z")
    ] = UNSET
    expires_in: Annotated[Duration | UnsetType, _about("give up after this long, from when it may be sent", "24h")] = (
        UNSET
    )
    correlation_id: Annotated[
        str | UnsetType,
        _about(
            "your id to follow the message by in logs; like the header X-Correlation-Id",
            "cart-17",
            pattern=_CORRELATION,
        ),
    ] = UNSET
    store_body: Annotated[
        bool | UnsetType,
        _about("false: the content is shown nowhere, and erased as soon as the message is final; default true", False),
    ] = UNSET


class SendEmailRequest(Struct, kw_only=True, omit_defaults=True):
    """A message as the original service took it."""

    to: Annotated[Addresses, _about("one address or a list", "ada@example.org")]
    subject: Annotated[Line, _about("1 to 998 characters on one line", "Your invoice", maxLength=998)]
    request_id: Annotated[RequestId, _about("your id, the idempotency key; `/status/` knows it", "order-4711")]
    body: Annotated[Text | UnsetType, _about("HTML when it contains an HTML tag, otherwise text", "Hello Ada")] = UNSET
    html: Annotated[Text | UnsetType, _about("the HTML beside a plain body", "<p>Hello Ada</p>")] = UNSET
    from_: Annotated[
        Mailbox | UnsetType, _about("the sender; the hub's own when left out", "Shop <shop@example.com>")
    ] = field(name="from", default=UNSET)
    cc: Annotated[Addresses | UnsetType, _about("further recipients, visible to all", ["bob@example.org"])] = UNSET
    bcc: Annotated[Addresses | UnsetType, _about("further recipients, visible to nobody", "carol@example.org")] = UNSET
    reply_to: Annotated[Addresses | UnsetType, _about("where answers go", "help@example.com")] = UNSET


class StatusRequest(Struct):
    """Which message is meant."""

    request_id: Annotated[RequestId, _about("the id the message was sent with", "order-4711")]


class RescheduleRequest(Struct, omit_defaults=True):
    """When to send a scheduled message instead."""

    scheduled_at: Annotated[
        Moment, _about("ISO 8601 with a zone, or plain words in UTC, as when it was sent", "2027-01-31T09:30:00Z")
    ]
    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "customer asked")] = UNSET


class VerbRequest(Struct, omit_defaults=True):
    """Why, for the history; the body may be left out."""

    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "customer asked")] = UNSET


class BreakerRequest(Struct, omit_defaults=True):
    """What the breaker shall do."""

    state: Annotated[
        Literal["open", "closed", "auto"],
        _about("open: stop mail; closed: go on in spite of failures; auto: let it decide", "open"),
    ]
    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "maintenance")] = UNSET
    until: Annotated[
        Instant | UnsetType,
        _about("back to auto at this time, ISO 8601 with a zone; with open or closed", "2027-01-31T09:30:00Z"),
    ] = UNSET


_ORIGIN = "why: bounce, complaint, unsubscribe or, when left out, manual"
_Origin = Literal["bounce", "complaint", "unsubscribe", "manual"]


class SuppressionRequest(Struct, omit_defaults=True):
    """An address nothing shall be sent to."""

    email: Annotated[Address, _about("the address; upper and lower case make no difference", "ada@example.org")]
    origin: Annotated[_Origin | UnsetType, _about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "asked on the phone")] = UNSET


class SuppressionsRequest(Struct, omit_defaults=True):
    """Addresses nothing shall be sent to."""

    emails: Annotated[
        list[Address], _about("1 to 100 addresses", ["ada@example.org", "bob@example.org"], minItems=1, maxItems=100)
    ]
    origin: Annotated[_Origin | UnsetType, _about(_ORIGIN, "unsubscribe")] = UNSET
    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "asked on the phone")] = UNSET


class LiftRequest(Struct, omit_defaults=True):
    """Addresses mail shall go to again: `emails` or `ids`."""

    emails: Annotated[
        list[Address] | UnsetType, _about("1 to 100 addresses", ["ada@example.org"], minItems=1, maxItems=100)
    ] = UNSET
    ids: Annotated[
        list[Annotated[str, _limited(pattern="^[1-9][0-9]{0,17}$")]] | UnsetType,
        _about("1 to 100 ids of entries", ["17"], minItems=1, maxItems=100),
    ] = UNSET
    reason: Annotated[Reason | UnsetType, _about("one line of at most 500 characters", "they asked again")] = UNSET


class ResumeSenderRequest(Struct):
    """Whose mail may go again."""

    domain: Annotated[
        str,
        _about("the domain of the suspended From addresses", "example.com", minLength=1, maxLength=253),
    ]


class BehaviourRequest(Struct, omit_defaults=True):
    """How the chaos relay shall behave; what is left out stays as it is. The first three are at most 1 together."""

    transient: Annotated[Share | UnsetType, _about("how often it puts off (4xx), 0 to 1", 0.1)] = UNSET
    permanent: Annotated[Share | UnsetType, _about("how often it refuses (5xx), 0 to 1", 0.05)] = UNSET
    drop: Annotated[Share | UnsetType, _about("how often it loses the connection, 0 to 1", 0.02)] = UNSET
    slow: Annotated[Share | UnsetType, _about("how often it is slow, 0 to 1", 0.05)] = UNSET
    delay: Annotated[
        float | UnsetType, _about("seconds a slow answer takes, at most 600", 3, minimum=0, maximum=600)
    ] = UNSET


_SOMEBODY: dict[str, object] = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
_NOT_NULL: dict[str, object] = {"not": {"type": "null"}}


def _one_of(*names: str, there: dict[str, object] = _NOT_NULL) -> dict[str, object]:
    """At least one of the fields is `there`."""
    return {"anyOf": [{"required": [name], "properties": {name: there}} for name in names]}


NEEDS: dict[type[Struct], dict[str, object]] = {
    EmailRequest: {
        "allOf": [
            _one_of("to", "cc", "bcc", there=_SOMEBODY),
            {"anyOf": [{"allOf": [_one_of("subject"), _one_of("text", "html", "body")]}, _one_of("template")]},
        ]
    },
    AttachmentRequest: {"allOf": [_one_of("content", "path"), _one_of("filename", "content_id", "path")]},
    SendEmailRequest: _one_of("body", "html"),
    LiftRequest: _one_of("emails", "ids"),
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
