"""A real HTTP server that gives out access tokens the way OAuth2 providers do, or refuses them."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self
from urllib.parse import parse_qs


class TokenEndpoint:
    """Listens on 127.0.0.1; answers every POST with the next of `answers`, (status, JSON or bytes), the last for ever.

    `asked` keeps the forms that came; while `hold` is not set nobody gets an answer.
    """

    def __init__(self, *answers: tuple[int, dict[str, Any] | bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        self.heads: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.arrived = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/token"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
            form = parse_qs((await reader.readexactly(length)).decode(), strict_parsing=True)
            self.heads.append(head)
            self.asked.append({name: values[0] for name, values in form.items()})
            self.arrived.set()
            await self.hold.wait()
            status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def granted(token: str, *, expires_in: Any = 3600, **more: Any) -> tuple[int, dict[str, Any]]:
    """The answer that gives `token`."""
    return 200, {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, **more}


def denied(error: str, description: str = "", status: int = 400) -> tuple[int, dict[str, Any]]:
    """The answer that gives none."""
    return status, {"error": error, "error_description": description}
