"""Addresses that clients of the API know and this hub does not serve: a 404 that says what there is instead."""

from __future__ import annotations

from typing import Final

from litestar import Router, route

from emailhub.web.errors import WebError
from emailhub.web.visit import AnyRequest

_LISTS = "keeps no lists of people; send to those a message is for, up to 100 messages at once with POST /emails/batch"
_PROVIDER = "sends over SMTP accounts whose domains are set up with their provider; GET /relays shows the accounts"
_KEYS = "knows callers by their API keys (/api-keys)"
ELSEWHERE: Final[dict[str, str]] = {
    "oauth": _KEYS,
    "audiences": _LISTS,
    "automations": _LISTS,
    "broadcasts": _LISTS,
    "contact-properties": _LISTS,
    "contacts": _LISTS,
    "segments": _LISTS,
    "topics": _LISTS,
    "domains": _PROVIDER,
    "inboxes": "receives no mail",
    "logs": "has the story of each message at GET /emails/{id}/events and /attempts, and its own log on standard error",
    "usage": "counts in GET /metrics",
    "webhooks": "calls no web hooks; GET /events streams everything that happens",
}
"""By the first segment of the path: what this hub does instead."""


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[elsewhere])


@route(
    [path for name in ELSEWHERE for path in (f"/{name}", f"/{name}/{{rest:path}}")],
    http_method=["GET", "POST", "PUT", "PATCH", "DELETE"],
    name="elsewhere",
)
async def elsewhere(request: AnyRequest) -> None:
    """Say that there is nothing here."""
    name = request.scope["path"].split("/", 2)[1]
    raise WebError(
        404, "not_found", f"There are no {name} here: emailhub {ELSEWHERE[name]}. /docs lists what there is."
    )
