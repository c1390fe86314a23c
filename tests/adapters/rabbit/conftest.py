"""A hub on a real RabbitMQ: what it took, what it was handed, and ways to wait for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest_asyncio

from emailhub.adapters.rabbit import Delivery, Rabbit, RabbitOptions
from emailhub.core.status import Link, RabbitStatus
from tests.support.rabbit_node import RabbitNode

QUICK = {"first_wait": 0.1, "longest_wait": 0.5, "watchdog": 0.5}


class Hub:
    """A Rabbit that keeps what it is given. `answer` may be replaced to refuse deliveries."""

    def __init__(self, url: str, **options: Any) -> None:
        self.options = RabbitOptions(url=url, outbox_id="test", **{**QUICK, **options})
        self.taken: list[Delivery] = []
        self.batches: list[int] = []
        self.handed: list[str] = []
        self.links: list[Link] = []
        self.most_unacked = 0
        self.answer: Callable[[Sequence[Delivery]], Awaitable[Sequence[bool]]] = self.take
        self.rabbit = Rabbit(
            self.options,
            on_requests=self._requests,
            on_handoff=self._handoff,
            on_status=self._status,
            jitter=lambda low, high: (low + high) / 2,
        )

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.taken]

    async def take(self, deliveries: Sequence[Delivery]) -> list[bool]:
        self.taken += deliveries
        return [True] * len(deliveries)

    async def refuse(self, deliveries: Sequence[Delivery]) -> list[bool]:
        return [False] * len(deliveries)

    async def _requests(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        self.batches.append(len(deliveries))
        self.most_unacked = max(self.most_unacked, self.rabbit.status().unacked)
        return await self.answer(deliveries)

    def _handoff(self, ids: Sequence[str]) -> None:
        self.handed += ids

    def _status(self, status: RabbitStatus) -> None:
        self.links.append(status.link)

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until `condition` holds; fails with the status after `seconds`."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{self.rabbit.status()}, taken {len(self.taken)}, handed {len(self.handed)}"
            await asyncio.sleep(0.02)

    async def linked(self, link: Link, seconds: float = 20.0) -> RabbitStatus:
        await self.until(lambda: self.rabbit.status().link is link, seconds)
        return self.rabbit.status()

    async def publish(self, *bodies: bytes, exchange: str = "", key: str = "", **properties: Any) -> None:
        """Publish as another service would, persistent and confirmed."""
        async with producer(self.options.url) as channel:
            to = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await asyncio.gather(
                *(
                    to.publish(
                        aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties),
                        key or self.options.queue,
                    )
                    for body in bodies
                )
            )

    async def get(self, queue: str) -> aio_pika.abc.AbstractIncomingMessage | None:
        """Take one message off `queue`."""
        async with producer(self.options.url) as channel:
            return await (await channel.get_queue(queue)).get(no_ack=True, fail=False)

    async def depth(self, queue: str = "") -> int:
        """Messages ready in `queue` (the request queue)."""
        async with producer(self.options.url) as channel:
            found = await channel.get_queue(queue or self.options.queue)
            return found.declaration_result.message_count or 0


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel of somebody else's."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        yield await connection.channel()


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[Hub]:
    """Run `hub` inside the block; nothing of it is left afterwards."""
    task = asyncio.create_task(hub.rabbit.run())
    try:
        yield hub
    finally:
        await hub.rabbit.close()
        await task


async def cut(rabbit: RabbitNode, hub: Hub) -> None:
    """Close the hub's connections as an administrator would."""
    await rabbit.ctl("-p", hub.options.vhost, "close_all_connections", "test")


@pytest_asyncio.fixture
async def hub(rabbit_vhost: str) -> AsyncIterator[Hub]:
    """A hub that consumes from an empty vhost."""
    async with running(Hub(rabbit_vhost)) as one:
        await one.linked(Link.CONSUMING)
        yield one
