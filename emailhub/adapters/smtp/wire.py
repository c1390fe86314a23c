"""An SMTP connection after login: writes commands and bodies, reads replies in order, knows when it is out of step."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import cast

from emailhub.core.reply import Reply

CHUNK = 64 * 1024
_LONGEST_REPLY = 64 * 1024
_LONGEST_TEXT = 2000
_FAREWELL = 5.0
"""Seconds until a connection we closed is cut: a peer that reads no more, or never ends TLS, would keep it open."""
_LINE = re.compile(rb"([1-9]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class WireError(Exception):
    """The conversation ended without a reply; the text is one plain line."""


class Lost(WireError):
    """The connection is gone."""


class Late(WireError):
    """The deadline of a step passed; the connection is in no known state."""


class Wire(asyncio.Protocol):
    """Reads and writes one connection. Replies that nobody asked for make it `odd`: it must not be used again.

    `on_odd` is called when that, or the loss of the connection, happens while no reply is awaited.
    """

    def __init__(self, on_odd: Callable[[], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._texts: list[bytes] = []
        self._code = b""
        self._size = 0
        self._replies: deque[Reply] = deque()
        self._awaited = 0
        self._waiter: asyncio.Future[None] | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self._paused = False
        self._lost: str | None = None
        self.odd = False
        self.on_odd = on_odd
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._take_line(line)
        if self._size + len(self._buffer) > _LONGEST_REPLY:
            self._garbled(b"a reply longer than 64 KiB")

    def eof_received(self) -> bool:
        self._gone("the relay closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        why = (exc.strerror if isinstance(exc, OSError) else None) or exc
        self._gone(f"the connection was lost: {why}" if exc else "the connection was closed")
        if self._farewell is not None:
            self._farewell.cancel()
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
        closing = self._transport is None or self._transport.is_closing()
        return not closing and not self.odd and self._lost is None and not self._buffer and not self._replies

    def command(self, data: bytes, replies: int = 1) -> None:
        """Write whole commands that `replies` replies will answer. Raises Lost when the connection is gone."""
        self._write(data)
        self._awaited += replies

    async def reply(self, timeout: float) -> Reply:
        """The next reply; code -1 for what is none. Raises Lost, or Late after `timeout` seconds."""
        if not self._replies and self._lost is None:
            await self._wait(timeout, f"no reply within {timeout:g} s")
        if not self._replies:
            raise Lost(self._lost or "the connection was closed")
        self._awaited -= 1
        return self._replies.popleft()

    async def body(self, data: bytes, timeout: float, about_to_end: Callable[[], None]) -> None:
        """Write a dot-stuffed body that ends in the dot; one reply will answer it.

        Stops early when the server answers before the end. Calls `about_to_end` right before the last byte goes to the
        transport, and never when it does not. Raises Lost, or Late when 64 KiB take longer than `timeout` seconds.
        """
        self._awaited += 1
        last = max(len(data) - 1, 0) // CHUNK * CHUNK
        for start in range(0, last, CHUNK):
            self._write(data[start : start + CHUNK])
            await self._drained(timeout)
            if self._replies:
                return
        self._check()
        about_to_end()
        self._write(data[last:])

    def quit(self) -> None:
        """Say QUIT without waiting for the answer, which would change nothing, and close."""
        if self._transport is None or self._transport.is_closing():
            return
        self.on_odd = None
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

    def _write(self, data: bytes) -> None:
        self._check()
        assert self._transport is not None
        self._transport.write(data)

    def _check(self) -> None:
        if self._lost is not None:
            raise Lost(self._lost)
        if self.odd:
            raise Lost("the relay spoke out of turn")
        if self._transport is None or self._transport.is_closing():
            raise Lost("the connection was closed")

    async def _drained(self, timeout: float) -> None:
        while self._paused and self._lost is None and not self._replies:
            await self._wait(timeout, f"the relay took no more of the body for {timeout:g} s")

    async def _wait(self, timeout: float, late: str) -> None:
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            self.odd = True
            raise Late(late) from None
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_line(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        self._size += len(line)
        if found is None or self._size > _LONGEST_REPLY or self._code not in {b"", found[1]}:
            self._garbled(line)
            return
        self._texts.append(found[3] or b"")
        self._code = found[1]
        if found[2] != b"-":
            self._finish(int(found[1]))

    def _finish(self, code: int) -> None:
        text = b"\n".join(self._texts).decode("utf-8", "replace")
        self._forget()
        self._deliver(Reply.of(code, _CONTROLS.sub(" ", text)[:_LONGEST_TEXT]))

    def _garbled(self, line: bytes) -> None:
        # After this nothing can be paired with its question any more.
        self._buffer.clear()
        self._forget()
        self.odd = True
        self._deliver(Reply(-1, "", _CONTROLS.sub(" ", line[:200].decode("utf-8", "replace"))))

    def _forget(self) -> None:
        self._texts.clear()
        self._code = b""
        self._size = 0

    def _deliver(self, reply: Reply) -> None:
        if len(self._replies) >= self._awaited:
            self._turn_odd()
            return
        self._replies.append(reply)
        self._wake()

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


_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def stuffed(content: bytes) -> bytes:
    """The body as it travels: CRLF line ends only, dots stuffed, the final dot appended (RFC 5321 §4.5.2).

    A bare CR or LF would let a message end early at some servers and start another one inside it.
    """
    ends = content.count(b"\r\n")
    if content.count(b"\n") != ends or content.count(b"\r") != ends:
        content = _BARE.sub(b"\r\n", content)
    content = content.replace(b"\n.", b"\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n")
