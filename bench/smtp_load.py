"""Submits messages over SMTP: `python -m bench.smtp_load PORT FIRST COUNT CONNECTIONS`.

Each connection is kept and sends MAIL, RCPT and DATA in one write. Prints one line of JSON, as bench.http_load does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import uvloop

from bench.messages import SENDER, address, rfc5322
from bench.told import tell

_GREETING, _EHLO, _ENVELOPE, _BODY = range(4)


def _envelope(number: int) -> bytes:
    return f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{address(number)}>\r\nDATA\r\n".encode()


class Connection(asyncio.Protocol):
    """One kept connection, one message at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._state = _GREETING
        self._content = b""
        self._since = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        final = [line for line in self._buffer.splitlines(keepends=True) if line[3:4] == b" "]
        if len(final) < (3 if self._state == _ENVELOPE else 1) or not self._buffer.endswith(b"\r\n"):
            return
        self._buffer = b""
        self._turn(all(line[:1] in b"23" for line in final))

    def _turn(self, right: bool) -> None:
        if not right:
            self._load.refused()
        elif self._state == _GREETING:
            self._transport.write(b"EHLO bench.example\r\n")
            self._state = _EHLO
        elif self._state == _ENVELOPE:
            self._transport.write(self._content + b".\r\n")
            self._state = _BODY
        elif self._state == _EHLO:
            self._load.ready(self)
        else:
            self._load.accepted(self, time.perf_counter() - self._since)

    def send(self, envelope: bytes, content: bytes) -> None:
        self._since, self._content, self._state = time.perf_counter(), content, _ENVELOPE
        self._transport.write(envelope)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)

    def close(self) -> None:
        self._transport.abort()


class Load:
    """The messages to submit, and what became of them."""

    def __init__(self, first: int, count: int, connections: int) -> None:
        numbers = range(first, first + count)
        self._messages: Iterator[tuple[bytes, bytes]] = iter([(_envelope(one), rfc5322(one)) for one in numbers])
        self._count = count
        self._waiting = connections
        self._open: list[Connection] = []
        self._all_ready = asyncio.Event()
        self._done = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []

    async def run(self, port: int) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        for _ in range(self._waiting):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        await self._all_ready.wait()
        begun, since, cpu = time.time(), time.perf_counter(), time.process_time()
        for connection in list(self._open):
            self._next(connection)
        await self._done
        seconds, cpu = time.perf_counter() - since, time.process_time() - cpu
        for connection in self._open:
            connection.close()
        return {"begun": begun, "seconds": seconds, "cpu": cpu, "latencies": self.latencies, "wrong": 0}

    def ready(self, connection: Connection) -> None:
        self._open.append(connection)
        if len(self._open) == self._waiting:
            self._all_ready.set()

    def _next(self, connection: Connection) -> None:
        message = next(self._messages, None)
        if message is not None:
            connection.send(*message)

    def accepted(self, connection: Connection, seconds: float) -> None:
        self.latencies.append(seconds)
        if len(self.latencies) == self._count:
            self._done.set_result(None)
        else:
            self._next(connection)

    def refused(self) -> None:
        self.lost(ConnectionError("a message was refused"))

    def lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"a connection ended: {error}"))
            self._all_ready.set()


async def _main() -> None:
    port, first, count, connections = (int(argument) for argument in sys.argv[1:5])
    tell(await Load(first, count, connections).run(port))


if __name__ == "__main__":
    uvloop.run(_main())
