"""Every route and method, asked by everybody there is: made from the routes themselves, so that none is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from litestar.routes import HTTPRoute

from emailhub.core.access import ALL, Scope
from emailhub.engine.gate import Access, Area
from emailhub.web.guard import area_of
from emailhub.web.scopes import NEEDS, PUBLIC
from tests.support.web_hub import START, WebHub, web_hub

SETTINGS_KEY = "eh_settings_0123456789"
PASSWORD = "correct horse battery"
BY_KEY = frozenset({Area.SEND, Area.API, Area.SHARED})
BY_SESSION = frozenset({Area.API, Area.DASHBOARD, Area.SHARED})
NOWHERE: frozenset[Area] = frozenset()


class Somebody(NamedTuple):
    """Who asks: the header that shows it, the areas that opens, and what it may do there. `dead`: a key that ended."""

    header: tuple[str, str] | None
    opens: frozenset[Area]
    scopes: frozenset[Scope] = frozenset()
    dead: bool = False


class Answer(NamedTuple):
    """The beginning of an answer."""

    status: int
    name: str


async def ask(hub: WebHub, method: str, path: str, who: Somebody) -> Answer:
    """Ask and hang up when the first part of the answer is there: some never end."""
    headers = {"host": "localhost:8000", "accept": "application/json", "origin": "http://localhost:8000"}
    headers |= dict([who.header] if who.header else [])
    if method != "GET":
        headers |= {"content-type": "application/json", "content-length": "2"}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "client": ("10.9.9.9", 4321),
        "server": ("10.0.0.5", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "extensions": {},
    }
    begun: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    status = 0

    sent = iter([True])

    async def receive() -> Any:
        if not next(sent, False):
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif not begun.done():
            begun.set_result(Answer(status, _name(message.get("body", b""))))

    task = asyncio.create_task(hub.app(scope, receive, send))  # type: ignore[arg-type]
    try:
        return await asyncio.wait_for(begun, 10)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _name(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    return str(found.get("name", "")) if isinstance(found, dict) else ""


def expected(path: str, method: str, who: Somebody) -> str:
    """What the route answers `who`: the name of the refusal, or "" when it lets them in."""
    need, area = NEEDS[path][method], area_of(path, {"accept": "application/json"})
    if need == PUBLIC:
        return ""
    if area not in who.opens:
        if area is Area.DASHBOARD:
            return "not_logged_in"
        return "invalid_api_key" if who.dead else "missing_api_key"
    if who.scopes.isdisjoint(need):
        return "restricted_api_key" if who.opens is BY_KEY else "invalid_permission"
    return ""


async def everybody(hub: WebHub) -> Mapping[str, Somebody]:
    """One of each kind."""
    keyed = {
        "send key": await key(hub, name="s", scopes=["send"]),
        "read key": await key(hub, name="r", scopes=["read"]),
        "admin key": await key(hub, name="a", scopes=["admin"]),
        "full key": await key(hub, name="f"),
    }
    scopes = {"send key": {Scope.SEND}, "read key": {Scope.READ}, "admin key": {Scope.ADMIN}, "full key": ALL}
    expired = await key(hub, name="e", expires_at=START + 60)
    revoked = await key(hub, name="v")
    ids = {one["name"]: one["id"] for one in (await _settings(hub, "GET", "/api-keys"))["data"]}
    await _settings(hub, "DELETE", f"/api-keys/{ids['v']}")
    hub.clock.at = START + 61
    return {
        "nobody": Somebody(None, NOWHERE),
        **{name: Somebody(header, BY_KEY, frozenset(scopes[name])) for name, header in keyed.items()},
        "settings key": Somebody(("authorization", f"Bearer {SETTINGS_KEY}"), BY_KEY, ALL),
        "expired key": Somebody(expired, NOWHERE, dead=True),
        "revoked key": Somebody(revoked, NOWHERE, dead=True),
        "operator": Somebody(("cookie", await session(hub)), BY_SESSION, ALL),
    }


async def key(hub: WebHub, **fields: object) -> tuple[str, str]:
    made = await _settings(hub, "POST", "/api-keys", json=fields)
    return "authorization", f"Bearer {made['token']}"


async def session(hub: WebHub) -> str:
    response = await hub.client_from().post("/login", data={"password": PASSWORD})
    assert response.status_code == 303, response.text
    return response.headers["set-cookie"].partition(";")[0]


async def _settings(hub: WebHub, method: str, path: str, **more: Any) -> Any:
    headers = {"authorization": f"Bearer {SETTINGS_KEY}"}
    response = await hub.client.request(method, path, headers=headers, **more)
    assert response.status_code == 200, response.text
    return response.json()


def routes(hub: WebHub) -> list[tuple[str, str]]:
    """All of them; those that end log-ins last."""
    return sorted(
        (
            (route.path_format, str(method))
            for route in hub.app.routes
            if isinstance(route, HTTPRoute)
            for method in route.methods
            if method not in {"OPTIONS", "HEAD"}
        ),
        key=lambda route: (route[0] == "/logout-everywhere", "logout" in route[0], route),
    )


async def test_every_route_answers_everybody_as_its_scope_says(tmp_path: Path) -> None:
    wrong, asked = [], 0
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=(SETTINGS_KEY,), admin_password=PASSWORD)) as hub:
        people, spare = await everybody(hub), await session(hub)
        for template, method in routes(hub):
            path = re.sub(r"{\w+}", "none", template)
            for name, who in people.items():
                if path == "/logout" and name == "operator":
                    who = who._replace(header=("cookie", spare))  # noqa: PLW2901 - this uses it up
                answer = await ask(hub, method, path, who)
                refusal = answer.name if answer.status in {401, 403} else ""
                asked += 1
                if refusal != expected(template, method, who) or answer.status >= 500:
                    wrong.append(f"{method} {template} by {name}: {answer}, not {expected(template, method, who)!r}")
    assert not wrong
    assert asked > 1000
