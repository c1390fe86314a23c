"""What a request shows before anybody looks at it, read from its head."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from litestar.types import HTTPScope

from emailhub.engine.gate import Area, Knock

STREAM = "/events"
COOKIE = "emailhub_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
_ONCE = frozenset({"host", "authorization"})
_PROXY_HEADERS = frozenset(
    {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via"}
)


def session_cookie(cookies: str | None, scheme: str) -> str | None:
    """The session token in a Cookie header; under HTTPS only from the name no other host can set."""
    name = SECURE_COOKIE if scheme == "https" else COOKIE
    pairs = (pair.strip().partition("=") for pair in (cookies or "").split(";"))
    return next((value[:128] for given, _, value in pairs if given == name), None)


def knock_of(scope: HTTPScope, headers: dict[str, str], area: Area) -> Knock:
    cookies = headers.get("cookie")
    return Knock(
        area=area,
        method=scope["method"],
        peer=peer_of(scope),
        scheme=scope["scheme"],
        host=headers.get("host"),
        origin=headers.get("origin"),
        fetch_site=headers.get("sec-fetch-site"),
        authorization=headers.get("authorization"),
        secure_session=session_cookie(cookies, "https") if cookies else None,
        plain_session=session_cookie(cookies, "http") if cookies else None,
        forwarded_for=headers.get("x-forwarded-for"),
        forwarded_proto=headers.get("x-forwarded-proto"),
        forwarded=not _PROXY_HEADERS.isdisjoint(headers),
        stream=scope["path"] == STREAM,
    )


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by lower-case name. Repeated ones are joined; a repeated Host or Authorization counts as none."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        if name in found:
            twice.add(name)
            value = f"{found[name]}{'; ' if name == 'cookie' else ', '}{value}"
        found[name] = value
    return {name: value for name, value in found.items() if name not in twice or name not in _ONCE} if twice else found


def tried_of(scope: HTTPScope) -> str:
    """What is asked for, in one line of plain characters."""
    return f"{scope['method']} {quote(scope['path'], safe='/:@+')}"


def peer_of(scope: HTTPScope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
