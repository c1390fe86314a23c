"""Which scope each route needs. One table for all: a route that is missing here is closed to all but administrators.

Who may come in at all is the gate's to say; this is about what they may do then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from emailhub.core.access import Kind, Principal, Scope
from emailhub.web.elsewhere import ELSEWHERE, OF_EMAILS
from emailhub.web.errors import WebError

Need: TypeAlias = frozenset[Scope]
"""One of these scopes is needed; none: nothing is."""

PUBLIC: Final[Need] = frozenset()
SEND: Final = frozenset({Scope.SEND})
READ: Final = frozenset({Scope.READ})
ADMIN: Final = frozenset({Scope.ADMIN})
ASK: Final = SEND | READ
"""Who gives a message may ask what became of it."""
ANY: Final = frozenset(Scope)

NEEDS: Final[Mapping[str, Mapping[str, Need]]] = {
    # messages in
    "/send_email": {"POST": SEND},
    "/status": {"POST": ASK},
    "/emails": {"POST": SEND, "GET": READ},
    "/emails/batch": {"POST": SEND},
    # many messages
    "/emails/bulk": {"POST": ADMIN},
    "/bulk": {"GET": READ},
    "/bulk/{job_id}": {"GET": READ},
    "/bulk/{job_id}/stop": {"POST": ADMIN},
    "/jobs": {"GET": READ, "POST": ADMIN},
    "/jobs/new": {"GET": ADMIN},
    "/jobs/{job_id}": {"GET": READ},
    "/jobs/{job_id}/stop": {"POST": ADMIN},
    "/messages/csv": {"GET": READ},
    "/messages/jsonl": {"GET": READ},
    # messages as JSON
    "/emails/{id}": {"GET": READ, "PATCH": ADMIN},
    "/emails/{id}/attachments": {"GET": READ},
    "/emails/{id}/attachments/{attachment_id}": {"GET": READ},
    "/emails/{id}/attachments/{attachment_id}/content": {"GET": READ},
    "/emails/{id}/attempts": {"GET": READ},
    "/emails/{id}/events": {"GET": READ},
    "/emails/{id}/cancel": {"POST": ADMIN},
    "/emails/{id}/hold": {"POST": ADMIN},
    "/emails/{id}/resend": {"POST": ADMIN},
    "/emails/{id}/retry": {"POST": ADMIN},
    # pages about messages
    "/": {"GET": READ},
    "/messages": {"GET": READ},
    "/messages/{id}": {"GET": READ},
    "/messages/{id}/files/{number}": {"GET": READ},
    "/messages/{id}/copies": {"POST": ADMIN},
    "/messages/{id}/preview": {"GET": READ, "POST": READ},
    "/messages/{id}/source": {"GET": READ},
    "/messages/{id}/{verb}": {"POST": ADMIN},
    "/send": {"GET": SEND, "POST": SEND},
    # dead letters of the queue
    "/dead-letters": {"GET": READ},
    "/dead-letters/{letter}": {"GET": READ},
    "/dead-letters/{letter}/body": {"GET": READ},
    "/dead-letters/{letter}/message": {"POST": ADMIN},
    "/dead-letters/{letter}/discarding": {"POST": ADMIN},
    "/dead-letters/{letter}/resend": {"POST": ADMIN},
    "/dead-letters/{letter}/discard": {"POST": ADMIN},
    # relays
    "/breakers": {"GET": READ},
    "/breakers/{relay}": {"GET": READ, "POST": ADMIN},
    "/relays": {"GET": READ},
    "/relays/{relay}": {"GET": READ},
    "/relays/{relay}/behaviour": {"POST": ADMIN},
    "/relays/{relay}/breaker": {"POST": ADMIN},
    "/relays/{relay}/chaos": {"POST": ADMIN},
    "/relays/{relay}/resume-sender": {"POST": ADMIN},
    "/relays/{relay}/sender": {"POST": ADMIN},
    "/relays/{relay}/test": {"POST": SEND},
    # who gets no mail
    "/suppressions": {"GET": READ, "POST": ADMIN},
    "/suppressions/add": {"POST": ADMIN},
    "/suppressions/batch/add": {"POST": ADMIN},
    "/suppressions/batch/remove": {"POST": ADMIN},
    "/suppressions/lift": {"POST": ADMIN},
    "/suppressions/{key}": {"GET": READ, "DELETE": ADMIN},
    # templates
    "/new-template": {"GET": ADMIN, "POST": ADMIN},
    "/templates": {"GET": READ, "POST": ADMIN},
    "/templates/{template}": {"GET": READ, "PATCH": ADMIN, "DELETE": ADMIN},
    "/templates/{template}/copy": {"POST": ADMIN},
    "/templates/{template}/duplicate": {"POST": ADMIN},
    "/templates/{template}/edit": {"GET": ADMIN, "POST": ADMIN},
    "/templates/{template}/preview": {"GET": READ},
    "/templates/{template}/publish": {"POST": ADMIN},
    "/templates/{template}/published": {"POST": ADMIN},
    "/templates/{template}/removal": {"POST": ADMIN},
    "/templates/{template}/render": {"POST": READ},
    "/templates/{template}/test": {"POST": ADMIN},
    "/templates/{template}/versions": {"GET": READ},
    # keys
    "/api-keys": {"GET": ADMIN, "POST": ADMIN},
    "/api-keys/{key_id}": {"GET": ADMIN, "DELETE": ADMIN},
    "/api-keys/{key_id}/rotate": {"POST": ADMIN},
    "/api-keys/made": {"POST": ADMIN},
    "/api-keys/{key_id}/rotation": {"POST": ADMIN},
    "/api-keys/{key_id}/revocation": {"POST": ADMIN},
    # the hub
    "/users": {"GET": ADMIN, "POST": ADMIN},
    "/users/added": {"POST": ADMIN},
    "/users/{name}": {"PATCH": ADMIN, "DELETE": ADMIN},
    "/users/{name}/logout": {"POST": ADMIN},
    "/users/{name}/password": {"POST": ADMIN},
    "/users/{name}/removal": {"POST": ADMIN},
    "/users/{name}/role": {"POST": ADMIN},
    "/users/{name}/sessions": {"DELETE": ADMIN},
    "/audit": {"GET": ADMIN},
    "/audit/csv": {"GET": ADMIN},
    "/reload": {"POST": ADMIN},
    "/settings": {"GET": ADMIN},
    "/settings/reload": {"POST": ADMIN},
    "/theme": {"POST": READ},
    "/account": {"GET": READ},
    "/account/password": {"POST": READ},
    "/patterns": {"GET": READ},
    "/events": {"GET": READ},
    "/metrics": {"GET": READ},
    "/docs": {"GET": ANY},
    "/schema/openapi.json": {"GET": ANY},
    "/health": {"GET": PUBLIC},
    "/health/live": {"GET": PUBLIC},
    "/health/ready": {"GET": PUBLIC},
    "/static/{name}": {"GET": PUBLIC},
    "/login": {"GET": PUBLIC, "POST": PUBLIC},
    "/logout": {"POST": PUBLIC},
    "/logout-everywhere": {"POST": READ},
    # what there is not, and what to use instead
    **{
        path: dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), ANY)
        for name in ELSEWHERE
        for path in (f"/{name}", f"/{name}/{{rest}}")
    },
    **{
        path: dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), ANY)
        for path in (path.replace(":path", "").replace(":str", "") for path in OF_EMAILS)
    },
}
"""By the path as the routes have it, then by method; whatever answers GET answers HEAD."""


def needed(path: str, method: str) -> Need:
    """What a route needs."""
    return NEEDS.get(path, {}).get(method, ADMIN)


def check(principal: Principal, need: Need) -> None:
    """Raises WebError (403) when `principal` may not do what needs one of the scopes in `need`."""
    if not need or principal.may(need):
        return
    if principal.kind is Kind.KEY:
        raise WebError(403, "restricted_api_key", f"This API key may not do that: it needs the scope {words(need)}.")
    if principal.kind is Kind.ACCOUNT:
        # A viewer may do all that needs no operator.
        raise WebError(403, "invalid_permission", f"{principal.name} may not do that: it needs the role operator.")
    raise WebError(403, "invalid_permission", f"{principal.name} may not do that: it needs the scope {words(need)}.")


def words(need: Need) -> str:
    """One of them, as people say it: `send` or `read`."""
    return " or ".join(f"`{scope}`" for scope in Scope if scope in need)
