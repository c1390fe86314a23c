"""What the stories share: a folder, a real SMTP server in the test's own loop, a queue to publish to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import pytest_asyncio

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives the real process."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest_asyncio.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    """A listening SMTP server that takes everything."""
    async with SmtpServer() as server:
        yield server


@pytest_asyncio.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[Callable[..., Hub]]:
    """Makes hubs (not started) that send to an SMTP server; all end with the test."""
    async with AsyncExitStack() as stack:

        def make(server: SmtpServer | None, **env: str) -> Hub:
            sending = (
                {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(server.port), "EMAIL_FROM": "hub@example.org"}
                if server
                else {}
            )
            hub = Hub(tmp_path, sending | env)
            stack.push_async_callback(hub.close)
            return hub

        yield make


class Queue:
    """A producer's view of RabbitMQ: publishes with confirms, reads the dead letters."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self._connection = connection
        self._channel = channel

    async def publish(self, body: Any, *, to: str = "email.queue", **properties: Any) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties)
        await self._channel.default_exchange.publish(message, to, mandatory=True)

    async def publish_all(self, bodies: list[Any]) -> None:
        for start in range(0, len(bodies), 100):
            await asyncio.gather(*(self.publish(body) for body in bodies[start : start + 100]))

    async def count(self, name: str) -> int:
        """Messages ready in queue `name`; 0 as long as there is no such queue."""
        # A channel of its own: asking for a queue that is not there closes the one that asked.
        channel = await self._connection.channel()
        try:
            queue = await channel.declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0
        await channel.close()
        return queue.declaration_result.message_count or 0

    async def declare(self, name: str, arguments: dict[str, Any]) -> None:
        await self._channel.declare_queue(name, durable=True, arguments=arguments)

    async def take_all(self, name: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Everything in queue `name`, acknowledged."""
        queue = await self._channel.declare_queue(name, passive=True)
        found = []
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            found.append(message)
        return found


@pytest_asyncio.fixture
async def queue_at() -> AsyncIterator[Callable[[str], Any]]:
    """Opens a `Queue` at an AMQP address."""
    async with AsyncExitStack() as stack:

        async def at(url: str) -> Queue:
            connection = await stack.enter_async_context(await aio_pika.connect(url))
            return Queue(connection, await connection.channel())

        yield at
