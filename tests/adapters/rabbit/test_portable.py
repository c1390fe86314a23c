"""What RabbitMQ 4.x took away is not used: every call of a hub's life is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiormq import Channel
from pamqp import commands

from emailhub.adapters.rabbit import Delivery
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, running
from tests.adapters.rabbit.test_publishing import letter

QUEUE_ARGUMENTS = {"x-queue-type", "x-expires", "x-message-ttl", "x-delivery-limit"}
"""Known to every version, classic and quorum; the last only where it was asked for."""


class Calls:
    """What was asked of RabbitMQ, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames: list[Any] = []
        rpc = Channel.rpc

        async def noting(channel: Channel, frame: Any, *args: Any, **kwargs: Any) -> Any:
            self.frames.append(frame)
            return await rpc(channel, frame, *args, **kwargs)

        monkeypatch.setattr(Channel, "rpc", noting)

    def of(self, kind: type[Any]) -> list[Any]:
        found = [frame for frame in self.frames if isinstance(frame, kind)]
        assert found, f"no {kind.__name__}: the test looks in the wrong place"
        return found


@pytest.mark.parametrize("kind", ("classic", "quorum"))
async def test_nothing_is_asked_for_that_a_version_does_not_have(
    rabbit_vhost: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    calls = Calls(monkeypatch)
    arguments = {"x-queue-type": kind} | ({"x-delivery-limit": 20} if kind == "quorum" else {})
    hub = Hub(rabbit_vhost, arguments=arguments, exchange="mail", routing_keys=("email",), dead_letter_exchange="dead")
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one")
        await hub.until(lambda: len(hub.taken) == 1)
        hub.rabbit.hand_off(["em_1"])
        await hub.until(lambda: hub.handed == ["em_1"])
        await hub.rabbit.publish(letter())
        hub.rabbit.pause("test")
        await hub.linked(Link.PAUSED)
        hub.rabbit.resume()
        await hub.linked(Link.CONSUMING)
    made = [frame for frame in calls.of(commands.Queue.Declare) if not frame.passive]
    assert {frame.queue for frame in made} >= {"email.queue", "failed.queue", "emailhub.handoff.test"}
    for frame in made:
        # Refused by 4.3: queues that are neither durable nor exclusive.
        assert (frame.durable, frame.exclusive, frame.auto_delete) == (True, False, False), frame.queue
        assert set(frame.arguments or {}) <= QUEUE_ARGUMENTS, frame.queue
    for frame in calls.of(commands.Exchange.Declare):
        assert frame.exchange_type in {"direct", "topic", "fanout", "headers"}
        assert not frame.arguments
    assert not any(frame.global_ for frame in calls.of(commands.Basic.Qos)), "4.3 refuses a limit for a whole channel"
    for frame in calls.of(commands.Basic.Consume):
        assert not frame.no_ack
        assert not frame.exclusive
        assert not frame.arguments


async def test_deliveries_that_a_quorum_queue_would_soon_drop_are_not_returned_again_and_again(
    rabbit_vhost: str,
) -> None:
    waits: list[bool] = []
    hub = Hub(rabbit_vhost, arguments={"x-queue-type": "quorum", "x-delivery-limit": 4})
    refuse = hub.rabbit._valve.refuse

    def noted(why: str, *, careful: bool = False) -> None:
        waits.append(careful)
        refuse(why, careful=careful)

    hub.rabbit._valve.refuse = noted  # type: ignore[method-assign]
    hub.answer = hub.refuse
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(b"one")
        for round in range(1, 4):
            await hub.until(lambda expected=round: len(waits) == expected)
            await hub.linked(Link.PAUSED)
            await hub.until(lambda: hub.rabbit.status().unacked == 0)
            hub.rabbit.resume()
        await hub.until(lambda: len(waits) == 4)
        assert waits == [False, False, True, True], "half of the limit is used up after two returns"
        hub.answer = hub.take
        hub.rabbit.resume()
        await hub.until(lambda: hub.bodies == [b"one"])


async def test_a_quorum_queue_redelivers_what_was_stored_and_not_acknowledged(rabbit_vhost: str) -> None:
    stored = Hub(rabbit_vhost, arguments={"x-queue-type": "quorum"})
    never: list[Sequence[Delivery]] = []

    async def ends_first(deliveries: Sequence[Delivery]) -> list[bool]:
        never.append(deliveries)
        return [False] * len(deliveries)

    stored.answer = ends_first
    async with running(stored):
        await stored.linked(Link.CONSUMING)
        await stored.publish(b"one")
        await stored.until(lambda: len(never) == 1)
    async with running(Hub(rabbit_vhost)) as next_one:
        await next_one.until(lambda: next_one.bodies == [b"one"])
        assert next_one.taken[0].properties.redelivered
