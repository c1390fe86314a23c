"""Requests come in: batched, acknowledged once they are taken, given back otherwise."""

import asyncio
from collections.abc import Sequence

from emailhub.adapters.rabbit import Delivery
from emailhub.adapters.rabbit.inbox import BATCH_BYTES, HEAVY
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, cut, running
from tests.support.rabbit_node import RabbitNode


async def test_what_is_published_is_taken_with_its_properties_and_leaves_the_queue(hub: Hub) -> None:
    await hub.publish(
        b"not json \xff",
        content_type="application/json",
        correlation_id="c-1",
        message_id="m-1",
        headers={"x-request-id": "r-1", "n": 7},
    )
    await hub.until(lambda: len(hub.taken) == 1)
    [delivery] = hub.taken
    assert delivery.body == b"not json \xff"
    properties = delivery.properties
    assert (properties.content_type, properties.correlation_id, properties.message_id) == (
        "application/json",
        "c-1",
        "m-1",
    )
    assert properties.headers == {"x-request-id": "r-1", "n": 7}
    assert properties.routing_key == "email.queue"
    assert not properties.redelivered
    await hub.until(lambda: hub.rabbit.status().ready == 0)


async def test_properties_nobody_set_stay_empty(hub: Hub) -> None:
    await hub.publish(b"{}")
    await hub.until(lambda: len(hub.taken) == 1)
    assert hub.taken[0].properties.correlation_id is None
    assert hub.taken[0].properties.content_type is None


async def test_a_flood_is_taken_in_batches_with_bounded_unacknowledged_deliveries(rabbit_vhost: str) -> None:
    hub = Hub(rabbit_vhost, prefetch=300)
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(*(b"%d" % n for n in range(5000)))
        await hub.until(lambda: len(hub.taken) == 5000, 60)
        await hub.until(lambda: hub.rabbit.status().unacked == 0)
    assert sorted(hub.bodies) == sorted(b"%d" % n for n in range(5000))
    assert max(hub.batches) <= 200
    assert hub.most_unacked <= 300
    assert await hub.depth() == 0


async def test_a_batch_is_what_arrived_while_the_last_one_was_stored(hub: Hub) -> None:
    stored = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> list[bool]:
        await stored.wait()
        return await hub.take(deliveries)

    hub.answer = slow
    await hub.publish(b"first")
    await hub.until(lambda: hub.batches == [1])
    await hub.publish(*(b"%d" % n for n in range(50)))
    await hub.until(lambda: hub.rabbit.status().unacked == 51)
    stored.set()
    await hub.until(lambda: len(hub.taken) == 51)
    assert hub.batches == [1, 50]


async def test_what_is_not_taken_goes_back_and_comes_again_after_the_wait(hub: Hub) -> None:
    hub.answer = hub.refuse
    await hub.publish(b"one", b"two")
    status = await hub.linked(Link.PAUSED)
    assert "could not be stored" in status.detail
    await hub.until(lambda: hub.rabbit.status().unacked == 0)
    assert await hub.depth() == 2
    hub.answer = hub.take
    await hub.until(lambda: len(hub.taken) == 2)
    assert all(delivery.properties.redelivered for delivery in hub.taken)
    assert await hub.depth() == 0


async def test_refusals_do_not_spin(hub: Hub) -> None:
    hub.answer = hub.refuse
    await hub.publish(b"one")
    await hub.until(lambda: len(hub.batches) == 2)
    await hub.linked(Link.PAUSED)
    assert hub.links == [Link.CONSUMING, Link.PAUSED] * 2, "once after 1 s, and now it waits 2 s"


async def test_what_was_taken_of_a_partly_refused_batch_is_acknowledged(hub: Hub) -> None:
    async def odd(deliveries: Sequence[Delivery]) -> list[bool]:
        answers = [int(delivery.body) % 2 == 1 for delivery in deliveries]
        hub.taken += [delivery for delivery, ok in zip(deliveries, answers, strict=True) if ok]
        return answers

    hub.rabbit.pause("test")
    await hub.linked(Link.PAUSED)
    await hub.publish(*(b"%d" % n for n in range(10)))
    hub.answer = odd
    hub.rabbit.resume()
    await hub.until(lambda: len(hub.taken) > 0)
    await hub.linked(Link.PAUSED)
    await hub.until(lambda: hub.rabbit.status().unacked == 0)
    assert await hub.depth() == 10 - len(hub.taken)
    hub.answer = hub.take
    hub.rabbit.resume()
    await hub.until(lambda: len(hub.taken) == 10)
    assert sorted(hub.bodies) == sorted(b"%d" % n for n in range(10))
    assert await hub.depth() == 0


