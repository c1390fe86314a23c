"""Steady mail over HTTP and RabbitMQ, and how long the hub took to accept it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import httpx

from tests.acceptance.conftest import Queue

_TEXT = "The quick brown fox jumps over the lazy dog. " * 40


class Load:
    """So many messages a second over each door, whether or not the last one was answered."""

    def __init__(self, client: httpx.AsyncClient, queue: Queue) -> None:
        self._client = client
        self._queue = queue
        self._numbers = itertools.count()
        self._given: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.refused: list[str] = []
        self.waits: list[float] = []
        """Seconds from a request to its answer."""

    async def run(self, rate: float, door: Callable[[int], Awaitable[None]]) -> None:
        """Give `rate` messages a second to `door` until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            task = asyncio.create_task(self._give(door))
            self._given.add(task)
            task.add_done_callback(self._given.discard)
            due += 1 / rate
            await asyncio.sleep(max(due - loop.time(), 0.0))

    async def over_http(self, number: int) -> None:
        """One POST."""
        message = {"to": f"a{number}@example.org", "subject": f"Number {number}", "text": _TEXT}
        began = time.perf_counter()
        answer = await self._client.post("/emails", json=message)
        self.waits.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text

    async def over_rabbit(self, number: int) -> None:
        """One request in the queue."""
        await self._queue.publish(
            {"to": f"q{number}@example.org", "subject": f"Number {number}", "body": _TEXT, "request_id": f"q{number}"}
        )

    async def _give(self, door: Callable[[int], Awaitable[None]]) -> None:
        try:
            await door(next(self._numbers))
        except (AssertionError, httpx.HTTPError) as error:
            self.refused.append(repr(error))
        else:
            self.accepted += 1

    async def ended(self) -> None:
        """Wait for the answers that are still to come."""
        await asyncio.gather(*self._given)


def percentile(waits: list[float], share: float) -> float:
    """The wait that `share` of all are not longer than."""
    return sorted(waits)[min(int(len(waits) * share), len(waits) - 1)]
