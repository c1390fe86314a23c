"""An SMTP connection after login: writes commands and bodies, reads replies in order, knows when it is out of step."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from emailhub.adapters.smtp.batch import Batch
from emailhub.adapters.smtp.pace import Pace
from emailhub.adapters.smtp.replies import ReplyReader
from emailhub.core.reply import Reply

CHUNK = 64 * 1024
_FAREWELL = 5.0
"""Seconds until a connection we closed is cut: a peer that reads no more, or never ends TLS, would keep it open."""


class WireError(Exception):
    """The conversation ended without a reply; the text is one plain line."""


class Lost(WireError):
    """The connection is gone."""


class Late(WireError):
    """The deadline of a step passed; the connection is in no known state."""


class Wire(asyncio.Protocol):
    """Reads and writes one connection. Replies that nobody asked for make it `odd`: it must not be used again.

    `on_odd` is called when that, or the loss of the connection, happens while no reply is awaited; `stray` is the first
    such reply. Commands and small bodies are written with those of the other connections that share `batch`.
    """

    def __init__(self, batch: Batch | None = None, on_odd: Callable[[], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._batch = batch or Batch()
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._awaited = 0
        self._waiter: asyncio.Future[bool] | None = None
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._farewell: asyncio.TimerHandle | None = None
        self._paused = False
        self._lost: str | None = None
        self.odd = False
        self.stray: Reply | None = None
        self.on_odd = on_odd
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        found = self._reader.feed(data)
        if self._reader.garbled:
            self.odd = True
        if len(self._replies) + len(found) > self._awaited:
            found = self._asked_for(found)
        if found:
            self._replies += found
            self._wake()
        elif not self._awaited and self._reader.halfway:
            self._turn_odd()

    def eof_received(self) -> bool:
        self._gone("the relay closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        why = (exc.strerror if isinstance(exc, OSError) else None) or exc
        self._gone(f"the connection was lost: {why}" if exc else "the connection was closed")
        for timer in (self._farewell, self._alarm):
            if timer is not None:
                timer.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    # What the transaction calls.

    @property
    def usable(self) -> bool:
        """False once the connection was lost, or said something nobody asked for."""
        if self.odd or self._lost is not None or self._replies or self._transport is None:
            return False
        return not self._transport.is_closing() and not self._reader.halfway

    @property
    def awaited(self) -> int:
        """How many replies are still to be read."""
        return self._awaited

    def command(self, data: bytes, replies: int = 1, about_to_end: Callable[[], None] | None = None) -> None:
        """Write whole commands that `replies` replies will answer. Raises Lost when the connection is gone.

        `about_to_end` is called right before the bytes are handed over, and never when they are not.
        """
        transport = self._open_transport()
        self._awaited += replies
        if about_to_end is not None:
            about_to_end()
        self._batch.write(transport, data)

    def next(self) -> Reply | None:
        """The next reply when it is there already."""
        if not self._replies:
            return None
        self._awaited -= 1
        return self._replies.popleft()

    async def together(self, count: int, timeout: float) -> Sequence[Reply]:
        """The next `count` replies if they come at once, none if they do not; they stay to be `heard` or read.

        Raises Late when nothing comes for `timeout` seconds.
        """
        if not self._replies and self._lost is None and not await self._event(timeout):
            self._late(f"no reply within {timeout:g} s")
        there = len(self._replies)
        if there == count:
            return self._replies
        return tuple(self._replies)[:count] if there > count else ()

    def heard(self, replies: Sequence[Reply]) -> Sequence[Reply]:
        """Have read `replies`, those that came `together`; returns them."""
        self._awaited -= len(replies)
        if replies is self._replies:
            self._replies = deque()
        else:
            for _ in replies:
                self._replies.popleft()
        return replies

    async def reply(self, timeout: float) -> Reply:
        """The next reply; code -1 for what is none. Raises Lost, or Late after `timeout` seconds."""
        if not self._replies and self._lost is None and not await self._event(timeout):
            self._late(f"no reply within {timeout:g} s")
        reply = self.next()
        if reply is None:
            raise Lost(self._lost or "the connection was closed")
        return reply

    async def body(self, data: bytes, grace: float, min_rate: float, about_to_end: Callable[[], None]) -> None:
        """Write `data` of any size, which one reply will answer, no faster than it is taken.

        Stops early when the server answers before the end. Calls `about_to_end` right before the last byte goes to the
        transport, and never when it does not. Raises Lost, or Late when the server takes it slower than `min_rate`
        bytes a second and is `grace` seconds behind.
        """
        last = max(len(data) - 1, 0) // CHUNK * CHUNK
        self._batch.flush()
        self._awaited += 1
        pace = Pace(grace, min_rate, self._loop.time())
        for start in range(0, last, CHUNK):
            self._open_transport().write(data[start : start + CHUNK])
            await self._drained(start + CHUNK, pace)
            if self._replies:
                self.odd = True  # not even a QUIT may follow: it could be the last bytes that a chunk waits for
                return
        transport = self._open_transport()
        about_to_end()
        transport.write(data[last:])

    def quit(self) -> None:
        """Say QUIT without waiting for the answer, which would change nothing, and close."""
        if self._transport is None or self._transport.is_closing():
            return
        self.on_odd = None
        self._batch.flush()
        if self._lost is None:
            self._transport.write(b"QUIT\r\n")
        self._transport.close()
        self._farewell = self._loop.call_later(_FAREWELL, self._transport.abort)

    def abort(self) -> None:
        """Drop the connection at once; what was not sent yet is not sent."""
        self.on_odd = None
        if self._transport is not None:
            self._transport.abort()

    # Inside.

    def _open_transport(self) -> asyncio.Transport:
        if self._lost is not None:
            raise Lost(self._lost)
        if self.odd:
            raise Lost("the relay spoke out of turn")
        if self._transport is None or self._transport.is_closing():
            raise Lost("the connection was closed")
        return self._transport

    async def _drained(self, written: int, pace: Pace) -> None:
        while self._paused and self._lost is None and not self._replies:
            left = pace.left(written - self._open_transport().get_write_buffer_size(), self._loop.time())
            if left <= 0:
                self._late(f"the relay took the body slower than {pace.min_rate:,.0f} bytes a second")
            await self._event(left)

    def _late(self, text: str) -> None:
        self.odd = True
        raise Late(text)

    def _event(self, seconds: float) -> asyncio.Future[bool]:
        """Done when something happens; False when it did not within `seconds`."""
        self._deadline = self._loop.time() + seconds
        if self._alarm is None or self._alarm_at > self._deadline:
            self._set_alarm()
        self._waiter = self._loop.create_future()
        return self._waiter

    def _set_alarm(self) -> None:
        # One timer for a connection, that looks again when it is early: one for each reply would cost more than the
        # rest of the conversation.
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._deadline
        self._alarm = self._loop.call_at(self._deadline, self._rung)

    def _rung(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._set_alarm()
        else:
            self._waiter.set_result(False)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _asked_for(self, found: Sequence[Reply]) -> Sequence[Reply]:
        """Those of `found` that answer something; what is left over makes the connection odd."""
        asked = max(self._awaited - len(self._replies), 0)
        self.stray = self.stray or found[asked]
        self._turn_odd()
        return found[:asked]

    def _gone(self, text: str) -> None:
        if self._lost is None:
            self._lost = text
        self._wake()
        if not self._awaited:
            self._turn_odd()

    def _turn_odd(self) -> None:
        self.odd = True
        if self.on_odd is not None:
            self.on_odd()
