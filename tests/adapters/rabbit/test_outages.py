"""RabbitMQ away, back, killed, full, deleted under us: found again every time, and nothing lost."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from emailhub.adapters.rabbit import Delivery
from emailhub.adapters.rabbit.inbox import Ledger
from emailhub.core.errors import BrokerDown
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, cut, producer, running
from tests.adapters.rabbit.test_publishing import letter
from tests.support.rabbit_node import RabbitNode


@pytest.mark.nightly  # the stories of the whole process tell it in every run
async def test_rabbitmq_is_found_when_it_starts_later_and_after_every_stop(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    await node.stop()
    async with running(Hub(node.url)) as hub:
        status = await hub.linked(Link.DOWN)
        assert "no connection to RabbitMQ at 127.0.0.1" in status.detail
        await node.start()
        await hub.linked(Link.CONSUMING)
        for round in range(3):
            await node.stop_app()
            await hub.linked(Link.DOWN)
            assert not hub.rabbit.can_hand_off
            await node.start_app()
            await hub.linked(Link.CONSUMING)
            await hub.publish(b"%d" % round)
            await hub.until(lambda expected=round: len(hub.taken) == expected + 1)
        assert hub.rabbit.status().recoveries == 3
        await hub.until(lambda: hub.rabbit.can_hand_off)
        hub.rabbit.hand_off(["em_1"])
        await hub.until(lambda: hub.handed == ["em_1"])


@pytest.mark.nightly  # the stories of the whole process tell it in every run
async def test_nothing_is_lost_when_rabbitmq_is_killed_while_requests_flow(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    async with running(Hub(node.url, prefetch=20)) as hub:
        await hub.linked(Link.CONSUMING)
        await hub.publish(*(b"%d" % n for n in range(1000)))
        await hub.until(lambda: len(hub.taken) >= 100)
        await node.kill9()
        await hub.linked(Link.DOWN)
        await node.start()
        expected = {b"%d" % n for n in range(1000)}
        await hub.until(lambda: set(hub.bodies) == expected, 60)
        await hub.until(lambda: hub.rabbit.status().ready == 0)


async def test_a_queue_deleted_under_us_is_made_again_and_consumed(rabbit: RabbitNode, hub: Hub) -> None:
    await rabbit.delete_queue("email.queue", hub.options.vhost)
    await hub.until(lambda: hub.rabbit.status().recoveries == 1)
    await hub.linked(Link.CONSUMING)
    await hub.publish(b"one")
    await hub.until(lambda: hub.bodies == [b"one"])


@pytest.mark.nightly  # the stories of the whole process tell it in every run
async def test_a_memory_alarm_blocks_publishing_and_not_consuming(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    async with running(Hub(node.url, confirm=1.0)) as hub:
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one")
        await hub.until(lambda: len(hub.taken) == 1)
        await node.set_memory_alarm(on=True)
        # RabbitMQ blocks a connection when it next publishes.
        hub.rabbit.hand_off(["em_1"])
        with pytest.raises(BrokerDown):
            await hub.rabbit.publish(letter())
        status = await hub.linked(Link.BLOCKED)
        assert "memory or disk" in status.detail
        assert not hub.rabbit.can_hand_off
        with pytest.raises(BrokerDown, match="takes nothing"):
            await hub.rabbit.publish(letter())
        await node.set_memory_alarm(on=False)
        await hub.linked(Link.CONSUMING)
        await hub.rabbit.publish(letter())
        hub.rabbit.hand_off(["em_2"])
        await hub.until(lambda: "em_2" in hub.handed)
        assert hub.rabbit.status().recoveries == 0


async def test_a_hand_off_that_an_alarm_keeps_unconfirmed_costs_no_connection(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    async with running(Hub(node.url, confirm=2.0)) as hub:
        await hub.linked(Link.CONSUMING)
        await node.set_memory_alarm(on=True)
        hub.rabbit.hand_off(["em_1"])
        await hub.linked(Link.BLOCKED)
        await asyncio.sleep(3.0)  # longer than a confirm may take
        assert hub.rabbit.status().link is Link.BLOCKED
        await node.set_memory_alarm(on=False)
        await hub.linked(Link.CONSUMING)
        hub.rabbit.hand_off(["em_2"])
        await hub.until(lambda: "em_2" in hub.handed)
        assert hub.rabbit.status().recoveries == 0


async def test_a_consumer_that_vanished_without_a_word_is_missed_and_replaced(rabbit: RabbitNode, hub: Hub) -> None:
    queue = f'rabbit_misc:r(<<"{hub.options.vhost}">>, queue, <<"email.queue">>)'
    await rabbit.ctl(
        "eval",
        f"{{ok, Q}} = rabbit_amqqueue:lookup({queue}), "
        '[gen_server2:call(amqqueue:get_pid(Q), {basic_cancel, Channel, Tag, undefined, <<"test">>}) '
        "|| {Channel, Tag, _, _, _, _, _, _} <- rabbit_amqqueue:consumers(Q)].",
    )
    await hub.until(lambda: hub.rabbit.status().recoveries == 1)
    await hub.publish(b"one")
    await hub.until(lambda: hub.bodies == [b"one"])


@pytest.mark.nightly
async def test_a_server_that_says_nothing_any_more_is_given_up_and_found_again(own_rabbit_node: RabbitNode) -> None:
    node = own_rabbit_node
    async with running(Hub(node.url, connect=0.5)) as hub:
        await hub.linked(Link.CONSUMING)
        with node.frozen():
            status = await hub.linked(Link.DOWN)
            assert "no answer from RabbitMQ" in status.detail
            assert not hub.rabbit.can_hand_off
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one")
        await hub.until(lambda: hub.bodies == [b"one"])


async def test_both_connections_are_kept_awake_by_heartbeats(rabbit: RabbitNode, hub: Hub) -> None:
    listed = await rabbit.ctl("list_connections", "vhost", "timeout")
    ours = [row.split("\t")[1] for row in listed.splitlines() if row.startswith(f"{hub.options.vhost}\t")]
    assert ours == ["20", "20"]


async def test_a_fault_of_ours_that_closes_the_channel_costs_no_message(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    ack, faults = Ledger.ack, [1]

    async def twice(ledger: Ledger, tags: Sequence[int]) -> None:
        await ack(ledger, tags)
        if faults.pop():
            # RabbitMQ takes a tag that is already acknowledged for a protocol error.
            await ledger.channel.basic_ack(tags[-1], wait=False)
            faults.append(0)

    monkeypatch.setattr(Ledger, "ack", twice)
    await hub.publish(b"one")
    await hub.until(lambda: hub.rabbit.status().recoveries == 1)
    await hub.linked(Link.CONSUMING)
    monkeypatch.undo()
    await hub.publish(b"two")
    await hub.until(lambda: set(hub.bodies) == {b"one", b"two"})
    await hub.until(lambda: hub.rabbit.status().unacked == 0)
    assert await hub.depth() == 0


async def test_a_foreign_consumer_on_our_queue_is_seen(hub: Hub) -> None:
    async with producer(hub.options.url) as channel:
        queue = await channel.get_queue("email.queue")

        async def take(message: object) -> None:
            return

        await queue.consume(take)
        await hub.until(lambda: hub.rabbit.status().foreign_consumers == 1)
    await hub.until(lambda: hub.rabbit.status().foreign_consumers == 0)


async def test_a_wrong_password_is_told_once_without_the_password(
    rabbit: RabbitNode, rabbit_vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    vhost = rabbit_vhost.rsplit("/", 1)[1]
    hub = Hub(rabbit.vhost_url(vhost, "guest", "hunter2-wrong"), refused_wait=0.05)
    with caplog.at_level(logging.DEBUG, "emailhub"):
        async with running(hub):
            status = await hub.linked(Link.REFUSED)
            await asyncio.sleep(0.5)
    assert "refused the login of user 'guest'" in status.detail
    assert "RABBITMQ_URL" in status.detail
    assert "hunter2" not in status.detail
    assert "hunter2" not in caplog.text
    refusals = [record for record in caplog.records if record.getMessage() == "refused"]
    assert len(refusals) == 1


async def test_a_missing_vhost_is_told_and_found_when_it_is_made(rabbit: RabbitNode) -> None:
    hub = Hub(rabbit.vhost_url("later"), refused_wait=0.1)
    async with running(hub):
        status = await hub.linked(Link.REFUSED)
        assert "'later'" in status.detail
        await rabbit.ctl("add_vhost", "later")
        await rabbit.ctl("set_permissions", "-p", "later", "guest", ".*", ".*", ".*")
        await hub.linked(Link.CONSUMING)


async def test_a_refused_permission_names_what_is_missing(rabbit: RabbitNode, rabbit_vhost: str) -> None:
    vhost = rabbit_vhost.rsplit("/", 1)[1]
    await rabbit.add_user("nobody", "secret", vhost, rights="^$")
    async with running(Hub(rabbit.vhost_url(vhost, "nobody", "secret"))) as hub:
        status = await hub.linked(Link.REFUSED)
        assert "email.queue" in status.detail
        assert "'nobody'" in status.detail
        assert "secret" not in status.detail


async def test_without_a_right_to_our_own_queue_requests_are_taken_and_no_hand_offs_made(
    rabbit: RabbitNode, rabbit_vhost: str
) -> None:
    vhost = rabbit_vhost.rsplit("/", 1)[1]
    await rabbit.add_user("narrow", "secret", vhost, rights="^(email|failed)[.]queue$")
    async with running(Hub(rabbit.vhost_url(vhost, "narrow", "secret"))) as hub:
        status = await hub.linked(Link.CONSUMING)
        assert "emailhub.handoff.test" in status.note
        assert not hub.rabbit.can_hand_off


async def test_a_host_name_that_cannot_be_one_is_told() -> None:
    async with running(Hub("amqp://rabbit..internal/")) as hub:
        status = await hub.linked(Link.DOWN)
        assert "host name in RABBITMQ_URL" in status.detail


async def test_a_redelivery_after_a_lost_connection_says_so(rabbit: RabbitNode, hub: Hub) -> None:
    stored = asyncio.Event()

    async def late(deliveries: Sequence[Delivery]) -> list[bool]:
        await stored.wait()
        return [False] * len(deliveries)

    hub.answer = late
    await hub.publish(b"one")
    await hub.until(lambda: hub.rabbit.status().unacked == 1)
    await cut(rabbit, hub)
    await hub.until(lambda: hub.rabbit.status().recoveries == 1)
    hub.answer = hub.take
    stored.set()
    await hub.until(lambda: hub.bodies == [b"one"])
    assert hub.taken[0].properties.redelivered
