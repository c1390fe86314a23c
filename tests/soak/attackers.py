"""Clients that mean no good: some never end their headers, some ask for the live stream and never read it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable

_PAUSE = 2.0
_TAKES = 4096
"""Bytes the system takes of a stream for a client that does not read."""


class Attackers:
    """`slow` connections that send a header line now and then, and come again when closed; `deaf` live streams."""

    def __init__(self, port: int, *, slow: int, deaf: int) -> None:
        self._port = port
        self._tasks = [asyncio.ensure_future(self._slow()) for _ in range(slow)]
        self._tasks += [asyncio.ensure_future(self._deaf()) for _ in range(deaf)]
        self.closed = 0
        """Slow connections the hub closed."""
        self.listening = 0
        """Live streams that were begun."""

    async def _slow(self) -> None:
        while True:
            await _quietly(self._slow_once())
            await asyncio.sleep(0.1)

    async def _slow_once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            while not reader.at_eof():
                writer.write(b"X-Slow: 1\r\n")
                try:
                    async with asyncio.timeout(_PAUSE):
                        await reader.read(1024)
                except TimeoutError:
                    continue
                self.closed += 1
                return
        finally:
            writer.transport.abort()

    async def _deaf(self) -> None:
        while True:
            await _quietly(self._deaf_once())
            await asyncio.sleep(1.0)

    async def _deaf_once(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TAKES)
            line.setblocking(False)
            await loop.sock_connect(line, ("127.0.0.1", self._port))
            await loop.sock_sendall(line, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.listening += 1
            await asyncio.Event().wait()

    async def end(self) -> None:
        """All go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _quietly(work: Awaitable[None]) -> None:
    with contextlib.suppress(OSError):
        await work
