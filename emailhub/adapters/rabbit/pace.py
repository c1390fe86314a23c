"""How fast requests are taken from the queue, when a rate was set: the rest waits, at best with RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from emailhub.adapters.rabbit.valve import Valve
from emailhub.core.limits import Limiter, Rate, Used
from emailhub.core.patterns import rates_text

HOLD = 60.0
"""Longest wait in seconds with deliveries in hand. RabbitMQ closes the channel of a consumer that has not settled one
for half an hour, and every return counts for a quorum queue's delivery limit."""


class Pace:
    """Holds what is taken to `rates`; without any everything may go. `past` is what was taken before."""

    def __init__(
        self,
        rates: Iterable[Rate],
        valve: Valve,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        past: Sequence[Used] = (),
    ) -> None:
        self._limiter = Limiter(rates, past, now())
        self._valve = valve
        self._now = now
        self._sleep = sleep

    @property
    def limits(self) -> bool:
        """Whether there is a rate at all."""
        return bool(self._limiter)

    async def room(self, most: int) -> int:
        """How many of at most `most` deliveries may be taken now. 0 after a wait: ask again, if the valve is open."""
        if not self._limiter:
            return most
        now = self._now()
        room = min(self._limiter.allowance(now), most)
        if room > 0:
            return room
        wait = max((self._limiter.next_free(1, now) or now) - now, 0.01)
        if wait > HOLD:
            self._valve.rest(f"the rate of the queue ({rates_text(self._limiter.rates)}) is used up", wait)
        else:
            await self._sleep(wait)
        return 0

    def take(self, count: int) -> None:
        """`count` deliveries are taken."""
        if self._limiter:
            now = self._now()
            flight = self._limiter.begin(count, now)
            self._limiter.hand(flight, now)
            self._limiter.end(flight, now, tried=count, taken=count)


def held(prefetch: int, rates: Iterable[Rate]) -> int:
    """The prefetch with which nothing waits in hand for longer than HOLD."""
    return max(1, min([prefetch, *(int(rate.limit / rate.seconds * HOLD) for rate in rates)]))
