"""Addresses that clients of the API know and this hub does not serve: a 404 that says what there is instead."""

from __future__ import annotations

from typing import Final

from litestar import Router, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

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
_NO_MAIL: Final = "There are no received messages here: emailhub receives no mail"
_NO_LINKS: Final = (
    "There are no links to share here: emailhub shows a message only to people who may log in, on its page"
)
OF_EMAILS: Final[dict[str, str]] = {
    "/emails/metrics": "There are no figures here: emailhub counts in GET /metrics",
    "/emails/receiving": _NO_MAIL,
    "/emails/receiving/{rest:path}": _NO_MAIL,
    "/emails/{id:str}/share": _NO_LINKS,
}
"""By the path as the routes have it, those below the address of messages."""
_METHODS: Final[tuple[Method, ...]] = ("GET", "POST", "PUT", "PATCH", "DELETE")


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[elsewhere, *(_of_emails(path, instead) for path, instead in OF_EMAILS.items())])


@route(
    [path for name in ELSEWHERE for path in (f"/{name}", f"/{name}/{{rest:path}}")],
    http_method=_METHODS,
    name="elsewhere",
)
async def elsewhere(request: AnyRequest) -> None:
    """Say that there is nothing here."""
    name = request.scope["path"].split("/", 2)[1]
    raise _nothing(f"There are no {name} here: emailhub {ELSEWHERE[name]}")


def _of_emails(path: str, instead: str) -> HTTPRouteHandler:
    @route(path, http_method=_METHODS, sync_to_thread=False)
    def handler() -> None:
        raise _nothing(instead)

    return handler


def _nothing(instead: str) -> WebError:
    return WebError(404, "not_found", f"{instead}. /docs lists what there is.")
