"""From the channel to the hub: deliveries are taken in batches and acknowledged once they are stored."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

from aiormq.abc import AbstractChannel
from msgspec import Struct

from emailhub import logs
from emailhub.adapters.rabbit.errors import FAILURES, amqp_call, plain
from emailhub.adapters.rabbit.options import Delivery
from emailhub.adapters.rabbit.pace import Pace
from emailhub.adapters.rabbit.valve import Valve

OnRequests = Callable[[Sequence[Delivery]], Awaitable[Sequence[bool]]]

BATCH = 200
BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of bodies in one batch, unless the first alone has more."""
HEAVY = 16 * 1024 * 1024
"""Bytes of bodies in hand from which no more are read: a prefetch counts messages, and 200 may be gigabytes."""
_SETTLE_SECONDS = 10.0

_log = logs.get("rabbit")


class Ledger:
    """What of one channel is settled. One frame acknowledges as many deliveries as follow each other without a gap."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._settled_to: int | None = 0

    async def ack(self, tags: Sequence[int]) -> None:
        """Acknowledge `tags`, in ascending order; does not wait for the write. Raises one of FAILURES."""
        last = self._settled_to
        for tag in tags:
            if last is None or tag != last + 1:
                break
            last = tag
        if last is not None and last != self._settled_to:
            # Every earlier delivery is settled, so "up to here" names no other one.
            await self.channel.basic_ack(last, multiple=True, wait=False)
            self._settled_to = last
        for tag in tags:
            if last is None or tag > last:
                await self.channel.basic_ack(tag, wait=False)

    async def give_back(self) -> None:
        """Return everything that is not settled to the queue, once. Only without a consumer on the channel."""
        # From now on there may be gaps that were settled: single acknowledgements only.
        self._settled_to = None
        with amqp_call():
            await self.channel.basic_nack(0, multiple=True, requeue=True)


class Arrival(Struct, frozen=True):
    """A delivery with the channel it has to be acknowledged on. `returns`: how often RabbitMQ says it came back."""

    delivery: Delivery
    ledger: Ledger
    returns: int = 0


class Rate:
    """Events a second, averaged over about the last ten seconds."""

    _SPAN = 10.0

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def add(self, count: int, now: float) -> None:
        self._value = self.at(now) + count / self._SPAN
        self._at = now

    def at(self, now: float) -> float:
        return self._value * math.exp(-max(0.0, now - self._at) / self._SPAN)


class Inbox:
    """Deliveries waiting for the hub. Outlives connections: a batch is never cut off by a lost one.

    `returns`: how often RabbitMQ lets a message come back before it drops it. At half of them we are careful.
    """

    def __init__(
        self, on_requests: OnRequests, valve: Valve, now: Callable[[], float], pace: Pace, *, returns: int
    ) -> None:
        self._on_requests = on_requests
        self._valve = valve
        self._pace = pace
        self._returns = returns
        self._now = now
        self._waiting: deque[Arrival] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_hand = 0
        self._weight = 0
        self._lighter = asyncio.Event()
        self._rate = Rate()
        self.received = 0

    @property
    def unsettled(self) -> int:
        """Deliveries that arrived and are neither acknowledged nor given back."""
        return len(self._waiting) + self._in_hand

    @property
    def rate(self) -> float:
        return self._rate.at(self._now())

    @property
    def open(self) -> bool:
        return self._valve.open

    async def room(self) -> None:
        """Wait while what is in hand is HEAVY and being taken; not where a rate holds it back, which may take long."""
        while self._weight >= HEAVY and self._valve.open and not self._pace.limits:
            self._lighter.clear()
            await self._lighter.wait()

    def put(self, arrival: Arrival) -> None:
        self._weigh(len(arrival.delivery.body))
        self._waiting.append(arrival)
        self._arrived.set()
        self.received += 1
        self._rate.add(1, self._now())

    def drop(self) -> None:
        """Forget what waits: its channel closes, or it is given back."""
        self._weigh(-sum(len(arrival.delivery.body) for arrival in self._waiting))
        self._waiting.clear()

    def _weigh(self, change: int) -> None:
        self._weight += change
        if change <= 0:
            self._lighter.set()

    async def idle(self) -> None:
        """Wait until no batch is being taken."""
        await self._idle.wait()

    async def run(self) -> None:
        """Hand batches over, one after the other, until cancelled."""
        while True:
            await self._arrived.wait()
            if not (self._waiting and self._valve.open):
                self._arrived.clear()
                continue
            room = await self._pace.room(BATCH)
            # Meanwhile they may have gone back to the queue.
            if room and self._waiting and self._valve.open:
                batch = self._batch(room)
                self._pace.take(len(batch))
                await self._hand_over(batch)

    def _batch(self, most: int) -> list[Arrival]:
        ledger = self._waiting[0].ledger
        same = takewhile(lambda arrival: arrival.ledger is ledger, self._waiting)
        batch: list[Arrival] = []
        weight = 0
        for arrival, _ in zip(same, range(most), strict=False):
            weight += len(arrival.delivery.body)
            if batch and weight > BATCH_BYTES:
                break
            batch.append(arrival)
        for _ in batch:
            self._waiting.popleft()
        return batch

    async def _hand_over(self, batch: list[Arrival]) -> None:
        self._in_hand = len(batch)
        self._idle.clear()
        try:
            taken = await self._ask([arrival.delivery for arrival in batch])
            await self._settle(batch, taken)
        finally:
            self._in_hand = 0
            self._idle.set()
            self._weigh(-sum(len(arrival.delivery.body) for arrival in batch))

    async def _ask(self, deliveries: list[Delivery]) -> Sequence[bool]:
        try:
            taken = await self._on_requests(deliveries)
            if len(taken) != len(deliveries):
                raise ValueError(f"{len(taken)} answers for {len(deliveries)} deliveries")
            return taken
        except Exception as error:  # noqa: BLE001 - a bug in the hub must not cost a message: they go back to the queue
            _log.error("deliveries not taken", exc=error, deliveries=len(deliveries))
            return [False] * len(deliveries)

    async def _settle(self, batch: list[Arrival], taken: Sequence[bool]) -> None:
        left = [arrival for arrival, ok in zip(batch, taken, strict=True) if not ok]
        if left:
            careful = any(2 * arrival.returns >= self._returns for arrival in left)
            self._valve.refuse(f"{len(left)} deliveries could not be stored and go back to the queue", careful=careful)
        else:
            self._valve.took()
        done = sorted(arrival.delivery.tag for arrival, ok in zip(batch, taken, strict=True) if ok)
        try:
            with amqp_call():
                async with asyncio.timeout(_SETTLE_SECONDS):
                    await batch[0].ledger.ack(done)
        except FAILURES as error:
            # They are stored; RabbitMQ delivers them again and their keys tell that they were here before.
            _log.info("stored deliveries come again", deliveries=len(done), reason=plain(error))
