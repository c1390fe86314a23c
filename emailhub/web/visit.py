"""What is known of a request before any handler runs: who sent it, for what, and the ids its log lines carry."""

from __future__ import annotations

import re
from typing import Any, TypeAlias, cast

from litestar import Request
from litestar.types import Scope
from msgspec import Struct

from emailhub.core.fields import CORRELATION_ID
from emailhub.core.records import Origin
from emailhub.engine.entropy import Entropy
from emailhub.engine.gate import Area, Caller

AnyRequest: TypeAlias = Request[Any, Any, Any]

PART = "x-part"
"""The header with which the script asks for the changing parts of a page, without its frame."""
_KEY = "emailhub.visit"
_REFUSED = "emailhub.refused"
_FORM = "application/x-www-form-urlencoded"
_entropy = Entropy()
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Trace(Struct, frozen=True):
    """The ids of a request: `correlation_id` goes with the message to its end, `request_id` names this one request.

    `traceparent` is what the client sent, when it is valid (W3C Trace Context §3.2), else "".
    """

    correlation_id: str
    request_id: str
    traceparent: str = ""


class Visit(Struct, frozen=True):
    """A request that was let in. `prefix` is the path the hub lives under ("" or "/mail"), `html` if a person reads."""

    area: Area
    caller: Caller
    trace: Trace
    prefix: str = ""
    html: bool = False

    def origin(self, face: str) -> Origin:
        """Where a message given with this request comes from."""
        return Origin(face, self.trace.correlation_id, self.caller.name, self.caller.principal)


def visit(request: AnyRequest) -> Visit:
    """The visit a handler answers."""
    return cast("Visit", request.scope["state"][_KEY])


def remember(scope: Scope, found: Visit) -> None:
    """Keep the visit with the request."""
    scope["state"][_KEY] = found


def refuse(scope: Scope, why: str) -> None:
    """Keep with the request why what it asks for is not done; the audit log will have it."""
    scope["state"][_REFUSED] = why


def refusal(scope: Scope) -> str | None:
    """What `refuse` kept."""
    return scope["state"].get(_REFUSED)


def for_people(headers: dict[str, str]) -> bool:
    """Whether a person's browser asks: for a page, for a part of one, or with a form."""
    form = headers.get("content-type", "").lower().startswith(_FORM)
    return form or PART in headers or "text/html" in headers.get("accept", "")


def trace_of(headers: dict[str, str], now: float) -> Trace:
    """The ids the client gave, where they are short and harmless in a log and a header, otherwise new ones."""
    correlation, request = _given(headers, "x-correlation-id"), _given(headers, "x-request-id")
    parent = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    correlation_id = correlation or request or (parent[1] if parent else _new_id(now))
    return Trace(correlation_id, request or correlation_id, parent[0] if parent else "")


def _new_id(now: float) -> str:
    """32 hex digits. They begin with the milliseconds, because an index of ids in no order writes a page for each."""
    return f"{int(now * 1000):012x}{_entropy(10).hex()}"


def _given(headers: dict[str, str], name: str) -> str | None:
    value = headers.get(name)
    return value if value is not None and CORRELATION_ID.fullmatch(value) else None
