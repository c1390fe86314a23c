"""A delivery's AMQP properties as the core reads them."""

from __future__ import annotations

from aio_pika.abc import AbstractIncomingMessage

from emailhub.core.shapes import Properties


def properties_of(message: AbstractIncomingMessage) -> Properties:
    return Properties(
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        headers=dict(message.headers),
        redelivered=bool(message.redelivered),
        routing_key=message.routing_key or "",
    )


def returns_of(message: AbstractIncomingMessage) -> int:
    """How often a quorum queue says it delivered the message before; 0 where queues do not count."""
    count = message.headers.get("x-delivery-count")
    return count if isinstance(count, int) else 0
