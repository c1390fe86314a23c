"""RabbitMQ away, late, restarted, killed, emptied, full, misconfigured: nothing confirmed is lost, HTTP goes on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import pytest
import pytest_asyncio

from tests.acceptance.hub import Hub
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_server import SmtpServer

EVERY = 0.02
"""Seconds between two messages over each door."""


@pytest_asyncio.fixture(scope="module")
async def node() -> AsyncIterator[RabbitNode]:
    """A RabbitMQ server to be ill-treated by the tests of this file; not started yet."""
    node = RabbitNode()
    try:
        yield node
    finally:
        await node.close()


class Flow:
    """Two senders that never stop: one posts, one publishes and tries again until RabbitMQ confirms.

    `posted` and `confirmed` are what the hub owes: addresses for which an answer or a confirm came.
    """

    def __init__(self, hub: Hub, smtp: SmtpServer, url: str) -> None:
        self._hub = hub
        self._smtp = smtp
        self._url = url
        self.posted: list[str] = []
        self.confirmed: list[str] = []
        self.trying = ""
        """Whose message is being published: RabbitMQ may have confirmed it, and that not have been read yet."""
        self.repeats = 0
        self._channel: aio_pika.abc.AbstractChannel | None = None
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Flow]:
        """Both senders work inside the block; afterwards everything they began is answered or confirmed."""
        tasks = [asyncio.create_task(self._post()), asyncio.create_task(self._publish())]
        try:
            yield self
            self._stop.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._hang_up()

    async def _post(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            await self.post(f"http-{number}")
            await asyncio.sleep(EVERY)

    async def post(self, name: str) -> str:
        """One message over HTTP, which must be taken; its address."""
        body = {"to": f"{name}@example.org", "subject": "S", "body": "Hello", "request_id": name}
        answer = await self._hub.post("/send_email/", body)
        assert answer.status_code == 200, answer.text
        self.posted.append(body["to"])
        return body["to"]

    async def _publish(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            await self._until_confirmed(f"amqp-{number}")
            await asyncio.sleep(EVERY)

    async def _until_confirmed(self, name: str) -> None:
        self.trying = f"{name}@example.org"
        body = f'{{"to": "{self.trying}", "subject": "S", "body": "Hello", "request_id": "{name}"}}'.encode()
        while True:
            try:
                async with asyncio.timeout(5):
                    channel = await self._open_channel()
                    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    await channel.default_exchange.publish(message, "email.queue", mandatory=True)
                self.confirmed.append(self.trying)
                return
            except (OSError, aio_pika.exceptions.AMQPError, RuntimeError, asyncio.CancelledError):
                # aiormq cancels whoever waits for a reply on a connection that closes.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self.repeats += 1
                await self._hang_up()
                await asyncio.sleep(0.1)

    async def _open_channel(self) -> aio_pika.abc.AbstractChannel:
        if self._channel is None:
            self._connection = await aio_pika.connect(self._url)
            self._channel = await self._connection.channel(on_return_raises=True)
        return self._channel

    async def _hang_up(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(OSError, aio_pika.exceptions.AMQPError, asyncio.CancelledError):
                async with asyncio.timeout(2):
                    await connection.close()

    async def arrives(self, address: str, seconds: float = 15.0) -> None:
        """Wait until the message to `address` is at the SMTP server."""
        begun = time.monotonic()
        await self._smtp.wait_until(lambda: any(address in m.recipients for m in self._smtp.messages), timeout=seconds)
        assert time.monotonic() - begun < seconds

    async def more(self, count: int = 10, seconds: float = 30.0) -> None:
        """Wait until `count` more are confirmed, and the last of them is at the SMTP server."""
        enough = len(self.confirmed) + count

        async def came() -> bool:
            return len(self.confirmed) >= enough

        await self._hub.until(came, f"{count} more messages are confirmed", seconds)
        await self.arrives(self.confirmed[enough - 1], seconds)


class Story:
    """A hub with the senders running, and what may be done to its RabbitMQ."""

    def __init__(self, hub: Hub, smtp: SmtpServer, node: RabbitNode) -> None:
        self.hub = hub
        self.smtp = smtp
        self.node = node
        self.flow = Flow(hub, smtp, node.url)
        self.excepted: set[str] = set()
        self._posts = itertools.count()

    async def without_rabbitmq(self) -> None:
        """RabbitMQ is away: the hub says so, is ready nevertheless, and sends what comes over HTTP."""

        async def told() -> bool:
            answer = await self.hub.client.get("/health/ready")
            assert answer.status_code == 200, answer.text
            return bool(answer.json()["parts"]["rabbitmq"]["status"] == "degraded")

        await self.hub.until(told, "health says that RabbitMQ is away")
        await self.flow.arrives(await self.flow.post(f"alone-{next(self._posts)}"))

    async def back(self) -> None:
        """RabbitMQ is there again: the consumer too, and requests flow."""
        await self.hub.consuming()
        await self.flow.more()
        assert (await self.hub.get("/health/ready"))["parts"]["rabbitmq"]["status"] == "ok"

    async def outage(self, take: Callable[[], Awaitable[None]], bring: Callable[[], Awaitable[None]]) -> None:
        await take()
        await self.without_rabbitmq()
        await bring()
        await self.back()

    async def deletion(self) -> None:
        """The queue goes with what is in it: only that is excepted, not what the hub had taken."""
        await self.node.delete_queue("email.queue")
        gone = {*self.flow.confirmed, self.flow.trying}
        await self.back()
        taken = {f"{line['request_id']}@example.org" for line in self.hub.log() if line["event"] == "accepted"}
        self.excepted |= gone - taken
        assert len(self.excepted) < 100, "that was more than a queue held for a moment"

    async def settle(self) -> None:
        """Everything owed arrived, once; every message is sent; the queue is empty."""
        owed = set(self.flow.posted) | set(self.flow.confirmed) - self.excepted
        arrived: Counter[str] = Counter()

        async def all_there() -> bool:
            arrived.clear()
            arrived.update(address for message in self.smtp.messages for address in message.recipients)
            return owed <= set(arrived)

        try:
            await self.hub.until(all_there, "everything arrived", 60)
        except AssertionError as error:
            raise AssertionError(f"lost: {sorted(owed - set(arrived))[:20]}") from error
        assert {address: count for address, count in arrived.items() if count > 1} == {}, "sent more than once"
        await self.hub.settled(len(arrived), final=("sent",))
        assert (await self.node.list_queues()).get("email.queue") == 0
        assert "Traceback" not in self.hub.output()


async def begin(hub: Hub, smtp: SmtpServer, node: RabbitNode) -> Story:
    """A hub that runs though its RabbitMQ does not."""
    await node.stop()
    await hub.start(RABBITMQ_URL=node.url)
    return Story(hub, smtp, node)


@pytest.mark.rabbit
@pytest.mark.timeout(240)
async def test_rabbitmq_late_restarted_killed_and_its_queue_deleted(
    node: RabbitNode, smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    story = await begin(make_hub(smtp), smtp, node)
    async with story.flow.running():
        await story.without_rabbitmq()
        await node.start()
        await story.back()
        await story.outage(node.stop_app, node.start_app)
        await story.deletion()
        await story.outage(node.kill9, node.start)
    await story.settle()
    assert story.flow.repeats, "the publisher never noticed anything"


@pytest.mark.nightly
@pytest.mark.rabbit
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ("classic", "quorum"))
async def test_rabbitmq_in_trouble_for_minutes(
    node: RabbitNode, smtp: SmtpServer, make_hub: Callable[..., Hub], kind: str
) -> None:
    """The first deletion takes the queue that was there; from then on it is of this kind."""
    story = await begin(make_hub(smtp, EMAILHUB_QUEUE_ARGUMENTS=f'{{"x-queue-type": "{kind}"}}'), smtp, node)
    async with story.flow.running():
        await story.without_rabbitmq()
        await node.start()
        await story.back()
        for take, bring in ((node.stop_app, node.start_app), (node.stop, node.start), (node.kill9, node.start)) * 4:
            await story.outage(take, bring)
            await story.deletion()
            await node.close_all_connections()
            await story.back()
    await story.settle()
    assert f"email.queue\t{kind}" in await node.ctl("list_queues", "name", "type")


@pytest.mark.rabbit
@pytest.mark.timeout(120)
@pytest.mark.parametrize("resource", ("disk", pytest.param("memory", marks=pytest.mark.nightly)))
async def test_an_alarm_in_rabbitmq_stops_no_mail_and_dead_letters_wait_for_its_end(
    node: RabbitNode, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any], resource: str
) -> None:
    if not node.running:
        await node.start()
    smtp.on("RCPT", "550 5.1.1 user unknown", to="gone@example.org")
    vhost = await node.fresh_vhost()
    url = node.vhost_url(vhost)
    hub = make_hub(smtp, RABBITMQ_URL=url)
    await hub.start()
    await hub.consuming()
    queue = await queue_at(url)
    await node.set_alarm(resource, on=True)
    try:
        # RabbitMQ blocks a connection when it next publishes: this one's hand-off, or its dead letter.
        await hub.send(to="gone@example.org")
        await hub.until(lambda: _link(hub, "blocked"), "health says that RabbitMQ takes nothing")
        for count in range(1, 6):
            await hub.send()
            await smtp.wait_for(count, timeout=5)
        assert await queue.count("failed.queue") == 0
        assert (await _rabbitmq(hub))["status"] == "degraded"
    finally:
        await node.set_alarm(resource, on=False)
    await hub.until(lambda: _at_least(queue, "failed.queue", 1), "the dead letter arrived")
    await hub.consuming()
    assert (await queue.take_all("failed.queue"))[0].headers["x-emailhub-recipient"] == "gone@example.org"
    await queue.publish({"to": "ada@example.org", "subject": "S", "body": "B", "request_id": "after"})
    await smtp.wait_until(lambda: any(b"\nX-Request-ID: after\r" in message.data for message in smtp.messages))
    connected = [line for line in hub.log() if line["event"] == "consuming" and line["component"] == "rabbit"]
    assert len(connected) == 2, "the link was lost instead of waited for"
    assert not [line for line in hub.log() if line["event"] == "alert"], "nobody has to do anything about the hub"


async def test_a_queue_with_other_arguments_is_joined_as_it_is_and_health_says_so(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    queue = await queue_at(rabbit_vhost)
    await queue.declare("email.queue", {"x-max-length": 5000})
    await queue.publish({"to": "early@example.org", "subject": "S", "body": "B"})
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_QUEUE_ARGUMENTS='{"x-max-priority": 5}')
    await hub.start()
    await smtp.wait_for(1)
    await hub.consuming()
    part = await _rabbitmq(hub)
    assert part["status"] == "ok"
    assert "arguments differ" in part["detail"]
    assert "x-max-length" in part["detail"], "RabbitMQ names the first argument that differs"


async def test_a_wrong_password_is_told_without_it_and_mail_over_http_goes_on(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    wrong = rabbit_vhost.replace("guest:guest@", "guest:hunter2-wrong@")
    hub = make_hub(smtp, RABBITMQ_URL=wrong)
    await hub.start()
    await hub.until(lambda: _link(hub, "refused"), "health says that RabbitMQ refuses us")
    part = await _rabbitmq(hub)
    assert part["status"] == "degraded"
    assert "refused the login of user 'guest'" in part["detail"]
    assert "RABBITMQ_URL" in part["detail"]

    async def refusals() -> list[dict[str, Any]]:
        return [line for line in hub.log() if line["event"] == "refused"]

    # Lines are written by a thread of their own, which may be behind what health says.
    await hub.until(refusals, "the log tells the refusal")
    assert [line["level"] for line in await refusals()] == ["error"]
    await hub.send()
    await smtp.wait_for(1)
    page = (await hub.client.get("/")).text
    assert "RabbitMQ refuses us" in page
    for shown in (page, hub.output(), (await hub.client.get("/health/ready")).text):
        assert "hunter2" not in shown
    await hub.stop()
    await hub.start(RABBITMQ_URL=rabbit_vhost)
    await hub.consuming()


async def _rabbitmq(hub: Hub) -> dict[str, str]:
    part: dict[str, str] = (await hub.get("/health/ready"))["parts"]["rabbitmq"]
    return part


async def _link(hub: Hub, link: str) -> bool:
    return (await _rabbitmq(hub))["detail"].startswith(link)


async def _at_least(queue: Any, name: str, count: int) -> bool:
    return bool(await queue.count(name) >= count)
