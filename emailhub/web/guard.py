"""The outermost layer: every request passes the gate here, and every answer leaves with the same protective headers.

It sits outside the router, so that it also covers what the router itself answers (404, 405) and errors of handlers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils.path import normalize_path

from emailhub import logs
from emailhub.core.errors import Refused
from emailhub.engine.desk import Actor
from emailhub.engine.gate import SAFE_METHODS, Area, Caller, Denial, Gate, Knock, Way
from emailhub.engine.refusals import Refusals
from emailhub.engine.throttle import Throttle
from emailhub.web import scopes
from emailhub.web.bodies import BODY_BUDGET, Bodies, large
from emailhub.web.elsewhere import ELSEWHERE
from emailhub.web.errors import Answer, ErrorPage, answer, answer_of, denied
from emailhub.web.knocking import STREAM, headers_of, knock_of, tried_of
from emailhub.web.lanes import Asked, Lane
from emailhub.web.visit import Trace, Visit, for_people, refusal, remember, trace_of

log = logs.get("http")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: dict[bytes, bytes] = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms, and the gate would refuse them.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"cache-control": b"no-store",
}
"""On every answer, unless the handler set its own."""

WHOLE = "emailhub.whole"
"""The extension of our own server that writes a complete answer in one piece: `whole(status, head, body) -> bool`."""
_STATIC = b"".join(b"%b: %b\r\n" % header for header in HEADERS.items())

_AREAS = {
    "health": Area.OPEN,
    "static": Area.OPEN,
    "login": Area.LOGIN,
    "logout": Area.LOGIN,
    "send_email": Area.SEND,
    "status": Area.SEND,
    "emails": Area.API,
    "breakers": Area.API,
    "bulk": Area.API,
    "reload": Area.API,
    "events": Area.SHARED,
    "metrics": Area.SHARED,
    "docs": Area.SHARED,
    "schema": Area.SHARED,
    **dict.fromkeys(ELSEWHERE, Area.API),
}
"""By the first segment of the path; whatever is not named belongs to the dashboard."""
_BOTH = frozenset({"api-keys", "audit", "dead-letters", "relays", "settings", "suppressions", "templates", "users"})
"""Pages for people and JSON for programs at the same addresses: each face asks for its own credential."""
_PAGES = frozenset({Area.DASHBOARD, Area.LOGIN, Area.SHARED})
_COUNTED = frozenset({Area.API, Area.SEND})
"""The areas whose requests count against the rate; who watches the hub must not be refused when it is busy."""
_SHORT = 200
"""Characters of a path worth remembering."""


def area_of(path: str, headers: dict[str, str]) -> Area:
    """What a request for a normalised path is for."""
    first = path.split("/", 2)[1]
    if first in _BOTH and not for_people(headers):
        return Area.API
    return _AREAS.get(first, Area.DASHBOARD)


class Guard:
    """Wraps the application. `body_limit` in bytes, `prefix` the path the hub lives under ("" at the root).

    `lanes` answer the POST requests they take, by normalised path; see `lanes.Lane`. `throttle` holds programs to the
    rate of the API; a person logged in to the dashboard is not held. `bodies` limits what all bodies take together.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        prefix: str,
        body_limit: int,
        error_page: ErrorPage,
        now: Callable[[], float],
        lanes: Mapping[str, Lane] | None = None,
        throttle: Throttle | None = None,
        bodies: Bodies | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._prefix = prefix
        self._body_limit = body_limit
        self._error_page = error_page
        self._now = now
        self._lanes = lanes or {}
        self._throttle = throttle or Throttle()
        self._refusals = refusals
        self._bodies = bodies or Bodies(BODY_BUDGET)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": 1008, "reason": "There are no WebSockets here."})
            return
        headers = headers_of(scope["headers"])
        trace = trace_of(headers, self._now())
        outgoing = _Outgoing(send, trace, scope.get("extensions") or {})
        began = time.perf_counter()
        with logs.bound(correlation_id=trace.correlation_id):
            try:
                await self._serve(scope, headers, trace, receive, outgoing)
            finally:
                log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"][:200],
                    status=outgoing.status,
                    milliseconds=round((time.perf_counter() - began) * 1000, 1),
                )

    async def _serve(
        self, scope: HTTPScope, headers: dict[str, str], trace: Trace, receive: Receive, send: _Outgoing
    ) -> None:
        inner = self._localised(scope)
        area = area_of(inner["path"], headers)
        html = area in _PAGES and "text/html" in headers.get("accept", "")
        knock = knock_of(inner, headers, area)
        decision = self._gate.admit(knock, self._now())
        if isinstance(decision, Denial):
            await self._deny(inner, decision, send, html=html)
            await self._tell_denied(inner, knock, decision)
            return
        held = self._throttle or decision.principal.rates
        refusal = self._too_often(area, decision, send) if held else None
        refusal = refusal or self._unacceptable(headers)
        if refusal:
            await self._reply(refusal, send, html=html)
            return
        seen = Visit(area, decision, trace, self._prefix, html)
        if not large(headers):
            await self._let_in(inner, headers, seen, receive, send)
            return
        try:
            async with self._bodies.room(headers, receive) as counting:
                await self._let_in(inner, headers, seen, counting, send)
        except Refused as refused:
            reply = answer_of(refused)
            closing = Answer(reply.body, (*reply.headers, ("connection", "close")))
            await self._reply(closing, send, html=html)

    async def _let_in(
        self, inner: HTTPScope, headers: dict[str, str], seen: Visit, receive: Receive, send: _Outgoing
    ) -> None:
        lane = self._lanes.get(inner["path"]) if inner["method"] == "POST" else None
        if lane is not None and lane.takes(headers) and seen.caller.principal.may(scopes.needed(inner["path"], "POST")):
            given = await lane.answer(inner["path"], Asked(headers, receive, seen))
            await send.whole(given.status, [*given.headers], given.body)
            if given.refused is not None:
                await self._tell_refused(inner, seen.caller, given.refused)
            return
        remember(inner, seen)
        await self._app(inner, receive, cast("Send", send))
        why = refusal(inner)
        if why is not None:
            await self._tell_refused(inner, seen.caller, why)

    async def _tell_refused(self, scope: HTTPScope, caller: Caller, why: str) -> None:
        if self._refusals is not None and scope["method"] not in SAFE_METHODS:
            actor = Actor(caller.name, "", caller.client)
            await self._refusals.note(actor, tried_of(scope), why, self._now())

    async def _tell_denied(self, scope: HTTPScope, knock: Knock, denial: Denial) -> None:
        now = self._now()
        name, client = self._gate.whose(knock, now)
        log.info("denied", name=denial.name, status=denial.status, area=knock.area.value, client=client, who=name)
        if denial.cross_site and self._refusals is not None:
            tried = tried_of(scope)
            await self._refusals.note(Actor(name, "", client), tried, "asked for by another site", now)

    def _localised(self, scope: HTTPScope) -> HTTPScope:
        """A copy of `scope` with the path as routes know it, whether or not the proxy cut the prefix off."""
        path = scope["path"]
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            path = path[len(self._prefix) :]
        inner = cast("HTTPScope", dict(scope))
        # The router reads `//emails` as `/emails`; the gate must judge the same path.
        inner["path"] = _normal(path) if len(path) < _SHORT else normalize_path(path)
        if inner["method"] == "HEAD" and inner["path"] != STREAM:
            # The server sends no body for HEAD by itself; this way every page knows the method.
            inner["method"] = "GET"
        return inner

    def _too_often(self, area: Area, caller: Caller, send: _Outgoing) -> Answer | None:
        if area not in _COUNTED or caller.way is Way.SESSION:
            return None
        principal = caller.principal
        quota = self._throttle.take(principal.id or principal.name, self._now(), principal.rates)
        send.more = [(name.encode(), value.encode()) for name, value in quota.headers()]
        if not quota.over:
            return None
        whose = "of this key" if quota.rate in principal.rates else "EMAILHUB_API_RATE"
        text = (
            f"At most {quota.rate.limit} requests in {quota.rate.seconds:g} s are answered "
            f"({whose}); this one was not looked at."
        )
        return answer(429, "rate_limit_exceeded", text, retry_after=quota.reset)

    def _unacceptable(self, headers: dict[str, str]) -> Answer | None:
        if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            text = "Compressed request bodies are not read. Send the body as it is, without Content-Encoding."
            return answer(415, "unsupported_media_type", text)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:19]) > self._body_limit:
            text = f"The request body has {length[:19]} bytes; at most {self._body_limit} are read."
            return answer(413, "payload_too_large", text, headers=(("connection", "close"),))
        return None

    async def _deny(self, scope: HTTPScope, denial: Denial, send: _Outgoing, *, html: bool) -> None:
        if html and denial.log_in and denial.status == 401:
            await send.whole(303, [(b"location", self._log_in_url(scope).encode())], b"")
            return
        await self._reply(denied(denial), send, html=html)

    def _log_in_url(self, scope: HTTPScope) -> str:
        """The log-in page, leading back to a page that was asked for; after a refused form, to the start."""
        if scope["method"] != "GET" or scope["path"] == "/":
            return f"{self._prefix}/login"
        query = scope["query_string"].decode("latin-1")
        wanted = f"{scope['path']}?{query}" if query else scope["path"]
        return f"{self._prefix}/login?next={quote(wanted, safe='/')}"

    async def _reply(self, reply: Answer, send: _Outgoing, *, html: bool) -> None:
        body = self._error_page(reply.body, False).encode() if html else reply.json()
        kind = b"text/html; charset=utf-8" if html else b"application/json"
        more = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
        await send.whole(reply.status, [(b"content-type", kind), *more], body)


