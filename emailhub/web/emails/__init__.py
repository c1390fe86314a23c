"""Messages as JSON: given, listed, read, retried, held and canceled. Paths, fields and error names are Resend's."""

from __future__ import annotations

from litestar import Router

from emailhub.web.emails import batch, changing, reading, sending
from emailhub.web.emails.sending import lanes

__all__ = ["lanes", "router"]


def router() -> Router:
    """The routes of these modules."""
    return Router("/", route_handlers=[*sending.HANDLERS, *batch.HANDLERS, *reading.HANDLERS, *changing.HANDLERS])
