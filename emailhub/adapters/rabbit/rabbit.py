"""RabbitMQ for the hub: connected as long as it can be, looked for as long as it cannot."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from emailhub import logs
from emailhub.adapters.rabbit.errors import FAILURES, Trouble, end, explain
from emailhub.adapters.rabbit.facts import Facts
from emailhub.adapters.rabbit.inbox import Inbox, OnRequests
from emailhub.adapters.rabbit.lenient import read_leniently
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.adapters.rabbit.pace import Pace
from emailhub.adapters.rabbit.publisher import Publisher
from emailhub.adapters.rabbit.session import Session
from emailhub.adapters.rabbit.valve import Valve
from emailhub.core.limits import Used
from emailhub.core.records import DeadLetter
from emailhub.core.status import Link, RabbitStatus

_FIRST_REFUSED_WAIT = 5.0
_STOP_SECONDS = 10.0

_log = logs.get("rabbit")


class Rabbit:
    """The request queue in, hand-offs and dead letters out.

    `on_requests` gets deliveries in the order of the queue, at most 200 and one batch at a time, and says for each
    whether it is settled (stored, or stored as unreadable): these are acknowledged. After a False, or when it raises,
    everything not settled goes back to the queue and nothing is taken for 1 to 60 s or until `resume`. `on_handoff`
    gets the ids of accepted messages, perhaps more than once. `on_status` is called whenever the link changes. `past`
    is what came before and counts for the queue's rates.

    `run` does the work until it is cancelled or `close` is called; everything else may be called at any time.
    """

    def __init__(
        self,
        options: RabbitOptions,
        *,
        on_requests: OnRequests,
        on_handoff: Callable[[Sequence[str]], None],
        on_status: Callable[[RabbitStatus], None] | None = None,
        now: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
        past: Sequence[Used] = (),
    ) -> None:
        read_leniently()
        self._options = options
        self._on_handoff = on_handoff
        self._on_status = on_status
        self._jitter = jitter
        self._valve = Valve(jitter)
        pace = Pace(options.rates, self._valve, now, past=past)
        self._inbox = Inbox(on_requests, self._valve, now, pace, returns=options.returns)
        self._publisher = Publisher(options)
        self._facts = Facts(now, self._changed)
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def can_hand_off(self) -> bool:
        """True while a confirmed publish to the hand-off queue can be expected to work."""
        return self._publisher.can_hand_off

    def hand_off(self, ids: Sequence[str]) -> None:
        """Publish ids to our own queue, in the background; losing them is harmless. Never blocks, never raises."""
        self._publisher.hand_off(ids)

    async def publish(self, letter: DeadLetter) -> None:
        """Publish to the dead-letter queue and wait for the confirm, 10 s at most. Raises `BrokerDown`."""
        await self._publisher.publish(letter)

    def pause(self, why: str) -> None:
        """Take no more requests until `resume`; `why` is one plain line for the status."""
        self._valve.pause(why)

    def resume(self) -> None:
        """Take requests again, at once."""
        self._valve.resume()

    async def stop_intake(self) -> None:
        """Take no more requests for good; return when the last batch is settled and the rest is back in the queue."""
        self._valve.shut("stopping")
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._facts.quiet.wait()
                await self._inbox.idle()
        except TimeoutError:
            _log.warning("intake not quiet", detail="what is not acknowledged is delivered again after the restart")

    async def close(self) -> None:
        """Stop the intake, close the connections and make `run` return."""
        await self.stop_intake()
        self._closing.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Keep connected until cancelled or closed. Raises nothing that RabbitMQ does."""
        self._ended.clear()
        taking = asyncio.create_task(self._inbox.run())
        connecting = asyncio.create_task(self._keep_connected())
        closing = asyncio.create_task(self._closing.wait())
        tasks = (taking, connecting, closing)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(connecting)
            await self._finish_batch()
            await end(taking, closing)
            self._ended.set()

    def status(self) -> RabbitStatus:
        facts = self._facts
        return RabbitStatus(
            link=facts.link,
            detail=facts.detail,
            queue=self._options.queue,
            since=facts.since,
            ready=facts.ready,
            unacked=self._inbox.unsettled,
            consumers=facts.consumers,
            foreign_consumers=facts.foreign,
            received=self._inbox.received,
            rate_in=self._inbox.rate,
            recoveries=facts.recoveries,
            note=facts.note,
        )

    async def _keep_connected(self) -> None:
        failures = refusals = 0
        while True:
            connections = self._facts.connections
            trouble = await self._session()
            if self._facts.connections != connections:
                failures = refusals = 0
            self._facts.say(_link(trouble), trouble.text)
            if trouble.lasting:
                wait = min(self._options.refused_wait, _FIRST_REFUSED_WAIT * 4.0 ** min(refusals, 10))
                refusals += 1
            else:
                most = min(self._options.longest_wait, self._options.first_wait * 2.0 ** min(failures, 10))
                wait = self._jitter(0.0, most)
                failures += 1
            await asyncio.sleep(wait)

    async def _session(self) -> Trouble:
        """Connect and work until that ends; why it did."""
        try:
            await Session(
                self._options,
                inbox=self._inbox,
                valve=self._valve,
                publisher=self._publisher,
                facts=self._facts,
                on_handoff=self._on_handoff,
            ).run()
        except FAILURES as error:
            return explain(error, self._options)
        raise AssertionError("a session ends only by failing")

    async def _finish_batch(self) -> None:
        # What the hub has begun to store is stored, and not delivered a second time for nothing.
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._inbox.idle()
        except TimeoutError:
            _log.warning("batch abandoned", detail="its deliveries come again after the restart")

    def _changed(self) -> None:
        if self._on_status is not None:
            self._on_status(self.status())


def _link(trouble: Trouble) -> Link:
    if trouble.lasting:
        return Link.REFUSED
    return Link.MISSING if trouble.absent else Link.DOWN
