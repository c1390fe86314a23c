"""A disk that fills up: intake refuses before the end, what cannot be recorded is not sent, room is all it takes."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.crash.small_disk import MIB, SmallDisk, small_disk
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_server import SmtpServer

SIZE = 32 * MIB
RESERVE = 10 * MIB
BODY = "x" * 76 + "\r\n"
CONNECTIONS = 5
BUSY = 75


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", SIZE) as disk:
        yield disk


class Story:
    """A hub with its database on the small disk, and what it promised."""

    def __init__(self, hub: Hub, smtp: SmtpServer) -> None:
        self.hub = hub
        self.smtp = smtp
        self.ids: list[str] = []
        self._numbers = itertools.count()

    async def send(self, kilobytes: int = 20) -> dict[str, Any]:
        """Send one more; the answer, which is an id or a refusal with a name."""
        number = next(self._numbers)
        text = BODY * (kilobytes * 1024 // len(BODY))
        answer = await self.hub.post("/emails", {"to": f"u{number}@example.org", "subject": "S", "text": text})
        found: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            self.ids.append(found["id"])
        else:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
        return found

    async def until_refused(self, kilobytes: int = 20, every: float = 0.01) -> str:
        """Send until it is refused; by what name."""
        async with asyncio.timeout(30):
            while "id" in (found := await self.send(kilobytes)):  # noqa: ASYNC110 - a client that asks again
                await asyncio.sleep(every)
        return str(found["name"])

    async def until_taken(self) -> None:
        """Send until one is taken again."""
        async with asyncio.timeout(30):
            while "id" not in await self.send(1):  # noqa: ASYNC110 - a client that asks again
                await asyncio.sleep(0.1)

    async def all_sent(self) -> None:
        """Everything that was accepted is told as sent, and the server took it."""
        told = {"sent": len(self.ids)}

        async def sent() -> bool:
            return await self.hub.counts() == told

        await self.hub.until(sent, f"{told}", 40)
        assert set(self.copies()) >= set(self.ids)

    def copies(self) -> Counter[str]:
        """How often the server took each message, by id."""
        return Counter(message.message_id.strip("<>").split("@")[0] for message in self.smtp.messages)

    async def reads_go_on(self) -> None:
        """Everything that only reads answers."""
        for path in ("/health/live", "/emails", f"/emails/{self.ids[0]}", "/", f"/messages/{self.ids[0]}", "/metrics"):
            answer = await self.hub.client.get(path)
            assert answer.status_code == 200, f"{path}: {answer.text}"
        assert (await self.hub.client.get("/health/ready")).status_code == 503


def on(disk: SmallDisk, make_hub: Callable[..., Hub], smtp: SmtpServer, **env: str) -> Story:
    """A hub, not started, with its database on the disk."""
    hub = make_hub(
        smtp,
        EMAILHUB_DATABASE=str(disk.path / "hub.db"),
        EMAILHUB_DISK_RESERVE=str(RESERVE),
        EMAILHUB_SMTP_CONNECTIONS=str(CONNECTIONS),
        EMAILHUB_UNKNOWN_WAIT="1s",
        **env,
    )
    return Story(hub, smtp)


@pytest.mark.nightly
async def test_with_less_than_the_reserve_new_mail_is_refused_and_the_queue_left_alone_while_deliveries_go_on(
    disk: SmallDisk,
    make_hub: Callable[..., Hub],
    rabbit: RabbitNode,
    rabbit_vhost: str,
    queue_at: Callable[[str], Any],
) -> None:
    async with SmtpServer() as smtp:
        story = on(disk, make_hub, smtp, RABBITMQ_URL=rabbit_vhost)
        await story.hub.start()
        await story.hub.consuming()
        queue = await queue_at(rabbit_vhost)
        held = asyncio.Event()
        smtp.on("DOT", hold=held, times=CONNECTIONS)
        for _ in range(3 * CONNECTIONS):
            await story.send()
        disk.leave(RESERVE - MIB)
        # Somebody else took the space: the hub sees it within seconds, and little may be written till then.
        assert await story.until_refused(kilobytes=4, every=0.1) == "disk_full"
        assert disk.free > RESERVE / 2, "it refused too late"
        await story.hub.until(
            lambda: _rabbitmq(story.hub, "paused: the disk is nearly full"), "the queue is left alone"
        )
        await queue.publish({"to": "queue@example.org", "subject": "S", "body": "B", "request_id": "waits"})
        held.set()
        await story.all_sent()
        assert await queue.count("email.queue") == 1
        await story.reads_go_on()
        disk.relieve()
        await story.until_taken()
        await story.hub.consuming()
        await smtp.wait_until(lambda: any("queue@example.org" in message.recipients for message in smtp.messages))
        assert max(story.copies().values()) == 1
        assert await story.hub.stop() == 0


async def test_on_a_full_disk_what_cannot_be_recorded_stops_the_sending_and_room_is_enough_to_go_on(
    disk: SmallDisk, make_hub: Callable[..., Hub]
) -> None:
    async with SmtpServer() as smtp:
        story = on(disk, make_hub, smtp)
        held = await _filled_with_mail_under_way(story, disk)
        held.set()
        await story.hub.until(lambda: _said(story.hub, "result not recorded, sending stops", CONNECTIONS), "it stops")
        taken = len(smtp.messages)
        assert taken == CONNECTIONS
        await story.reads_go_on()
        assert await story.until_refused() in {"disk_full", "service_unavailable"}
        assert len(smtp.messages) == taken, "it sends what it cannot record"
        disk.relieve()
        await story.until_taken()
        await story.all_sent()
        assert max(story.copies().values()) == 1
        assert await story.hub.stop() == 0


@pytest.mark.nightly
async def test_killed_on_a_full_disk_only_what_was_under_way_comes_twice(
    disk: SmallDisk, make_hub: Callable[..., Hub]
) -> None:
    async with SmtpServer() as smtp:
        story = on(disk, make_hub, smtp)
        held = await _filled_with_mail_under_way(story, disk)
        held.set()
        await story.hub.until(lambda: _said(story.hub, "result not recorded, sending stops", CONNECTIONS), "it stops")
        await story.hub.kill9()
        under_way = set(story.copies())
        await story.hub.spawn()
        assert story.hub.process is not None
        async with asyncio.timeout(30):
            assert await story.hub.process.wait() == BUSY
        assert "is full: free space" in story.hub.output()
        assert "Traceback" not in story.hub.output()
        disk.relieve()
        await story.hub.start()
        await story.until_taken()
        await story.all_sent()
        assert {id for id, count in story.copies().items() if count > 1} <= under_way
        assert max(story.copies().values()) <= 2


async def _filled_with_mail_under_way(story: Story, disk: SmallDisk) -> asyncio.Event:
    """The disk is full; bodies on every connection were taken, and their final replies wait for the event."""
    await story.hub.start()
    held = asyncio.Event()
    dot = story.smtp.on("DOT", hold=held, times=CONNECTIONS)
    for _ in range(3 * CONNECTIONS):
        await story.send()

    async def all_held() -> bool:
        return dot.hits == CONNECTIONS

    await story.hub.until(all_held, f"{CONNECTIONS} final replies are awaited")
    disk.fill()
    return held


async def _said(hub: Hub, event: str, times: int) -> bool:
    return sum(line["event"] == event for line in hub.log()) >= times


async def _rabbitmq(hub: Hub, detail: str) -> bool:
    parts = (await hub.client.get("/health/ready")).json()["parts"]
    return bool(parts["rabbitmq"]["detail"].startswith(detail))
