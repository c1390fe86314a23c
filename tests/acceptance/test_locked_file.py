"""Another program that keeps the database locked: nothing is told that is not stored, and its end is enough."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


@pytest.mark.nightly  # every write waits five seconds for the lock
@pytest.mark.timeout(120)
async def test_while_another_program_locks_the_file_nothing_is_taken_or_sent_and_reading_goes_on(
    smtp: SmtpServer, make_hub: Callable[..., Hub], rabbit_vhost: str, queue_at: Callable[[str], Any]
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_UNKNOWN_WAIT="1s")
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    final = asyncio.Event()
    held = smtp.on("DOT", hold=final, times=1)
    first = await hub.send()
    await asyncio.wait_for(held.reached.wait(), 10)

    other = sqlite3.connect(hub.database)
    other.execute("BEGIN EXCLUSIVE")
    final.set()
    await queue.publish({"to": "queue@example.org", "subject": "S", "body": "B", "request_id": "r"})
    answer = await hub.post("/emails", {"to": "http@example.org", "subject": "S", "text": "T"})
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    ready = await hub.client.get("/health/ready")
    assert ready.status_code == 503
    assert "locked by another process" in ready.json()["parts"]["outbox"]["detail"]
    email = await hub.get(f"/emails/{first}")
    assert email["status"] == "sending", "its result cannot be recorded yet"
    assert (await hub.client.get("/")).status_code == 200
    other.rollback()
    other.close()
    await hub.settled(2, final=("sent",))
    await hub.send(to="after@example.org")
    await hub.settled(3, final=("sent",))
    assert sorted(Counter(r for message in smtp.messages for r in message.recipients).values()) == [1, 1, 1]
    assert await hub.stop() == 0
    assert await queue.count("email.queue") == 0
