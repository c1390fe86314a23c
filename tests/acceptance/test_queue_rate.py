"""The queue's own rate, in the real process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


async def test_a_restart_gives_no_day_of_the_queue_away_a_second_time(
    rabbit_vhost: str, make_hub: Callable[..., Hub], queue_at: Callable[[str], Awaitable[Any]], smtp: SmtpServer
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_QUEUE_RATE="4/d")
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    fields = {"to": "ann@example.org", "subject": "Hello", "body": "Text"}
    await queue.publish_all([{**fields, "request_id": f"r-{number}"} for number in range(3)])
    await hub.settled(3)
    await hub.kill9()
    await hub.start()
    await queue.publish_all([{**fields, "request_id": f"s-{number}"} for number in range(3)])

    async def used_up() -> bool:
        return "used up" in (await hub.client.get("/health/ready")).text

    await hub.until(used_up, "the rate of the queue is used up")
    await hub.settled(4)
    assert await queue.count("email.queue") == 2
    assert sum((await hub.counts()).values()) == 4
