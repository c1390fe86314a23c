"""The tests' own RabbitMQ fails in the ways it is told to, and comes back."""

import asyncio

import aio_pika
import aiormq
import pytest

from tests.support.rabbit_node import RabbitNode


async def _published(url: str, queue: str, body: bytes) -> None:
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue)


async def test_each_test_gets_a_vhost_that_is_empty(rabbit: RabbitNode, rabbit_vhost: str) -> None:
    await _published(rabbit_vhost, "letters", b"one")
    vhost = rabbit_vhost.rsplit("/", 1)[1]
    assert await rabbit.list_queues(vhost) == {"letters": 1}
    assert await rabbit.list_queues(await rabbit.fresh_vhost()) == {}


async def test_queues_can_be_deleted_and_users_added(rabbit: RabbitNode, rabbit_vhost: str) -> None:
    vhost = rabbit_vhost.rsplit("/", 1)[1]
    await _published(rabbit_vhost, "letters", b"one")
    await rabbit.delete_queue("letters", vhost)
    assert await rabbit.list_queues(vhost) == {}
    await rabbit.add_user("limited", "secret", vhost, rights="^$")
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
        await _published(rabbit.vhost_url(vhost, "limited", "secret"), "letters", b"two")


async def test_a_memory_alarm_blocks_publishers_until_it_is_cleared(rabbit: RabbitNode, rabbit_vhost: str) -> None:
    await rabbit.set_memory_alarm(on=True)
    publishing = asyncio.ensure_future(_published(rabbit_vhost, "letters", b"one"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(publishing), 1)
    await rabbit.set_memory_alarm(on=False)
    await publishing


@pytest.mark.nightly
async def test_durable_messages_outlive_stop_and_kill(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    await _published(node.url, "letters", b"one")
    await node.kill9()
    with pytest.raises(OSError, match=r"(?i)refused|connect"):
        await asyncio.open_connection("127.0.0.1", node.port)
    await node.start()
    await _published(node.url, "letters", b"two")
    await node.stop()
    await node.start()
    assert await node.list_queues() == {"letters": 2}


@pytest.mark.nightly
async def test_the_application_can_stop_inside_the_node(own_rabbit_node: RabbitNode) -> None:
    await own_rabbit_node.stop_app()
    with pytest.raises((OSError, aio_pika.exceptions.AMQPError)):
        await _published(own_rabbit_node.url, "letters", b"one")
    await own_rabbit_node.start_app()
    await _published(own_rabbit_node.url, "letters", b"one")
    await own_rabbit_node.close_all_connections()
