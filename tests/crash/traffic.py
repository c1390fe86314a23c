"""Producers that never stop: what clients do over HTTP, what services publish, and a record of every promise."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aio_pika
import httpx

from tests.crash.ledger import Asked, Promise

TEMPLATE = {"name": "Welcome", "alias": "welcome", "subject": "Hello {{ name }}", "html": "<p>Hello {{ name }}</p>"}
HTTP_CLIENTS = 6
PUBLISHERS = 2
PAUSE = 0.1
"""Most seconds between an answer and the next request: work goes on all the time, and the hub keeps up with it."""
AGAIN = 0.1
"""Seconds after which a client whose connection was cut asks again."""


class Traffic:
    """`rng` decides what is asked."""

    def __init__(self, client: httpx.AsyncClient, channel: aio_pika.abc.AbstractChannel, rng: random.Random) -> None:
        self.asked = Asked()
        self._client = client
        self._channel = channel
        self._rng = rng
        self._numbers = 0
        self._over = False

    async def run(self) -> None:
        """Work until `finish` was called and every answer is there."""
        kinds = (self._plain, self._plain, self._seed, self._two, self._batch, self._file, self._templated, self._later)
        kinds += (self._suppressed, self._careful, self._shy)
        async with asyncio.TaskGroup() as group:
            for _ in range(HTTP_CLIENTS):
                group.create_task(self._work(kinds))
            for _ in range(PUBLISHERS):
                group.create_task(self._work((self._publish,)))

    def finish(self) -> None:
        """Nothing new is asked for; what was asked is asked until it is answered."""
        self._over = True

    async def _work(self, kinds: tuple[Callable[[], Awaitable[None]], ...]) -> None:
        while not self._over:
            await self._rng.choice(kinds)()
            await asyncio.sleep(self._rng.random() * PAUSE)

    # Asking.

    def _address(self, door: str = "http") -> str:
        self._numbers += 1
        address = f"{door}{self._numbers}@example.org"
        self.asked.asked.add(address)
        return address

    def _promise(self, addresses: list[str], id: str = "", not_before: float = 0.0) -> None:
        self.asked.promised |= dict.fromkeys(addresses, Promise(id, not_before))

    async def _post(self, path: str, body: object, key: str = "") -> Any:
        """The answer, however often it takes to get it."""
        headers = {"idempotency-key": key} if key else {}
        while True:
            # AttributeError: what the client makes of a connection that is cut while it is being made.
            try:
                answer = await self._client.post(path, json=body, headers=headers)
            except (httpx.TransportError, AttributeError):
                pass
            else:
                if answer.status_code == 200:
                    return answer.json()
                # While it stops or starts it may say: come back later.
                if answer.status_code != 503:
                    self.asked.refused.append(f"{path}: {answer.status_code} {answer.text}")
                    return None
            await asyncio.sleep(AGAIN)

    async def _one(self, address: str, *others: str, not_before: float = 0.0, **fields: object) -> None:
        content = {} if "template" in fields else {"subject": "Hello", "text": f"Hi {address}."}
        answer = await self._post("/emails", {"to": address} | content | fields, key=f"order/{address}")
        if answer is not None:
            self._promise([address, *others], answer["id"], not_before)

    async def _plain(self) -> None:
        await self._one(self._address())

    async def _seed(self) -> None:
        address = self._address()
        body = {"to": address, "subject": "Hello", "body": "<p>Hi</p>", "request_id": f"seed-{address}"}
        if await self._post("/send_email/", body) is not None:
            self._promise([address])

    async def _two(self) -> None:
        other = self._address()
        await self._one(self._address(), other, cc=[other])

    async def _batch(self) -> None:
        addresses = [self._address() for _ in range(5)]
        body = [{"to": address, "subject": "Hello", "text": "Hi."} for address in addresses]
        answer = await self._post("/emails/batch", body, key=f"batch/{addresses[0]}")
        if answer is not None:
            for address, accepted in zip(addresses, answer["data"], strict=True):
                self._promise([address], accepted["id"])

    async def _file(self) -> None:
        content = base64.b64encode(self._rng.randbytes(self._rng.randrange(40_000))).decode()
        await self._one(self._address(), attachments=[{"filename": "invoice.pdf", "content": content}])

    async def _templated(self) -> None:
        await self._one(self._address(), template={"id": "welcome", "variables": {"name": "Ada"}})

    async def _later(self) -> None:
        at = time.time() + self._rng.uniform(0.5, 2.0)
        due = datetime.fromtimestamp(at, UTC).isoformat()
        await self._one(self._address(), not_before=at, scheduled_at=due)

    async def _careful(self) -> None:
        await self._one(self._address(), on_unknown=self._rng.choice(("hold", "fail")))

    async def _suppressed(self) -> None:
        address, other = self._address(), self._address()
        if await self._post("/suppressions", {"email": address, "reason": "asked for it"}) is not None:
            self.asked.listed.add(address)
            await self._one(other, address, cc=[address])

    async def _shy(self) -> None:
        """A client that gives no key and asks once only: what it does not see answered may be sent or not."""
        address = self._address()
        try:
            answer = await self._client.post("/emails", json={"to": address, "subject": "Hello", "text": "Hi."})
        except (httpx.TransportError, AttributeError):
            return
        if answer.status_code == 200:
            self._promise([address], answer.json()["id"])

    async def _publish(self) -> None:
        address = self._address("amqp")
        shapes: list[tuple[dict[str, object], dict[str, Any]]] = [
            ({"to": address, "subject": "Hello", "body": "Hi", "request_id": f"q-{address}"}, {}),
            ({"pattern": "email", "data": {"to": address, "subject": "Hello", "body": "<p>Hi</p>"}}, {}),
            ({"recipient": address, "subject": "Hello", "content": "Hi"}, {"message_id": f"m-{address}"}),
            ({"to": address, "template": {"id": "welcome", "variables": {"name": "Ada"}}}, {"message_id": address}),
        ]
        body, properties = self._rng.choice(shapes)
        message = aio_pika.Message(json.dumps(body).encode(), delivery_mode=2, **properties)
        await self._channel.default_exchange.publish(message, "email.queue", mandatory=True)
        self._promise([address])
