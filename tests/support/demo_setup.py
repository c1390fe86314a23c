"""Canned settings for the pages."""

from __future__ import annotations

from emailhub.core.reloaded import Change
from emailhub.core.setup import Setting, Setup


async def demo_setup() -> Setup:
    """Some that are set, one that waits for a reload, one that waits for a restart."""
    return Setup(
        settings=(
            Setting("Web", "EMAILHUB_PORT", "8000", "default", True, "The port to listen on."),
            Setting("Web", "EMAILHUB_HOST", "0.0.0.0", "flag --host", False, "The address to listen on."),
            Setting("RabbitMQ", "RABBITMQ_URL", "amqp://hub:***@mq/", "environment", False, "Where RabbitMQ is."),
            Setting("[[relay]]", 'relay[1] "ses".password', "***", "file emailhub.toml", False, "The password."),
        ),
        reloadable=(Change("relay ses", "rate: 10/s -> 20/s"),),
        restart=(Change("EMAILHUB_PORT", "8000 -> 9000"),),
        warnings=("REDIS_URL is set and not used: one replica needs no Redis",),
    )
