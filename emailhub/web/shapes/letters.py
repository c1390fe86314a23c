"""Dead letters of the queue as the API answers them."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.letters import Letter, LetterStatus
from emailhub.web.shapes.times import Time, iso, maybe_iso

_ID = Annotated[str, Meta(description="the dead letter's id; it never comes back", examples=["17"])]


class LetterShape(Struct, frozen=True, kw_only=True):
    """A body from the queue that could not be read."""

    object: Literal["dead_letter"] = "dead_letter"
    id: _ID
    status: LetterStatus
    reason: Annotated[str, Meta(description="why it could not be read", examples=["invalid: to: is required"])]
    size: Annotated[int, Meta(description="bytes of its body", examples=[412])]
    content_type: Annotated[str, Meta(examples=["application/json"])]
    routing_key: Annotated[str, Meta(examples=["email"])]
    correlation_id: Annotated[str, Meta(examples=["5f0c1a"])]
    request_id: Annotated[str | None, Meta(description="the publisher's id, where it could be read")]
    headers: Annotated[dict[str, str], Meta(description="what its publisher set", examples=[{"x-tenant": "a"}])]
    created_at: Time
    settled_at: Time | None
    settled_by: Annotated[str, Meta(description="who decided about it", examples=["key billing from 10.0.0.9"])]
    settled_because: Annotated[str, Meta(examples=["the address had a comma in it"])]
    email_id: Annotated[str | None, Meta(description="the message it became", examples=["01M86ZVV9FQESMTXYZCHHA5N7M"])]

    @classmethod
    def of(cls, letter: Letter) -> LetterShape:
        return cls(**_facts(letter))  # type: ignore[arg-type]


class LetterDetail(LetterShape, frozen=True, kw_only=True):
    """A dead letter with its body, as text when it is UTF-8, else in Base64; both null when it is not kept."""

    body: Annotated[str | None, Meta(examples=['{"to": "ada@"}'])]
    body_base64: Annotated[str | None, Meta(examples=[None])]

    @classmethod
    def of(cls, letter: Letter) -> LetterDetail:
        text = as_text(letter.body)
        coded = b64encode(letter.body).decode() if letter.body is not None and text is None else None
        return cls(**_facts(letter), body=text, body_base64=coded)  # type: ignore[arg-type]


class LetterList(Struct, frozen=True):
    """A page of dead letters, newest first, and how many there are of each status."""

    data: list[LetterShape]
    has_more: bool
    counts: Annotated[dict[LetterStatus, int], Meta(examples=[{"open": 3, "resent": 1, "discarded": 0}])]
    object: Literal["list"] = "list"


def as_text(body: bytes | None) -> str | None:
    """`body` where it is UTF-8."""
    try:
        return None if body is None else body.decode()
    except UnicodeDecodeError:
        return None


def _facts(letter: Letter) -> dict[str, object]:
    return {
        "id": str(letter.id),
        "status": letter.status,
        "reason": letter.reason,
        "size": letter.size,
        "content_type": letter.content_type,
        "routing_key": letter.routing_key,
        "correlation_id": letter.correlation_id,
        "request_id": letter.request_id,
        "headers": letter.given,
        "created_at": iso(letter.at),
        "settled_at": maybe_iso(letter.settled_at),
        "settled_by": letter.actor,
        "settled_because": letter.note,
        "email_id": letter.message,
    }
