"""One request id, one mail, however often and over whichever door it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

TIMES = 50


async def test_fifty_at_once_over_both_doors_are_one_mail(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    body = {"to": "ada@example.org", "subject": "Hello", "body": "Hi.", "request_id": "pw-1"}
    as_email = {"to": "ada@example.org", "subject": "Hello", "text": "Hi.", "request_id": "pw-1"}

    async def once(number: int) -> str:
        if number % 3 == 0:
            await queue.publish(body)
            return ""
        answer = await hub.post(*(("/send_email/", body) if number % 3 == 1 else ("/emails", as_email)))
        assert answer.status_code == 200, answer.text
        return str(answer.json().get("id", ""))

    ids = set(await asyncio.gather(*(once(number) for number in range(TIMES)))) - {""}
    assert len(ids) == 1
    await smtp.wait_for(1)
    await hub.until(lambda: _drained(queue), "the queue is drained")
    await hub.settled(1, final=("sent",))
    assert len(smtp.messages) == 1

    again = await hub.post("/emails", as_email)
    assert again.json()["id"] in ids
    assert again.headers["idempotency-replayed"] == "true"

    other = await hub.post("/send_email/", body | {"body": "Something else."})
    assert other.status_code == 409
    assert other.json()["name"] == "invalid_idempotent_request"
    await queue.publish(body | {"body": "Something else again."})

    async def buried() -> bool:
        return bool(await queue.count("failed.queue") == 1)

    await hub.until(buried, "the conflict is a dead letter")
    letter = (await queue.take_all("failed.queue"))[0]
    assert "pw-1" in str(letter.headers.get("x-emailhub-error", "")) + str(letter.headers["x-emailhub-reason"])
    assert await hub.counts() == {"sent": 1}


async def _drained(queue: Any) -> bool:
    return bool(await queue.count("email.queue") == 0)
