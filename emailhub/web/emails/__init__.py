"""Messages as JSON: given, listed, read, retried, held and canceled. Paths, fields and error names are Resend's."""

from __future__ import annotations

from litestar import Router

from emailhub.web.emails import batch, changing, files, reading, sending
from emailhub.web.emails.sending import lanes

__all__ = ["lanes", "router"]


def router() -> Router:
    """The routes of these modules."""
    modules = (sending, batch, reading, files, changing)
    return Router("/", route_handlers=[handler for module in modules for handler in module.HANDLERS])
