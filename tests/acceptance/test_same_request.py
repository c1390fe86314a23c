"""One request id, one mail, however often and over whichever door it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

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


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_fifty_at_once_with_each_of_two_hundred_keys_are_one_mail_each_though_the_process_is_killed(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(smtp, EMAILHUB_UNKNOWN_WAIT="1s")
    await hub.start()
    told: dict[str, set[str]] = {f"order/{number}": set() for number in range(200)}

    async def once(key: str) -> None:
        body = {"to": f"{key.replace('/', '-')}@example.org", "subject": "Hello", "text": "Hi."}
        # AttributeError: what the client makes of a connection that is cut while it is being made.
        with contextlib.suppress(httpx.TransportError, AttributeError):
            answer = await hub.post("/emails", body, **{"idempotency-key": key})
            assert answer.status_code == 200, answer.text
            told[key].add(answer.json()["id"])

    async def fifty_each(keys: list[str]) -> None:
        await asyncio.gather(*(once(key) for key in keys for _ in range(TIMES)))

    keys = list(told)
    for some in [keys[start : start + 20] for start in range(0, len(keys), 20)]:
        under_way = asyncio.create_task(fifty_each(some))
        await hub.until(partial(_any, told, some), "the first is answered")
        await hub.kill9()
        await under_way
        await hub.start()
        await fifty_each(some)
    assert {len(ids) for ids in told.values()} == {1}
    await hub.settled(len(keys), final=("sent",), seconds=400)
    # Killed while sending, a message may go out twice; two messages under one key may never be.
    assert await hub.counts() == {"sent": len(keys)}
    assert len({message.message_id for message in smtp.messages}) == len(keys)


async def _any(told: dict[str, set[str]], keys: list[str]) -> bool:
    return any(told[key] for key in keys)


async def _drained(queue: Any) -> bool:
    return bool(await queue.count("email.queue") == 0)
