"""Hand-offs come back to the hub, dead letters reach their queue or say that they did not."""

import asyncio

import pytest

from emailhub.adapters.rabbit.publisher import dead_letter_headers
from emailhub.core.errors import BrokerDown
from emailhub.core.records import DeadLetter
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, cut, producer, running
from tests.support.ports import free_port
from tests.support.rabbit_node import RabbitNode


def letter(**changes: object) -> DeadLetter:
    facts = {
        "id": 7,
        "at": 1.0,
        "reason": "refused",
        "body": b'{"to": 1}\xff',
        "headers": {"x-tenant": "a"},
        "content_type": "application/json",
        "correlation_id": "c-1",
        "message": "em_1",
        "recipient": "ada@example.org",
    }
    return DeadLetter(**{**facts, **changes})  # type: ignore[arg-type]


async def test_hand_offs_go_through_rabbitmq_and_come_back_in_order(hub: Hub) -> None:
    assert hub.rabbit.can_hand_off
    ids = [f"em_{n}" for n in range(150)]
    hub.rabbit.hand_off(ids[:1])
    hub.rabbit.hand_off(ids[1:])
    await hub.until(lambda: len(hub.handed) == 150)
    assert hub.handed == ids
    assert await hub.depth("emailhub.handoff.test") == 0


async def test_hand_offs_without_rabbitmq_are_forgotten() -> None:
    hub = Hub(f"amqp://127.0.0.1:{free_port()}/")
    async with running(hub):
        await hub.linked(Link.DOWN)
        assert not hub.rabbit.can_hand_off
        hub.rabbit.hand_off(["em_1"])
        with pytest.raises(BrokerDown):
            await hub.rabbit.publish(letter())


async def test_hand_offs_that_cannot_be_read_are_dropped(hub: Hub) -> None:
    await hub.publish(b"not a list", b'["em_1"]', key="emailhub.handoff.test")
    await hub.until(lambda: hub.handed == ["em_1"])
    assert await hub.depth("emailhub.handoff.test") == 0


async def test_a_dead_letter_is_durable_in_its_queue_and_tells_whose_it_is(hub: Hub) -> None:
    await hub.rabbit.publish(letter())
    found = await hub.get("failed.queue")
    assert found is not None
    assert found.body == b'{"to": 1}\xff'
    assert found.delivery_mode == 2
    assert found.content_type == "application/json"
    assert (found.message_id, found.correlation_id) == ("test.7", "c-1")
    assert found.headers == {
        "x-tenant": "a",
        "x-emailhub-id": "em_1",
        "x-emailhub-reason": "refused",
        "x-emailhub-recipient": "ada@example.org",
    }


async def test_a_dead_letter_published_again_has_the_same_message_id(hub: Hub) -> None:
    await hub.rabbit.publish(letter(id=9, message=None, recipient=None))
    await hub.rabbit.publish(letter(id=9, message=None, recipient=None))
    first, second = await hub.get("failed.queue"), await hub.get("failed.queue")
    assert first is not None
    assert second is not None
    assert first.message_id == second.message_id == first.headers["x-emailhub-id"]


async def test_dead_letters_go_through_an_exchange_when_one_is_named(rabbit_vhost: str) -> None:
    async with running(Hub(rabbit_vhost, dead_letter_exchange="dead")) as hub:
        await hub.linked(Link.CONSUMING)
        await hub.rabbit.publish(letter())
        assert await hub.depth("failed.queue") == 1


async def test_an_unroutable_dead_letter_is_not_taken_for_published(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_exchange("dead", durable=True)
    async with running(Hub(rabbit_vhost, dead_letter_exchange="dead")) as hub:
        await hub.linked(Link.CONSUMING)
        with pytest.raises(BrokerDown, match="not confirmed"):
            await hub.rabbit.publish(letter())


async def test_a_rejected_dead_letter_is_not_taken_for_published(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue(
            "failed.queue", durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
    async with running(Hub(rabbit_vhost)) as hub:
        await hub.linked(Link.CONSUMING)
        await hub.rabbit.publish(letter(id=1))
        with pytest.raises(BrokerDown, match="dead letter 2"):
            await hub.rabbit.publish(letter(id=2))


async def test_the_dead_letter_queue_is_made_again_after_somebody_deleted_it(rabbit: RabbitNode, hub: Hub) -> None:
    await hub.rabbit.publish(letter(id=1))
    await rabbit.delete_queue("failed.queue", hub.options.vhost)
    with pytest.raises(BrokerDown):
        await hub.rabbit.publish(letter(id=2))
    await hub.rabbit.publish(letter(id=2))
    assert await hub.depth("failed.queue") == 1


async def test_a_lost_connection_fails_what_is_being_published(rabbit: RabbitNode, hub: Hub) -> None:
    await hub.rabbit.publish(letter())

    async def publish_until_it_fails() -> None:
        while True:
            await hub.rabbit.publish(letter())

    publishing = asyncio.create_task(publish_until_it_fails())
    await cut(rabbit, hub)
    with pytest.raises(BrokerDown):
        await publishing
    await hub.until(lambda: hub.rabbit.can_hand_off)
    await hub.rabbit.publish(letter())


async def test_headers_that_would_close_the_channel_never_reach_rabbitmq(hub: Hub) -> None:
    headers = {
        "CC": "somewhere",
        "BCC": "elsewhere",
        "x-death": "[]",
        "x-delivery-count": "3",
        "kept": "yes",
        "k" * 300: "long name",
        "large": "x" * 200_000,
        "x-emailhub-error": "550 no",
    }
    await hub.rabbit.publish(letter(headers=headers, correlation_id="ü" * 200, content_type="t" * 300))
    found = await hub.get("failed.queue")
    assert found is not None
    assert found.correlation_id == "ü" * 127
    assert found.headers.keys() == {
        "kept",
        "x-emailhub-error",
        "x-emailhub-id",
        "x-emailhub-reason",
        "x-emailhub-recipient",
    }


def test_our_headers_stay_when_the_senders_are_too_many() -> None:
    theirs = {f"h{n}": "x" * 1000 for n in range(100)}
    found = dead_letter_headers(letter(headers={**theirs, "x-emailhub-error": "550 no"}), "test.7")
    assert found["x-emailhub-error"] == "550 no"
    assert 20 < len(found) < 40
