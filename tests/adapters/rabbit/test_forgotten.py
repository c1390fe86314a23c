"""A connection that never came to be is forgotten by the library, and found by the garbage collector in any thread."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any

import pytest
from aio_pika.robust_connection import RobustConnection
from yarl import URL

from emailhub.adapters.rabbit.forgotten import close_in_their_loop


class Watched(RobustConnection):
    """Tells when it was closed."""

    closings: asyncio.Event

    async def close(self, exc: Any = None) -> None:
        self.closings.set()
        await super().close(exc)


async def test_a_forgotten_connection_is_closed_in_its_loop_whichever_thread_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    close_in_their_loop()
    closed = asyncio.Event()
    connection = Watched(URL("amqp://localhost/"))
    connection.closings = closed
    forgotten = [connection]
    del connection

    def find() -> None:
        forgotten.clear()
        gc.collect()

    finder = threading.Thread(target=find)
    finder.start()
    finder.join()
    async with asyncio.timeout(10):
        await closed.wait()
    gc.collect()
    assert complaints == []
