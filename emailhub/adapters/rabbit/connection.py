"""One connection to RabbitMQ: opened once, never repaired by the library, closed within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from aio_pika.abc import AbstractRobustConnection
from aiormq.abc import AbstractChannel, AbstractConnection
from faststream.rabbit import Channel, RabbitBroker

from emailhub.adapters.rabbit.errors import FAILURES, Lost, amqp_call, plain
from emailhub.adapters.rabbit.forgotten import close_in_their_loop
from emailhub.adapters.rabbit.options import RabbitOptions

_HEARTBEAT = 20
_NEVER = 10 * 365 * 86400.0
"""The library's own reconnecting restores less than we need (bindings, missing queues, lost consumers): we do it."""
_CLOSE_SECONDS = 5.0


class Connection:
    """A FastStream broker on a connection of its own. `lost` is done, with the reason, once the connection is gone."""

    def __init__(self, options: RabbitOptions, purpose: str, channel: Channel) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._options = options
        self._connection: AbstractRobustConnection | None = None
        close_in_their_loop()
        self.broker = RabbitBroker(
            _named(options.url, f"emailhub {purpose}"),
            timeout=options.connect,
            fail_fast=True,
            reconnect_interval=_NEVER,
            on_close=[self._on_close],
            default_channel=channel,
            apply_types=False,
            graceful_timeout=_CLOSE_SECONDS,
            logger=None,
        )

    async def open(self) -> None:
        """Connect and log in. Raises one of FAILURES."""
        _check_host(self._options.url)
        opening = asyncio.ensure_future(self.broker.connect())
        try:
            with amqp_call():
                self._connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The library's connecting task outlives a cancelled connect() and could never be closed.
            await asyncio.wait({opening}, timeout=self._options.connect + 1.0)
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                self._connection = opening.result()
                await self.close()
            raise

    async def close(self) -> None:
        """Close the connection. Raises nothing, takes seconds at most."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        for ending in (connection.close(), self.broker.stop()):
            # In this order: stopping the broker first would wait for replies on a channel that may be dead.
            task = asyncio.ensure_future(ending)
            await asyncio.wait({task}, timeout=_CLOSE_SECONDS)
            if task.done():
                with suppress(asyncio.CancelledError):
                    task.exception()
            else:
                task.cancel()
        if not self.lost.done():
            self.lost.set_result("closed")

    @property
    def transport(self) -> AbstractConnection:
        """The AMQP connection itself. Raises Lost when there is none."""
        connection = self._connection
        if connection is None or connection.transport is None or connection.transport.connection.is_closed:
            raise Lost("not connected to RabbitMQ")
        return connection.transport.connection

    @asynccontextmanager
    async def throwaway(self) -> AsyncIterator[AbstractChannel]:
        """A channel for one question: a refused one closes it, and must not take another channel with it.

        What is asked inside has `options.connect` seconds. Raises one of FAILURES.
        """
        with amqp_call():
            async with asyncio.timeout(self._options.connect):
                channel = await self.transport.channel(publisher_confirms=False)
                try:
                    yield channel
                finally:
                    with suppress(*FAILURES):
                        await channel.close()

    async def blocked(self) -> bool:
        """Whether RabbitMQ said that it does not read from us (memory or disk alarm). Does not wait."""
        try:
            async with asyncio.timeout(0):
                await self.transport.ready()
        except TimeoutError:
            return True
        return False

    async def unblocked(self) -> None:
        """Wait until RabbitMQ reads from us again. Raises Lost when the connection is gone."""
        await self.transport.ready()

    def _on_close(self, _: Any, error: BaseException | None = None) -> None:
        if not self.lost.done():
            self.lost.set_result(plain(error) if error is not None else "the connection closed")


def _named(url: str, name: str) -> str:
    """`url` with our heartbeat and a name for RabbitMQ's list of connections, unless it says otherwise itself."""
    parts = urlsplit(url)
    query = {"heartbeat": str(_HEARTBEAT), "name": name, **dict(parse_qsl(parts.query))}
    return parts._replace(query=urlencode(query)).geturl()


def _check_host(url: str) -> None:
    # A name that cannot be encoded makes the library's connecting task wait for ever.
    try:
        (urlsplit(url).hostname or "localhost").encode("idna")
    except UnicodeError as error:
        raise Lost(f"the host name in RABBITMQ_URL is not valid: {error}") from error
