"""A hub that answers what it was told to and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from click.testing import Result

Run = Callable[..., Result]
"""Runs `emailhub` with arguments, the settings as keywords, and `stdin`."""


class Asked(NamedTuple):
    """One request the hub got."""

    method: str
    path: str
    headers: dict[str, str]
    document: Any


class FakeHub:
    """Answers from `answers` by (method, path); a list is answered one by one, its last item for ever."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.cookies: dict[tuple[str, str], str] = {}
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        found = self.answers.get((method, path), (404, {"name": "not_found", "message": "nothing here"}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, tuple) else (200, found)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            form = self.headers.get("Content-Type") == "application/x-www-form-urlencoded"
            document = body.decode() if form else json.loads(body) if body else None
            hub.asked.append(Asked(self.command, self.path, dict(self.headers), document))
            status, answer = hub.answer(self.command, self.path)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if cookie := hub.cookies.get((self.command, self.path)):
                self.send_header("Set-Cookie", cookie)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
