"""Ends a working hub again and again, lets the last one drain, and collects the three records."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import aio_pika

from tests.acceptance.hub import Hub
from tests.crash.ledger import Told, Verdict, judge
from tests.crash.moody import MoodySmtp
from tests.crash.traffic import TEMPLATE, Traffic

EARLY = 0.2
"""Share of the ends that come before the hub has started, while it looks after what the last one left."""
LIFE = 0.8
"""Most seconds between its first answer and its end."""
SETTINGS = {
    "EMAILHUB_UNKNOWN_WAIT": "1s",
    "SMTP_RETRY_DELAY_SECONDS": "0.1",
    "MAX_RETRY_ATTEMPTS": "15",
    "EMAILHUB_BREAKER_OPEN_FOR": "1s",
}
WAITING = ("queued", "scheduled", "sending", "deferred")


async def storm(
    hub: Hub,
    smtp: MoodySmtp,
    amqp_url: str,
    *,
    ends: int,
    messages: int,
    seed: int,
    end: Callable[[Hub], Awaitable[object]] = Hub.kill9,
) -> Verdict:
    """What is left of all promises after `end` was done `ends` times, and at least `messages` messages.

    The hub is stopped then.
    """
    rng = random.Random(seed)
    await hub.start()
    await hub.consuming()
    assert (await hub.post("/templates", TEMPLATE)).status_code == 200
    assert (await hub.post("/templates/welcome/publish")).status_code == 200
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        traffic = Traffic(hub.client, channel, random.Random(rng.random()))
        work = asyncio.create_task(traffic.run())
        try:
            for _ in range(ends):
                await _live_and_end(hub, rng, end)
            await hub.start()
            await _until_promised(traffic, messages, work)
            smtp.calm = True
            traffic.finish()
            await work
            return await _drained(hub, smtp, traffic, channel)
        finally:
            work.cancel()


async def _live_and_end(hub: Hub, rng: random.Random, end: Callable[[Hub], Awaitable[object]]) -> None:
    if hub.process is None and rng.random() < EARLY:
        await hub.spawn()
        await asyncio.sleep(rng.random())
    elif hub.process is None:
        await hub.start()
    await asyncio.sleep(rng.random() * LIFE)
    await end(hub)


async def _until_promised(traffic: Traffic, messages: int, work: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while len(traffic.asked.promised) < messages and not work.done():  # noqa: ASYNC110 - clients tell no events
            await asyncio.sleep(0.05)


async def _drained(hub: Hub, smtp: MoodySmtp, traffic: Traffic, channel: aio_pika.abc.AbstractChannel) -> Verdict:
    queue = await channel.declare_queue("email.queue", passive=True)
    assert not traffic.asked.refused, traffic.asked.refused[:5]

    async def all_consumed() -> bool:
        return not (await queue.declare()).message_count

    async def all_done() -> bool:
        pages = [await hub.get("/emails", status=state, limit=1) for state in WAITING]
        return not any(page["data"] for page in pages)

    await hub.until(all_consumed, "the queue is empty", 60)
    await hub.until(all_done, "nothing waits", 120)
    told = await _told(hub, smtp)
    await _buried(hub, channel, {one.id for one in told if one.state == "failed"})
    # Stopped in order, it gives back what it had taken and not acknowledged: the queue would not be empty then.
    assert await hub.stop() == 0
    with closing(sqlite3.connect(hub.database)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    return judge(traffic.asked, smtp.copies(), told)


async def _buried(hub: Hub, channel: aio_pika.abc.AbstractChannel, failed: set[str]) -> None:
    """Wait for the dead letters of what failed; there are no others. Takes them off their queue."""
    # Where nothing failed there is none yet.
    queue = await channel.declare_queue("failed.queue", durable=True)
    found: set[str] = set()

    async def all_there() -> bool:
        while (letter := await queue.get(no_ack=True, fail=False)) is not None:
            found.add(str(letter.headers["x-emailhub-id"]))
        return found >= failed

    await hub.until(all_there, f"{len(failed)} dead letters", 40)
    assert found == failed


async def _told(hub: Hub, smtp: MoodySmtp) -> list[Told]:
    copies = Counter((copy.id, copy.address) for copy in smtp.copies())
    again = {id for (id, _), count in copies.items() if count > 1}
    return [one for email in await _emails(hub) for one in await _recipients(hub, email, again)]


async def _emails(hub: Hub) -> list[dict[str, Any]]:
    """Every message the API lists."""
    page = await hub.get("/emails", limit=100)
    found: list[dict[str, Any]] = page["data"]
    while page["has_more"]:
        page = await hub.get("/emails", limit=100, after=found[-1]["id"])
        found += page["data"]
    return found


async def _recipients(hub: Hub, email: dict[str, Any], again: set[str]) -> list[Told]:
    id = email["id"]
    if email["recipients"] == 1 and email["status"] == "sent" and id not in again:
        return [Told(email["to"][0], id, "sent")]
    detail = await hub.get(f"/emails/{id}")
    unknown: Counter[str] = Counter()
    for attempt in (await hub.get(f"/emails/{id}/attempts"))["data"]:
        unknown.update(result["address"] for result in attempt["results"] if result["verdict"] == "unknown")
    return [
        Told(one["address"], id, one["state"], unknown[one["address"]], detail["on_unknown"])
        for one in detail["recipients"]
    ]
