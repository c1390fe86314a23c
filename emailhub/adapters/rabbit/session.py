"""One stretch of being connected: from both connections up to the first sign that something is wrong with either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from faststream.rabbit import Channel

from emailhub.adapters.rabbit.connection import Connection
from emailhub.adapters.rabbit.consumer import HandOffs, Requests
from emailhub.adapters.rabbit.errors import Lost, end
from emailhub.adapters.rabbit.facts import Facts
from emailhub.adapters.rabbit.inbox import Inbox
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.adapters.rabbit.publisher import Publisher
from emailhub.adapters.rabbit.topology import prepare, prepare_handoff, survey
from emailhub.adapters.rabbit.valve import Valve
from emailhub.core.status import Link

_BLOCK_CHECK = 1.0
_SECOND_LOOK = 1.0


class Session:
    """Two connections, because RabbitMQ stops reading from one that publishes while it is short of memory or disk, and
    then acknowledgements on it would wait too."""

    def __init__(
        self,
        options: RabbitOptions,
        *,
        inbox: Inbox,
        valve: Valve,
        publisher: Publisher,
        facts: Facts,
        on_handoff: Callable[[Sequence[str]], None],
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._valve = valve
        self._publisher = publisher
        self._facts = facts
        self._consuming = Connection(options, "consume", Channel(prefetch_count=options.prefetch))
        self._publishing = Connection(options, "publish", Channel(publisher_confirms=True, on_return_raises=True))
        self._requests = Requests(self._consuming, options, inbox)
        self._handoffs = HandOffs(self._consuming, options, on_handoff)

    async def run(self) -> None:
        """Connect and work until something is lost. Raises one of FAILURES, always."""
        try:
            await self._connect()
            await _first(
                self._end(self._consuming.lost, self._publishing.lost, self._requests.lost, self._handoffs.lost),
                self._publisher.send_hand_offs(),
                self._obey_valve(),
                self._watch_consumer(),
                self._watch_block(),
            )
        finally:
            self._publisher.detach()
            self._inbox.drop()
            self._facts.lost()
            await self._consuming.close()
            await self._publishing.close()

    async def _connect(self) -> None:
        await self._consuming.open()
        await self._publishing.open()
        note = await prepare(self._consuming, self._options)
        no_handoff = await prepare_handoff(self._consuming, self._options)
        if not no_handoff:
            await self._handoffs.start()
        self._publisher.attach(self._publishing, handing_off=not no_handoff)
        self._facts.connected("; ".join(filter(None, (note, no_handoff))))

    async def _end(self, *lost: asyncio.Future[str]) -> None:
        done, _ = await asyncio.wait(lost, return_when=asyncio.FIRST_COMPLETED)
        raise Lost(next(iter(done)).result())

    async def _obey_valve(self) -> None:
        while True:
            if self._valve.open and not self._requests.on:
                self._facts.quiet.clear()
                await self._requests.start()
            elif self._requests.on and (not self._valve.open or self._requests.owing):
                await self._requests.pause()
                if self._valve.open:
                    continue
            if not self._requests.on:
                self._facts.quiet.set()
            self._tell()
            await self._valve.change()

    async def _watch_consumer(self) -> None:
        while True:
            if await self._missing():
                # A consumer that was only just started may not be counted yet.
                await asyncio.sleep(_SECOND_LOOK)
                if await self._missing():
                    raise Lost(f"our consumer on {self._options.queue} is gone")
            await asyncio.sleep(self._options.watchdog)

    async def _missing(self) -> bool:
        """Look at the queue; whether our consumer should be there and is not."""
        wanted = self._requests.on
        seen = await survey(self._consuming, self._options.queue)
        ours = 1 if wanted and self._requests.on else 0
        if wanted != self._requests.on:
            return False
        foreign = max(0, seen.consumers - ours)
        self._facts.survey(ready=seen.ready, consumers=seen.consumers, foreign=foreign)
        return wanted and (seen.consumers == 0 or not self._requests.alive)

    async def _watch_block(self) -> None:
        while True:
            if await self._publishing.blocked():
                self._publisher.blocked = True
                self._tell()
                await self._publishing.unblocked()
                self._publisher.blocked = False
                self._tell()
            await asyncio.sleep(_BLOCK_CHECK)

    def _tell(self) -> None:
        if not self._valve.open:
            self._facts.say(Link.PAUSED, self._valve.why)
        elif self._publisher.blocked:
            self._facts.say(Link.BLOCKED, "RabbitMQ accepts nothing to publish: it is short of memory or disk")
        elif self._requests.on:
            self._facts.say(Link.CONSUMING, f"taking from {self._options.queue}")


async def _first(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of `work` until the first ends; end the others, and end as it did."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled():
                # Only the AMQP library does this, when a connection closes under a call.
                raise Lost("the connection closed")
            await task
    finally:
        await end(*tasks)
