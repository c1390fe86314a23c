"""Connections that the AMQP library has forgotten: those that could not be opened.

Their finaliser begins to close them in the running event loop. The garbage collector may run it in any thread, that of
the database among them, which has no loop: the closing is then never awaited, and Python complains of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aio_pika.connection import Connection

_closing: set[asyncio.Future[None]] = set()


def close_in_their_loop() -> None:
    """From now on, in this process: a forgotten connection is closed in the loop it was made in."""
    Connection.__del__ = _forgotten  # type: ignore[method-assign]


def _forgotten(self: Connection) -> None:
    # Without a loop, or when it is over, there is nothing left to close.
    with suppress(AttributeError, RuntimeError):
        if not self.is_closed:
            self.loop.call_soon_threadsafe(_close, self)


def _close(connection: Connection) -> None:
    closing = asyncio.ensure_future(connection.close())
    _closing.add(closing)
    closing.add_done_callback(_closed)


def _closed(closing: asyncio.Future[None]) -> None:
    _closing.discard(closing)
    if not closing.cancelled():
        closing.exception()  # read, or Python complains of it; there is nobody to tell
