"""Queues and exchanges of others are joined as they are; ours are made where they are absent."""

import pytest

from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, producer, running
from tests.support.rabbit_node import RabbitNode


@pytest.mark.parametrize("kind", ("quorum", "classic"))
async def test_a_queue_is_made_with_the_arguments_asked_for(rabbit: RabbitNode, rabbit_vhost: str, kind: str) -> None:
    async with running(Hub(rabbit_vhost, arguments={"x-queue-type": kind})) as hub:
        await hub.linked(Link.CONSUMING)
        found = await rabbit.ctl("-p", hub.options.vhost, "list_queues", "name", "type", "durable")
        assert f"email.queue\t{kind}\ttrue" in found
        await hub.publish(b"one", b"two")
        await hub.until(lambda: len(hub.taken) == 2)
        hub.answer = hub.refuse
        await hub.publish(b"three")
        await hub.linked(Link.PAUSED)
        hub.answer = hub.take
        hub.rabbit.resume()
        await hub.until(lambda: len(hub.taken) == 3)
        await hub.until(lambda: hub.rabbit.status().ready == 0)


async def test_a_queue_is_made_without_arguments_so_that_others_may_declare_it_too(hub: Hub) -> None:
    async with producer(hub.options.url) as channel:
        await channel.declare_queue("email.queue", durable=True)
    assert hub.rabbit.status().note == ""


async def test_a_queue_with_other_arguments_is_consumed_as_it_is_and_the_difference_told(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue("email.queue", durable=True, arguments={"x-max-priority": 5})
    async with running(Hub(rabbit_vhost, arguments={"x-max-length": 10})) as hub:
        status = await hub.linked(Link.CONSUMING)
        assert status.note.startswith("arguments differ: ")
        assert "x-max-" in status.note
        await hub.publish(b"one")
        await hub.until(lambda: hub.bodies == [b"one"])


async def test_who_asked_for_no_arguments_hears_nothing_of_those_a_queue_has(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue("email.queue", durable=True, arguments={"x-max-priority": 5})
    async with running(Hub(rabbit_vhost)) as hub:
        assert (await hub.linked(Link.CONSUMING)).note == ""


async def test_a_queue_that_would_not_survive_a_restart_is_told(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue("email.queue", durable=False)
    async with running(Hub(rabbit_vhost)) as hub:
        assert "'durable'" in (await hub.linked(Link.CONSUMING)).note


@pytest.mark.parametrize("declare", ("passive", "never"))
async def test_an_absent_queue_that_is_not_ours_to_make_is_waited_for(rabbit_vhost: str, declare: str) -> None:
    async with running(Hub(rabbit_vhost, declare=declare)) as hub:
        status = await hub.linked(Link.MISSING)
        assert "email.queue" in status.detail
        async with producer(rabbit_vhost) as channel:
            await channel.declare_queue("email.queue", durable=True)
        await hub.linked(Link.CONSUMING)


async def test_never_makes_nothing_at_all(rabbit: RabbitNode, rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue("email.queue", durable=True)
    async with running(Hub(rabbit_vhost, declare="never", exchange="notifications.direct")) as hub:
        await hub.linked(Link.CONSUMING)
        assert not hub.rabbit.can_hand_off
        assert await rabbit.list_queues(hub.options.vhost) == {"email.queue": 0}


async def test_the_queue_is_bound_with_every_routing_key(rabbit_vhost: str) -> None:
    hub = Hub(rabbit_vhost, exchange="notifications.direct", routing_keys=("email", "email.high"))
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one", exchange="notifications.direct", key="email")
        await hub.publish(b"two", exchange="notifications.direct", key="email.high")
        await hub.until(lambda: sorted(hub.bodies) == [b"one", b"two"])
        assert {delivery.properties.routing_key for delivery in hub.taken} == {"email", "email.high"}


async def test_an_exchange_of_another_type_is_joined_as_it_is(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_exchange("notifications.direct", "topic", durable=False)
    hub = Hub(rabbit_vhost, exchange="notifications.direct", routing_keys=("email.#",))
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one", exchange="notifications.direct", key="email.high.now")
        await hub.until(lambda: hub.bodies == [b"one"])


async def test_a_missing_exchange_that_is_not_ours_to_make_leaves_the_queue_consumed(rabbit_vhost: str) -> None:
    async with producer(rabbit_vhost) as channel:
        await channel.declare_queue("email.queue", durable=True)
    async with running(Hub(rabbit_vhost, declare="passive", exchange="notifications.direct")) as hub:
        status = await hub.linked(Link.CONSUMING)
        assert "not bound to notifications.direct" in status.note


async def test_arguments_that_rabbitmq_does_not_know_are_told(rabbit_vhost: str) -> None:
    async with running(Hub(rabbit_vhost, arguments={"x-max-length": "many"})) as hub:
        status = await hub.linked(Link.REFUSED)
        assert "x-max-length" in status.detail
        assert "EMAILHUB_QUEUE_ARGUMENTS" in status.detail