class _Outgoing:
    """The server's `send`, adding to every answer the headers it does not have itself."""

    def __init__(self, send: Send, trace: Trace, extensions: Mapping[str, Any]) -> None:
        self._send = send
        self._trace = trace
        self._whole: Callable[[int, bytes, bytes], bool] | None = extensions.get(WHOLE)
        self.more: list[tuple[bytes, bytes]] = []
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message["headers"])
            message["headers"] = [*given, *self._missing({name.lower() for name, _ in given})]
        await self._send(message)

    async def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a complete answer. Its headers are ours: none holds a line break or the name of one we add."""
        if self._whole is not None and self._whole(status, self._head(headers, len(body)), body):
            self.status = status
            return
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": False})

    def _head(self, headers: Sequence[tuple[bytes, bytes]], length: int) -> bytes:
        lines = [b"%b: %b\r\n" % header for header in (*headers, *self._ids())]
        return b"%b%bcontent-length: %d\r\n" % (_STATIC, b"".join(lines), length)

    def _missing(self, given: set[bytes]) -> list[tuple[bytes, bytes]]:
        return [*((name, value) for name, value in HEADERS.items() if name not in given), *self._ids()]

    def _ids(self) -> list[tuple[bytes, bytes]]:
        found = [
            (b"x-correlation-id", self._trace.correlation_id.encode()),
            (b"x-request-id", self._trace.request_id.encode()),
            *self.more,
        ]
        if self._trace.traceparent:
            found.append((b"traceparent", self._trace.traceparent.encode()))
        return found


@lru_cache(maxsize=256)
def _normal(path: str) -> str:
    return normalize_path(path)
