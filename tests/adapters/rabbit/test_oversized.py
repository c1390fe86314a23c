"""RabbitMQ takes no message above its own limit: that one waits, and keeps no other from being published."""

from __future__ import annotations

import asyncio

from emailhub.core.errors import BrokerDown
from emailhub.core.records import DeadLetter
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, running
from tests.adapters.rabbit.test_publishing import letter
from tests.support.rabbit_node import RabbitNode


async def publish(hub: Hub, letters: list[DeadLetter]) -> list[BaseException | None]:
    """What came of each."""
    return await asyncio.gather(*(hub.rabbit.publish(one) for one in letters), return_exceptions=True)


async def test_a_dead_letter_that_is_too_large_for_rabbitmq_keeps_no_other_waiting(
    rabbit: RabbitNode, rabbit_vhost: str
) -> None:
    await rabbit.ctl("eval", "application:set_env(rabbit, max_message_size, 1048576).")
    try:
        async with running(Hub(rabbit_vhost)) as hub:
            await hub.linked(Link.CONSUMING)
            letters = [letter(id=1, body=b"x" * 2 * 2**20), *(letter(id=n, body=b"x") for n in range(2, 12))]
            found = await publish(hub, letters)
            assert isinstance(found[0], BrokerDown)
            # The first refusal closed the channel, perhaps the connection too.
            async with asyncio.timeout(20):
                while (found := await publish(hub, letters))[1:] != [None] * 10:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.1)
            assert "raise max_message_size" in str(found[0])
            recoveries = hub.rabbit.status().recoveries
            for _ in range(3):
                assert (await publish(hub, letters))[1:] == [None] * 10
            assert hub.rabbit.status().recoveries == recoveries <= 1
    finally:
        await rabbit.ctl("eval", "application:set_env(rabbit, max_message_size, 134217728).")
