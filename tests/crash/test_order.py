"""Durable before it is promised: a commit is synced before its answer, or the ack to the queue, leaves the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.crash.trace import Call, calls, strace
from tests.support.smtp_server import SmtpServer

ACK = r"\0<\0P"
"""Class 60, method 80 of AMQP: basic.ack, as strace writes it."""
LOG = "-wal"
TALKING = {"write", "writev", "sendto", "sendmsg"}


def first(found: list[Call], what: str, fits: Callable[[Call], bool]) -> Call:
    """The first call that fits."""
    one = next(filter(fits, found), None)
    assert one is not None, f"never seen: {what}"
    return one


def synced(found: list[Call], text: str) -> int:
    """Where in the trace the commit that stores `text` had reached the disk."""
    log = [call for call in found if LOG in call.file]
    stored = first(log, f"a write of {text}", lambda call: call.name == "pwrite64" and text in call.text)
    sync = first(log, f"a sync of {text}", lambda call: call.name == "fdatasync" and call.began > stored.over)
    assert sync.text.endswith("= 0")
    return sync.over


def said(found: list[Call], text: str) -> int:
    """Where in the trace `text` was first said over the network."""
    talk = [call for call in found if call.name in TALKING and "TCP" in call.file]
    return first(talk, f"{text} said", lambda call: text in call.text).began


@pytest.mark.timeout(240)
async def test_every_answer_and_every_ack_follows_the_sync_of_its_commit(
    rabbit_vhost: str, tmp_path: Path, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    trace = tmp_path / "trace"
    async with SmtpServer() as smtp:
        hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
        hub.under = strace(trace)
        await hub.start()
        await hub.consuming()
        queue = await queue_at(rabbit_vhost)
        await queue.publish({"to": "ada@example.org", "subject": "Hello", "body": "Hi", "request_id": "from-the-queue"})
        await smtp.wait_for(1, timeout=60)
        alone = [await hub.send() for _ in range(5)]
        at_once = await asyncio.gather(*(hub.send() for _ in range(20)))
        batch = (await hub.post("/emails/batch", [{"to": "b@example.org", "subject": "S", "text": "T"}] * 3)).json()
        assert await hub.stop() == 0

        async def all_written() -> bool:
            return b"+++ exited" in await asyncio.to_thread(_end_of, trace)

        await hub.until(all_written, "the trace is complete")
    found = calls(trace.read_text("utf-8", "replace"))
    for id in [*alone, *at_once, *(one["id"] for one in batch["data"])]:
        assert synced(found, id) < said(found, id), f"{id} was told before it was on the disk"
    assert synced(found, "from-the-queue") < said(found, ACK), "the queue was told before the commit was on the disk"


def _end_of(path: Path) -> bytes:
    return path.read_bytes()[-200:]
