"""More in the queue than the hub can hold: it takes what it has room for, its memory stays bounded, nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_server import SmtpServer

MIB = 2**20
FLOOD = 100_000
ROOM = 20_000
MOST = 250 * MIB
"""Bytes of memory that it may take at its peak."""
LARGE = 8 * MIB
MOST_LARGE = 700 * MIB


def peak(hub: Hub) -> int:
    """Bytes of memory the process held at most."""
    assert hub.process is not None
    status = Path(f"/proc/{hub.process.pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) * 1024


async def _link(hub: Hub, begins: str) -> bool:
    detail: str = (await hub.client.get("/health/ready")).json()["parts"]["rabbitmq"]["detail"]
    return detail.startswith(begins)


@pytest.mark.nightly
@pytest.mark.timeout(1700)
async def test_a_flood_stays_in_the_queue_until_there_is_room_and_memory_is_bounded(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any], proved: Callable[[str], None]
) -> None:
    url = rabbit.vhost_url(await rabbit.fresh_vhost())
    queue = await queue_at(url)
    await queue.declare("email.queue", {})
    await queue.publish_all(
        [{"to": f"u{n}@example.org", "subject": "S", "body": "B" * 500, "request_id": f"r{n}"} for n in range(FLOOD)]
    )
    async with SmtpServer() as smtp:
        hub = make_hub(smtp, RABBITMQ_URL=url, EMAILHUB_MAX_WAITING=str(ROOM), EMAILHUB_LOG_LEVEL="warning")
        await smtp.stop()
        await hub.start()
        await hub.until(lambda: _link(hub, "paused: "), "the consumer is canceled", 300)
        assert "messages wait already" in (await hub.client.get("/health/ready")).text
        taken = FLOOD - await queue.count("email.queue")
        assert 0.8 * ROOM <= taken <= ROOM, "it stops at four fifths of its room, and what was on its way still fits"
        full = peak(hub)
        await smtp.start()
        await hub.client.post("/breakers/default", json={"state": "auto", "reason": "the server is back"})

        def arrived() -> Counter[str]:
            return Counter(to for message in smtp.messages for to in message.recipients)

        await smtp.wait_until(lambda: len(smtp.messages) >= FLOOD, timeout=1500)
        assert set(arrived().values()) == {1}
        assert len(arrived()) == FLOOD
        assert await queue.count("email.queue") == 0
        assert peak(hub) < MOST
        proved(
            f"flood: {FLOOD:,} in the queue, taken up to {taken:,} of {ROOM:,} that may wait, all sent once; "
            f"{full // MIB} MiB at the mark, {peak(hub) // MIB} MiB at most"
        )


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_large_messages_are_not_all_held_in_memory_at_once(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any], proved: Callable[[str], None]
) -> None:
    url = rabbit.vhost_url(await rabbit.fresh_vhost())
    queue = await queue_at(url)
    await queue.declare("email.queue", {})
    count = 60
    for number in range(count):
        await queue.publish(
            {"to": f"u{number}@example.org", "subject": "S", "body": "B" * LARGE, "request_id": f"r{number}"}
        )
    async with SmtpServer() as smtp:
        hub = make_hub(smtp, RABBITMQ_URL=url, EMAILHUB_SMTP_CONNECTIONS="2", EMAILHUB_LOG_LEVEL="warning")
        await hub.start()
        seen: set[str] = set()

        async def all_arrived() -> bool:
            while smtp.messages:
                seen.update(smtp.messages.pop().recipients)
            return len(seen) == count

        await hub.until(all_arrived, f"{count} large messages", 500)
        assert await queue.count("email.queue") == 0
        proved(f"large: {count} of {LARGE // MIB} MiB from the queue, {peak(hub) // MIB} MiB of memory at most")
        assert peak(hub) < MOST_LARGE
