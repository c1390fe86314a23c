"""What the endpoints answer that existing clients know."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


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
