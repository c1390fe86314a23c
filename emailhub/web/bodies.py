"""How many bytes of request bodies may be in memory at a time, over all requests.

One body has its own limit; without this one, some hundred of the largest at once would take all the memory there is.
A request waits for its turn before its body is read, in the order of arrival: what a client sends meanwhile stays in
its own system, as the server takes no more of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from litestar.types import HTTPReceiveMessage, Receive, WebSocketReceiveMessage

from emailhub.core.errors import Refused

BODY_BUDGET = 128 * 2**20
"""Bytes of all bodies together, unless told."""
PATIENCE = 10.0
"""Seconds a request waits for its turn."""
RETRY_AFTER = 5.0
UNCOUNTED = 100_000
"""Bytes of every body that are not counted: how many there are is limited by the number of connections."""


def large(headers: Mapping[str, str]) -> bool:
    """Whether the body is to be counted: it is more than UNCOUNTED bytes, or it is not known how many."""
    return len(headers.get("content-length", "")) > 5 or "transfer-encoding" in headers


class Bodies:
    """Counts bytes. One body may always be read when there is no other, however large it is."""

    def __init__(self, most: int, *, patience: float | None = None) -> None:
        self._most = most
        self._patience = PATIENCE if patience is None else patience
        self._used = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes counted now."""
        return self._used

    @asynccontextmanager
    async def room(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[Receive]:
        """Wait for the body's turn; the `receive` to read it with. Raises Refused (503) when the turn does not come."""
        length = headers.get("content-length", "")
        if not length.isdecimal():
            counting = _Counting(self, receive)
            try:
                yield counting
            finally:
                self._leave(counting.counted)
            return
        size = max(int(length[:19]) - UNCOUNTED, 0)
        await self._enter(size)
        try:
            yield receive
        finally:
            self._leave(size)

    async def _enter(self, size: int) -> None:
        if not self._line and self._fits(size):
            self._used += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._line.append(entry)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            self._give_up(entry)
            if isinstance(error, TimeoutError):
                raise self._refused() from None
            raise

    def _leave(self, size: int) -> None:
        self._used -= size
        self._next()

    def add(self, size: int) -> None:
        """Count what has come without waiting: it is in memory already. Raises Refused (503) when it is too much."""
        if not self._fits(size):
            raise self._refused()
        self._used += size

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._most

    def _next(self) -> None:
        while self._line and (self._line[0][1].done() or self._fits(self._line[0][0])):
            size, turn = self._line.popleft()
            if not turn.done():
                self._used += size
                turn.set_result(None)

    def _give_up(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        size, turn = entry
        if turn.done() and not turn.cancelled():
            # Its turn came in the very moment it gave up.
            self._used -= size
        elif entry in self._line:
            self._line.remove(entry)
        self._next()

    def _refused(self) -> Refused:
        mebibytes = self._most / 1048576
        text = f"{mebibytes:g} MiB of request bodies are being read already (EMAILHUB_BODY_BUDGET)"
        return Refused("service_unavailable", text, retry_after=RETRY_AFTER)


class _Counting:
    """A `receive` that counts a body of unknown length as it comes."""

    def __init__(self, bodies: Bodies, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._came = 0
        self.counted = 0

    async def __call__(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """The next message. Raises Refused (503)."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._came += len(message["body"])
            more = self._came - UNCOUNTED - self.counted
            if more > 0:
                self._bodies.add(more)
                self.counted += more
        return message
