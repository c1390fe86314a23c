"""Queues, exchanges and bindings: joined as they are, created only where nobody else did.

Every question is asked on a channel of its own, since RabbitMQ closes the channel of a refused one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from msgspec import Struct

from emailhub.adapters.rabbit.connection import Connection
from emailhub.adapters.rabbit.errors import plain
from emailhub.adapters.rabbit.options import RabbitOptions

_HANDOFF_ARGUMENTS: Mapping[str, Any] = {
    # A hub that is gone for good leaves nothing behind; hand-offs are hints, so losing them harms nobody.
    "x-expires": 7 * 86400 * 1000,
    "x-message-ttl": 3600 * 1000,
}


class Survey(Struct, frozen=True):
    """A queue as RabbitMQ sees it: messages ready to be delivered, and consumers."""

    ready: int
    consumers: int


async def survey(connection: Connection, queue: str) -> Survey:
    """How the queue stands. Raises ChannelNotFoundEntity when there is none, or another of FAILURES."""
    async with connection.throwaway() as channel:
        facts = await channel.queue_declare(queue, passive=True)
    return Survey(facts.message_count or 0, facts.consumer_count or 0)


async def prepare(connection: Connection, options: RabbitOptions) -> str:
    """Make sure the request queue is there and bound. Returns what a human should know, or "".

    Raises ChannelNotFoundEntity when it is absent and not ours to create, or another of FAILURES.
    """
    notes = [await _join(connection, options)]
    if options.exchange and options.declare != "never":
        notes.append(await _bind(connection, options))
    return "; ".join(note for note in notes if note)


async def prepare_handoff(connection: Connection, options: RabbitOptions) -> str:
    """Make sure our own queue is there. Returns why there is none, or ""."""
    try:
        await _queue(connection, options.handoff_queue, _HANDOFF_ARGUMENTS, create=options.declare != "never")
    except (ChannelAccessRefused, ChannelNotFoundEntity) as error:
        return f"couriers take from the database alone, as {options.handoff_queue} cannot be used: {plain(error)}"
    return ""


async def prepare_dead_letters(connection: Connection, options: RabbitOptions) -> None:
    """Make sure dead letters have a place to go. Raises one of FAILURES."""
    create = options.declare != "never"
    await _queue(connection, options.dead_letter_queue, {}, create=create)
    if options.dead_letter_exchange and create:
        exchange, queue = options.dead_letter_exchange, options.dead_letter_queue
        if await _exchange(connection, exchange, "direct", durable=True, create=True):
            async with connection.throwaway() as channel:
                await channel.queue_bind(queue, exchange, routing_key=queue)


async def _join(connection: Connection, options: RabbitOptions) -> str:
    create = options.declare == "auto"
    if await _queue(connection, options.queue, options.arguments, create=create) or not create:
        return ""
    return await _differences(connection, options)


async def _differences(connection: Connection, options: RabbitOptions) -> str:
    """In which arguments an existing queue differs from what was asked for."""
    try:
        async with connection.throwaway() as channel:
            await channel.queue_declare(options.queue, durable=True, arguments=dict(options.arguments))
    except ChannelPreconditionFailed as error:
        text = plain(error)
        # Who asked for no arguments takes the queue as it is; only losing it at a restart is worth a word.
        return f"arguments differ: {text}" if options.arguments or "'durable'" in text else ""
    except ChannelAccessRefused:
        return ""
    return ""


async def _bind(connection: Connection, options: RabbitOptions) -> str:
    keys = options.routing_keys or (("",) if options.exchange_type == "fanout" else (options.queue,))
    create = options.declare == "auto"
    try:
        await _exchange(
            connection, options.exchange, options.exchange_type, durable=options.exchange_durable, create=create
        )
        async with connection.throwaway() as channel:
            for key in keys:
                await channel.queue_bind(options.queue, options.exchange, routing_key=key)
    except (ChannelAccessRefused, ChannelNotFoundEntity) as error:
        return f"{options.queue} is not bound to {options.exchange}: {plain(error)}"
    return ""


async def _queue(connection: Connection, name: str, arguments: Mapping[str, Any], *, create: bool) -> bool:
    """Find the durable queue `name`, or create it where `create`. True when it was created."""

    async def passive(channel: AbstractChannel) -> object:
        return await channel.queue_declare(name, passive=True)

    async def active(channel: AbstractChannel) -> object:
        return await channel.queue_declare(name, durable=True, arguments=dict(arguments))

    return await _found_or_made(connection, passive, active if create else None)


async def _exchange(connection: Connection, name: str, kind: str, *, durable: bool, create: bool) -> bool:
    """Find the exchange `name`, or create it where `create`. True when it was created."""

    async def passive(channel: AbstractChannel) -> object:
        return await channel.exchange_declare(name, passive=True)

    async def active(channel: AbstractChannel) -> object:
        return await channel.exchange_declare(name, exchange_type=kind, durable=durable)

    return await _found_or_made(connection, passive, active if create else None)


_Question = Callable[[AbstractChannel], Awaitable[object]]


async def _found_or_made(connection: Connection, passive: _Question, active: _Question | None) -> bool:
    try:
        async with connection.throwaway() as channel:
            await passive(channel)
    except ChannelNotFoundEntity:
        if active is None:
            raise
        async with connection.throwaway() as channel:
            await active(channel)
        return True
    return False
