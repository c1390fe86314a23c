"""Bodies nobody can read go to the dead letters with a reason; the good ones among them are mail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emailhub.engine.subscriber import RUNS
from tests.acceptance.hub import Hub
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_server import SmtpServer

EACH = 100
POISON = (
    b"not json",
    b"\xff\xfe\x00broken",
    b'{"to": "x@example.org"',
    b"[1, 2, 3]",
    b"42",
    b"",
    b"{'to': 'x@example.org', 'subject': 'python repr', 'body': 'x'}",
    b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap",
    b'{"to": "not an address", "subject": "S", "body": "B"}',
    b'{"subject": "S", "body": "no address"}',
    b'{"to": "x@example.org", "subject": "S\\r\\nBcc: evil@example.org", "body": "B"}',
    b'{"to": "x@example.org", "template_code": "welcome", "variables": {"name": "x"}}',
    b'{"notification_type": "push", "to": "x@example.org", "subject": "S", "body": "B"}',
    b"[" * 5000 + b"]" * 5000,
)


async def test_poison_among_good_ones_hurts_nobody(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    for number in range(EACH):
        await queue.publish(POISON[number % len(POISON)])
        await queue.publish({"to": f"u{number}@example.org", "subject": "S", "body": "B", "request_id": f"r{number}"})
    await smtp.wait_for(EACH)
    await hub.until(lambda: _at_least(queue, "failed.queue", EACH), f"{EACH} dead letters")
    assert len(smtp.messages) == EACH
    assert await queue.count("email.queue") == 0
    letters = await queue.take_all("failed.queue")
    assert len(letters) == EACH
    assert all(letter.headers["x-emailhub-reason"] for letter in letters)
    assert {letter.body for letter in letters} == set(POISON)
    await hub.settled(EACH, final=("sent",))


@pytest.mark.timeout(120)
async def test_dead_letters_that_flow_back_make_no_loop(
    rabbit: RabbitNode, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    vhost = await rabbit.fresh_vhost()
    url = rabbit.vhost_url(vhost)
    queue = await queue_at(url)
    back = {"x-message-ttl": 200, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "email.queue"}
    await queue.declare("failed.queue", back)
    smtp.on("RCPT", "550 5.1.1 user unknown", to="gone@example.org")
    hub = make_hub(smtp, RABBITMQ_URL=url)
    await hub.start()
    await hub.consuming()
    await queue.publish({"to": "gone@example.org", "subject": "S", "body": "B", "request_id": "r1"})
    await queue.publish(b"not json")

    async def both_came_back() -> bool:
        return sum(line["event"] == "dead letter came back" for line in hub.log()) >= 2

    await hub.until(both_came_back, "both dead letters came back to the queue", 30)
    await hub.until(lambda: _at_most(queue, "email.queue", 0), "the queue is empty")
    assert await queue.count("failed.queue") == 0
    assert (await hub.counts()) == {"failed": 1}
    assert not smtp.messages


async def _at_least(queue: Any, name: str, count: int) -> bool:
    return bool(await queue.count(name) >= count)


async def _at_most(queue: Any, name: str, count: int) -> bool:
    return bool(await queue.count(name) <= count)


DEADLY = """
import os
from emailhub.core import shapes
read = shapes.read
def deadly(body, properties):
    if b"deadly" in body:
        os._exit(139)
    return read(body, properties)
shapes.read = deadly
"""
"""As a fault in a library written in C would."""


@pytest.mark.nightly
@pytest.mark.timeout(120)
async def test_a_body_that_ends_the_process_each_time_is_a_dead_letter_in_the_end_and_those_behind_it_are_mail(
    rabbit_vhost: str,
    smtp: SmtpServer,
    make_hub: Callable[..., Hub],
    queue_at: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(DEADLY)
    # What was on its way when the process ended may come twice.
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, PYTHONPATH=str(tmp_path / "hooks"), EMAILHUB_UNKNOWN_WAIT="1s")
    queue = await queue_at(rabbit_vhost)
    await queue.declare("email.queue", {})
    good = [{"to": f"u{number}@example.org", "subject": "S", "body": "B"} for number in range(20)]
    await queue.publish_all(good[:10])
    await queue.publish(b"deadly")
    await queue.publish_all(good[10:])
    deaths = 0

    async def dead_or_done() -> str:
        assert hub.process is not None
        if hub.process.returncode is not None:
            return "dead"
        return "done" if await queue.count("failed.queue") else ""

    while await hub.spawn() or await hub.until(dead_or_done, "it died, or there is a dead letter") == "dead":
        assert hub.process is not None
        assert hub.process.returncode == 139, hub.output()[-2000:]
        deaths += 1
    # The first one to see it did not know that it had been there before.
    assert deaths == RUNS
    await hub.settled(len(good), final=("sent",))
    assert {message.recipients[0] for message in smtp.messages} == {one["to"] for one in good}
    [letter] = await queue.take_all("failed.queue")
    assert letter.body == b"deadly"
    assert "ended 4 times in a row" in str(letter.headers["x-emailhub-reason"])
    assert await queue.count("email.queue") == 0
