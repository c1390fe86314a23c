"""Messages over HTTP and from RabbitMQ, in the shapes services really use, arrive once each; with two hubs too."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hub import Hub, running
from tests.support.smtp_server import SmtpServer

EACH = 1000


def http_body(number: int) -> tuple[str, dict[str, object]]:
    to = f"http{number}@example.org"
    if number % 2:
        body = "<p>Hello</p>" if number % 4 == 1 else "Hello"
        return "/send_email/", {"to": to, "subject": f"S {number}", "body": body, "request_id": f"http-{number}"}
    content = {"html": "<p>Hello</p>"} if number % 4 else {"text": "Hello"}
    return "/emails", {"to": to, "subject": f"S {number}", "request_id": f"http-{number}", **content}


def queue_body(number: int) -> dict[str, object]:
    to, request_id = f"amqp{number}@example.org", f"amqp-{number}"
    shapes: list[dict[str, object]] = [
        {"to": to, "subject": "S", "body": "Hello", "request_id": request_id},
        {"pattern": "email", "data": {"to": to, "subject": "S", "body": "<p>Hi</p>", "request_id": request_id}},
        {"recipient": to, "subject": "S", "content": "Hello", "request_id": request_id},
        {"user_email": to, "template_subject": "S", "template_content": "<p>Hi</p>", "request_id": request_id},
        {
            "user": {"email": to},
            "template": {"subject": "Hi {{name}}", "body": "<p>Dear {{ name }}</p>"},
            "variables": {"name": "Ada"},
            "request_id": request_id,
        },
        {"success": True, "data": {"to_email": to, "subject": "S", "html_body": "<b>Hi</b>", "request_id": request_id}},
    ]
    return shapes[number % len(shapes)]


@pytest.mark.timeout(240)
async def test_a_thousand_over_each_door_arrive_once_each(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    ticket = asyncio.Semaphore(50)

    async def post(number: int) -> None:
        async with ticket:
            path, body = http_body(number)
            answer = await hub.post(path, body)
            assert answer.status_code == 200, answer.text

    bodies = [json.dumps(queue_body(number)).encode() for number in range(EACH)]
    await asyncio.gather(queue.publish_all(bodies), *(post(number) for number in range(EACH)))
    await smtp.wait_for(2 * EACH, timeout=120)
    await hub.settled(2 * EACH, final=("sent",))

    arrived = Counter(address for message in smtp.messages for address in message.recipients)
    expected = {f"{door}{number}@example.org" for door in ("http", "amqp") for number in range(EACH)}
    assert set(arrived) == expected
    assert set(arrived.values()) == {1}
    for request_id in ("http-0", "http-1", "amqp-0", f"amqp-{EACH - 1}"):
        answer = (await hub.post("/status/", {"request_id": request_id})).json()
        assert answer == {"request_id": request_id, "status": "delivered"}
    assert await queue.count("email.queue") == 0


@pytest.mark.nightly
async def test_two_hubs_on_one_queue_share_its_messages_and_each_says_that_it_is_not_alone(
    rabbit_vhost: str, smtp: SmtpServer, queue_at: Callable[[str], Any], tmp_path: Path
) -> None:
    env = {"RABBITMQ_URL": rabbit_vhost, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp.port)}
    env["EMAIL_FROM"] = "hub@example.org"
    async with running(tmp_path / "one", **env) as one, running(tmp_path / "two", **env) as two:
        for hub in (one, two):
            await hub.consuming()
        queue = await queue_at(rabbit_vhost)
        await queue.publish_all([json.dumps(queue_body(number)).encode() for number in range(EACH)])
        await smtp.wait_for(EACH, timeout=60)

        async def all_told() -> list[int]:
            found = [(await hub.counts()).get("sent", 0) for hub in (one, two)]
            return found if sum(found) == EACH else []

        assert min(await one.until(all_told, "each message is sent by one of them")) > 0
        arrived = Counter(address for message in smtp.messages for address in message.recipients)
        assert set(arrived.values()) == {1}
        for hub in (one, two):

            async def not_alone(hub: Hub = hub) -> bool:
                return "are not ours" in (await hub.client.get("/health/ready")).text

            await hub.until(not_alone, "it sees the other consumer", 40)
        # What one of them had not settled goes to the other.
        await one.stop()
        await queue.publish({"to": "last@example.org", "subject": "S", "body": "B", "request_id": "last"})
        await smtp.wait_until(lambda: any("last@example.org" in message.recipients for message in smtp.messages))
