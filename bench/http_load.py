"""Posts messages and measures the answers: `python -m bench.http_load PORT FIRST COUNT CONNECTIONS [RATE]`.

Without RATE each connection posts again as soon as it is answered (closed loop). With RATE a message is due every
1/RATE seconds however long answers take, and its latency counts from then (open loop). Prints one line of JSON: `begun`
(unix seconds), `seconds`, `cpu` seconds of its own, `latencies` in seconds in the order of the answers, `sent` (unix
seconds by number of the message), `wrong` (answers that were not 200).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator

import uvloop

from bench.messages import body
from bench.told import tell

_HEAD = (
    b"POST /send_email/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._since = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def post(self, request: bytes, since: float) -> None:
        """Send `request`; its latency counts from `since` (perf_counter)."""
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found and len(rest) >= _length(head):
            self._buffer = b""
            self._load.answered(self, head.startswith(b"HTTP/1.1 200"), time.perf_counter() - self._since)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)

    def close(self) -> None:
        self._transport.abort()


def _length(head: bytes) -> int:
    after = head.lower().partition(b"content-length:")[2]
    return int(after.partition(b"\r\n")[0] or 0)


class Load:
    """The messages to post, and what became of them."""

    def __init__(self, port: int, first: int, count: int) -> None:
        self._port = port
        self._first = first
        # Made beforehand: this process must not be what is measured.
        self._requests = [_HEAD % (port, len(one)) + one for one in map(body, range(first, first + count))]
        self._numbers: Iterator[int] = iter(range(count))
        # First in, first out: none rests so long that the hub closes it.
        self._free: deque[Connection] = deque()
        self._done = asyncio.get_running_loop().create_future()
        self._closed = False
        self.latencies: list[float] = []
        self.sent: dict[int, float] = {}
        self.wrong = 0

    async def run(self, connections: int, rate: float | None) -> dict[str, object]:
        self._closed_loop = rate is None
        opened = [await self._connect() for _ in range(connections)]
        begun, since, cpu = time.time(), time.perf_counter(), time.process_time()
        if rate is None:
            for connection in opened:
                self._next(connection, time.perf_counter())
        else:
            self._free.extend(opened)
            await self._at(rate)
        await self._done
        seconds, cpu = time.perf_counter() - since, time.process_time() - cpu
        self._closed = True
        for connection in opened:
            connection.close()
        return {
            "begun": begun, "seconds": seconds, "cpu": cpu,
            "latencies": self.latencies, "sent": self.sent, "wrong": self.wrong,
        }  # fmt: skip

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), "127.0.0.1", self._port
        )
        return connection

    async def _at(self, rate: float) -> None:
        start = time.perf_counter()
        for number in range(len(self._requests)):
            due = start + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            self._next(self._free.popleft() if self._free else await self._connect(), due)

    def _next(self, connection: Connection, since: float) -> None:
        number = next(self._numbers, None)
        if number is not None:
            self.sent[self._first + number] = time.time()
            connection.post(self._requests[number], since)

    def answered(self, connection: Connection, right: bool, seconds: float) -> None:
        self.latencies.append(seconds)
        self.wrong += not right
        if len(self.latencies) == len(self._requests):
            self._done.set_result(None)
        elif self._closed_loop:
            self._next(connection, time.perf_counter())
        else:
            self._free.append(connection)

    def lost(self, error: Exception | None) -> None:
        if not self._closed and not self._done.done():
            self._done.set_exception(ConnectionError(f"the hub closed a connection: {error}"))


async def _main() -> None:
    port, first, count, connections = (int(argument) for argument in sys.argv[1:5])
    rate = float(sys.argv[5]) if len(sys.argv) > 5 else None
    tell(await Load(port, first, count).run(connections, rate))


if __name__ == "__main__":
    uvloop.run(_main())
