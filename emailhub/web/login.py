"""Logging in to the dashboard and out of it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from litestar import Response, Router, get, post
from litestar.types import ControllerRouterHandler

from emailhub.core.errors import LogInRefused
from emailhub.core.user import ADMIN
from emailhub.engine.gate import Way
from emailhub.engine.logins import Attempt
from emailhub.web.body import read_bytes, require_media
from emailhub.web.errors import WebError, answer
from emailhub.web.faces import GivenFaces
from emailhub.web.knocking import COOKIE, SECURE_COOKIE, session_cookie
from emailhub.web.pages import Pages
from emailhub.web.visit import AnyRequest, visit

_FORM = "application/x-www-form-urlencoded"
_LONGEST = 16 * 1024
"""Bytes of a form from people who are nobody yet: a thousand of them must not fill the memory."""
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")
"""A path on this hub: `//host` and `/\\host` lead browsers to another one."""


def router(pages: Pages) -> Router:
    """The routes of this module; `pages` draws the form."""
    return Router("/", route_handlers=[_log_in(pages), _form(pages), log_out, log_out_everywhere])


@post("/logout", status_code=303)
async def log_out(request: AnyRequest, faces: GivenFaces) -> Response[str]:
    """End the session on the server, not only in the browser."""
    if token := _token(request):
        await faces.logins.log_out(token)
    return _left(request)


@post("/logout-everywhere", status_code=303)
async def log_out_everywhere(request: AnyRequest, faces: GivenFaces) -> Response[str]:
    """End every session of whoever asks, in all their browsers."""
    caller = visit(request).caller
    if caller.way is Way.SESSION:
        await faces.logins.log_out_everywhere(caller.name, actor=caller.name, peer=caller.client)
    return _left(request)


def next_page(value: str) -> str:
    """The path to go to after a log-in: `value` when it is one of this hub's, else the start."""
    return value if _PATH.fullmatch(value) else "/"


def _form(pages: Pages) -> ControllerRouterHandler:
    @get("/login")
    async def form(request: AnyRequest) -> Response[str]:
        """The form. Who needs none is sent on."""
        wanted = next_page(request.query_params.get("next", "/"))
        if visit(request).caller.trusted:
            return _onward(request, wanted)
        return pages.login(request, wanted)

    return form


def _log_in(pages: Pages) -> ControllerRouterHandler:
    @post("/login", status_code=303, request_max_body_size=_LONGEST)
    async def log_in(request: AnyRequest, faces: GivenFaces) -> Response[str]:
        """Begin a session. Wrong passwords make that name and everybody at that address wait longer and longer."""
        fields = await _fields(request)
        wanted = next_page(fields.get("next", "/"))
        seen = visit(request)
        if not faces.gate.asks_for_password:
            return _onward(request, wanted)
        attempt = Attempt(
            name=fields.get("username") or ADMIN,
            password=fields.get("password", ""),
            client=seen.caller.client,
            agent=request.headers.get("user-agent", ""),
            old=_token(request),
        )
        try:
            token = await faces.logins.log_in(attempt)
        except LogInRefused as refused:
            return _refused(pages, request, wanted, refused, attempt.name)
        return _onward(request, wanted, _cookie(token, seen.caller.scheme))

    return log_in


def _onward(request: AnyRequest, path: str, cookie: str | None = None) -> Response[str]:
    headers = {"Location": f"{visit(request).prefix}{path}"} | ({"Set-Cookie": cookie} if cookie else {})
    return Response("", status_code=303, headers=headers)


def _left(request: AnyRequest) -> Response[str]:
    seen = visit(request)
    headers = {"Location": f"{seen.prefix}/login", "Set-Cookie": _cookie("", seen.caller.scheme, ends=True)}
    return Response("", status_code=303, headers=headers)


def _refused(pages: Pages, request: AnyRequest, wanted: str, refused: LogInRefused, name: str) -> Response[str]:
    reply = answer(refused.status, refused.name, str(refused), retry_after=refused.retry_after)
    if visit(request).html:
        response = pages.login(request, wanted, name, str(refused), refused.status)
    else:
        response = Response(reply.json().decode(), status_code=refused.status, media_type="application/json")
    response.headers.update(dict(reply.headers))
    return response


def _token(request: AnyRequest) -> str | None:
    return session_cookie(request.headers.get("cookie"), visit(request).caller.scheme)


async def _fields(request: AnyRequest) -> dict[str, str]:
    require_media(request, _FORM)
    try:
        text = (await read_bytes(request)).decode()
        fields = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=10)
    except ValueError:
        raise WebError(400, "validation_error", "The form cannot be read: it is not URL-encoded UTF-8.") from None
    return {name: values[-1] for name, values in fields.items()}


def _cookie(token: str, scheme: str, *, ends: bool = False) -> str:
    """A Set-Cookie value; only a name with `__Host-` is safe from the domain's other hosts (RFC 6265bis §4.1.3.2)."""
    secure = scheme == "https"
    name = SECURE_COOKIE if secure else COOKIE
    end = "; Max-Age=0" if ends else ""
    return f"{name}={token}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{end}"
