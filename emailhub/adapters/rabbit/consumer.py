"""Who takes from a queue: FastStream subscribers with raw bytes and acknowledgements of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiormq import Channel as AmqpChannel
from aiormq.abc import AbstractChannel
from faststream.middlewares import AckPolicy
from faststream.rabbit import Channel, RabbitMessage, RabbitQueue

from emailhub import logs
from emailhub.adapters.rabbit.connection import Connection
from emailhub.adapters.rabbit.errors import amqp_call
from emailhub.adapters.rabbit.inbox import Arrival, Inbox, Ledger
from emailhub.adapters.rabbit.options import Delivery, RabbitOptions
from emailhub.adapters.rabbit.properties import properties_of, returns_of

_HANDOFF_PREFETCH = 64
_ids = msgspec.json.Decoder(list[str])
_log = logs.get("rabbit")


class Subscription:
    """A consumer on one queue. `lost` is done, with the reason, once RabbitMQ or a closed channel ended it."""

    def __init__(self, connection: Connection, queue: str, channel: Channel | None, seconds: float) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._broker = connection.broker
        # Passive: the queue is made sure of beforehand, with our arguments and not FastStream's.
        self._queue = RabbitQueue(queue, declare=False)
        self._channel_options = channel
        self._seconds = seconds
        self._subscriber = self._broker.subscriber(
            self._queue, channel=channel, ack_policy=AckPolicy.MANUAL, decoder=_raw, no_reply=True
        )
        self._subscriber(self._take)
        self._channel: AbstractChannel | None = None
        self.on = False

    @property
    def alive(self) -> bool:
        """Whether the channel still knows our consumer."""
        channel = self._channel
        return self.on and isinstance(channel, AmqpChannel) and not channel.is_closed and bool(channel.consumers)

    async def start(self) -> None:
        """Begin to consume. Raises one of FAILURES."""
        with amqp_call():
            async with asyncio.timeout(self._seconds):
                await self._watch(await self._open_channel())
                await self._subscriber.start()
        self.on = True

    async def stop(self) -> None:
        """Stop consuming; the channel stays open. Raises one of FAILURES."""
        with amqp_call():
            async with asyncio.timeout(self._seconds):
                await self._subscriber.stop()
        self.on = False

    async def _open_channel(self) -> AbstractChannel:
        robust = await self._broker.config.channel_manager.get_channel(self._channel_options)
        channel: AbstractChannel = await robust.get_underlay_channel()
        return channel

    async def _watch(self, channel: AbstractChannel) -> None:
        if channel is not self._channel:
            self._channel = channel
            channel.on_consumer_cancel_callbacks.add(self._canceled)
            channel.closing.add_done_callback(lambda _: self._lose("its channel closed"))
            self._begin(channel)

    def _canceled(self, _: Any) -> None:
        self._lose("RabbitMQ canceled the consumer, as it does when the queue is deleted")

    def _lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(f"{self._queue.name}: {why}")

    def _begin(self, channel: AbstractChannel) -> None:
        """A channel was opened; nothing was delivered on it yet."""

    async def _take(self, message: RabbitMessage) -> None:
        raise NotImplementedError


class Requests(Subscription):
    """The consumer of the request queue: puts what arrives into the inbox, which acknowledges it later."""

    def __init__(self, connection: Connection, options: RabbitOptions, inbox: Inbox) -> None:
        super().__init__(connection, options.queue, None, options.connect)
        self._inbox = inbox
        self._ledger: Ledger | None = None
        self.owing = False
        """Deliveries were let go of as they came: only `pause` gives them back to the queue."""

    def _begin(self, channel: AbstractChannel) -> None:
        self._ledger = Ledger(channel)
        self.owing = False
        _read_no_faster_than(self._inbox, channel)

    async def pause(self) -> None:
        """Stop consuming and return to the queue what was delivered and not taken. Raises one of FAILURES."""
        # Before the answer to the cancel can be read, there must be room for what comes before it.
        self._inbox.drop()
        await self.stop()
        self._inbox.drop()
        await self._inbox.idle()
        self.owing = False
        if self._ledger is not None:
            await self._ledger.give_back()

    async def _take(self, message: RabbitMessage) -> None:
        raw, ledger = message.raw_message, self._ledger
        if ledger is None or ledger.channel.is_closed or raw.channel is not ledger.channel or not raw.delivery_tag:
            return
        if not self._inbox.open:
            self.owing = True
            return
        self._inbox.put(Arrival(Delivery(raw.body, properties_of(raw), raw.delivery_tag), ledger, returns_of(raw)))


class HandOffs(Subscription):
    """The consumer of our own queue: passes ids on and acknowledges at once."""

    def __init__(
        self, connection: Connection, options: RabbitOptions, on_handoff: Callable[[Sequence[str]], None]
    ) -> None:
        super().__init__(connection, options.handoff_queue, Channel(prefetch_count=_HANDOFF_PREFETCH), options.connect)
        self._on_handoff = on_handoff

    async def _take(self, message: RabbitMessage) -> None:
        try:
            self._on_handoff(_ids.decode(message.body))
        except Exception as error:  # noqa: BLE001 - a hint that cannot be read is worth nothing; the rows are due anyway
            _log.error("hand-off not taken", exc=error)
        await message.ack()


def _read_no_faster_than(inbox: Inbox, channel: AbstractChannel) -> None:
    """Let `channel` read the next delivery only when there is room for it.

    The library hands every delivery to a task of its own, and so reads as fast as RabbitMQ writes. It keeps few frames
    of a channel, so that whoever does not read lets the socket fill up, and RabbitMQ keep the rest.
    """
    deliver = channel._on_deliver_frame  # type: ignore[attr-defined]

    async def when_there_is_room(frame: Any) -> None:
        await inbox.room()
        await deliver(frame)

    channel._on_deliver_frame = when_there_is_room  # type: ignore[attr-defined]


async def _raw(message: RabbitMessage) -> RabbitMessage:
    """Instead of FastStream's decoder, which raises before the handler on bodies that are not what they say."""
    return message