async def test_a_bug_in_the_hub_costs_no_message(hub: Hub) -> None:
    async def broken(deliveries: Sequence[Delivery]) -> list[bool]:
        raise KeyError("bug")

    hub.answer = broken
    await hub.publish(b"one")
    await hub.linked(Link.PAUSED)
    hub.answer = hub.take
    hub.rabbit.resume()
    await hub.until(lambda: hub.bodies == [b"one"])


async def test_paused_takes_nothing_and_resumed_takes_everything(hub: Hub) -> None:
    hub.rabbit.pause("the outbox is nearly full")
    status = await hub.linked(Link.PAUSED)
    assert status.detail == "the outbox is nearly full"
    await hub.publish(b"one")
    await hub.until(lambda: hub.rabbit.status().ready == 1)
    assert hub.taken == []
    hub.rabbit.resume()
    await hub.until(lambda: hub.bodies == [b"one"])


async def test_stopping_settles_the_batch_in_hand_and_gives_the_rest_back(hub: Hub) -> None:
    stored = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> list[bool]:
        await stored.wait()
        return await hub.take(deliveries)

    hub.answer = slow
    await hub.publish(b"first")
    await hub.until(lambda: hub.batches == [1])
    await hub.publish(b"second", b"third")
    await hub.until(lambda: hub.rabbit.status().unacked == 3)
    stopping = asyncio.create_task(hub.rabbit.stop_intake())
    await hub.until(lambda: hub.rabbit.status().unacked == 1)
    stored.set()
    await stopping
    assert hub.bodies == [b"first"]
    assert await hub.depth() == 2


async def test_a_batch_in_hand_survives_the_connection_and_its_deliveries_come_again(
    rabbit: RabbitNode, hub: Hub
) -> None:
    stored = asyncio.Event()

    async def slow(deliveries: Sequence[Delivery]) -> list[bool]:
        await stored.wait()
        return await hub.take(deliveries)

    hub.answer = slow
    await hub.publish(b"one")
    await hub.until(lambda: hub.batches == [1])
    await hub.publish(b"two")
    await hub.until(lambda: hub.rabbit.status().unacked == 2)
    await cut(rabbit, hub)
    await hub.until(lambda: hub.rabbit.status().recoveries >= 1)
    assert hub.taken == [], "the first batch is still being stored"
    stored.set()
    await hub.until(lambda: len(hub.taken) == 3)
    assert hub.bodies[0] == b"one"
    again = [delivery.body for delivery in hub.taken[1:] if delivery.properties.redelivered]
    assert sorted(again) == [b"one", b"two"]
    await hub.until(lambda: hub.rabbit.status().unacked == 0)
    assert await hub.depth() == 0


async def test_large_bodies_are_read_only_as_fast_as_they_are_taken(rabbit_vhost: str) -> None:
    stored = asyncio.Event()
    hub = Hub(rabbit_vhost)
    size, count = 2**20, 60

    async def slow(deliveries: Sequence[Delivery]) -> list[bool]:
        await stored.wait()
        return await hub.take(deliveries)

    async with running(hub):
        await hub.linked(Link.CONSUMING)
        hub.answer = slow
        await hub.publish(*(b"%02d" % number + bytes(size) for number in range(count)))
        await hub.until(lambda: hub.rabbit.status().unacked * size >= HEAVY)
        await asyncio.sleep(0.3)  # enough for the rest to come, if it were read
        assert hub.rabbit.status().unacked * size < HEAVY + 4 * size
        stored.set()
        await hub.until(lambda: len(hub.taken) == count)
        assert max(hub.batches) * size <= BATCH_BYTES
        assert sorted({body[:2] for body in hub.bodies}) == [b"%02d" % number for number in range(count)]
        await hub.until(lambda: hub.rabbit.status().ready == 0)
        assert hub.rabbit.status().recoveries == 0


async def test_large_bodies_that_are_not_taken_go_back_and_come_again(rabbit_vhost: str) -> None:
    hub = Hub(rabbit_vhost)
    hub.answer = hub.refuse
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(*(b"%02d" % number + bytes(2**20) for number in range(60)))
        await hub.linked(Link.PAUSED)
        await hub.until(lambda: hub.rabbit.status().unacked == 0)
        assert await hub.depth() == 60
        hub.answer = hub.take
        hub.rabbit.resume()
        await hub.until(lambda: len(hub.taken) == 60)
        assert await hub.depth() == 0
        assert hub.rabbit.status().recoveries == 0
