"""The queue is a principal: what comes from it is held to the domains it may send from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from emailhub.core.access import Kind, Principal
from emailhub.core.message import Limits
from emailhub.core.records import DeadLetter
from emailhub.core.shapes import Properties
from emailhub.engine.subscriber import Subscriber
from tests.support.web_hub import web_hub

QUEUE = Principal(kind=Kind.QUEUE, name="the queue", id="queue", from_domains=("shop.example",))


class Delivery(Struct):
    body: bytes
    properties: Properties = Properties()


class Graves:
    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters


@pytest.mark.parametrize(
    ("sender", "stored"), (("a@shop.example", 1), ("a@other.example", 0), ("a@mail.shop.example", 0), (None, 0))
)
async def test_a_sender_the_queue_may_not_use_is_a_dead_letter_that_says_why(
    tmp_path: Path, sender: str | None, stored: int
) -> None:
    fields = {"to": "ada@example.org", "subject": "Hello", "body": "Hi"} | ({"from": sender} if sender else {})
    async with web_hub(tmp_path) as hub:
        graves = Graves()
        subscriber = Subscriber(hub.faces.intake, graves, limits=Limits(), now=hub.clock, principal=QUEUE)
        assert await subscriber.take([Delivery(json.dumps(fields).encode())]) == [True]
        assert await hub.stored() == stored
        reasons = [letter.reason for letter in graves.letters]
        assert len(reasons) == 1 - stored
        assert all("from: is at" in reason and "only from shop.example" in reason for reason in reasons)


async def test_one_namespace_of_keys_spans_the_queue_and_http(tmp_path: Path) -> None:
    fields = {"to": "ada@example.org", "subject": "Hello", "text": "Hi", "from": "a@shop.example", "request_id": "r-1"}
    async with web_hub(tmp_path) as hub:
        id = (await hub.client.post("/emails", json=fields)).json()["id"]
        subscriber = Subscriber(hub.faces.intake, Graves(), limits=Limits(), now=hub.clock, principal=QUEUE)
        assert await subscriber.take([Delivery(json.dumps(fields).encode())]) == [True]
        assert await hub.stored() == 1
        assert (await hub.client.get(f"/emails/{id}")).status_code == 200
