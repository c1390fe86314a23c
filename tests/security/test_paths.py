"""However the path of a request is written, the gate and the router mean the same: nobody slips in between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emailhub.web.elsewhere import ELSEWHERE
from tests.support.web_hub import WebHub, web_hub
from tests.web.test_guard import OPEN_PATHS, PUBLIC, filled, routes

BEFORE = (
    "/static/..", "/health/..", "/login/..", "/static/../..", "/static/.", "/health;", "/.", "/static/x/../..",
    "/static\\..", "/login\x00", "/health\n", "/static/%2e%2e", "/logout/..",
)  # fmt: skip
AFTER = ("/.", "/..", "//", "/%2f", ";a", "%00", "\x00", ".json", " ", "\t", "\n", "?", "#")
REFUSED = {303, 400, 401, 403, 404, 405, 415, 421}


def spellings(path: str) -> Iterator[str]:
    yield from (before + path for before in BEFORE)
    yield from (path + after for after in AFTER)
    yield from (path.upper(), path.replace("/", "//"), path.replace("/", "/./"), path.removeprefix("/"))


async def status_of(hub: WebHub, method: str, path: str) -> int:
    """What a stranger is answered for the path as it stands there: a client would tidy it up."""
    said: list[int] = []
    headers = [(b"host", b"10.0.0.5:8000"), (b"content-type", b"application/json"), (b"accept", b"text/html")]
    scope: Any = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("10.9.9.9", 1), "server": ("10.0.0.5", 8000), "state": {}, "extensions": {},
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            said.append(message["status"])

    await hub.app(scope, receive, send)
    return said[0]


async def test_no_spelling_of_a_path_lets_a_stranger_in(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        open_to_all = OPEN_PATHS | {"/logout"}
        known = {(method, path) for method, path in routes(hub.app) if path not in open_to_all and method != "OPTIONS"}
        closed = {(method, filled(path)) for method, path in known if path.split("/")[1] not in ELSEWHERE}
        tried = 0
        for method, path in sorted(closed):
            for spelling in spellings(path):
                status = await status_of(hub, method, spelling)
                assert status in REFUSED, (method, spelling, status)
                tried += 1
        assert tried > 1000
        assert await hub.stored() == 0
