"""The clock of the wall, believed with care: it may be set by hand, by NTP, or after a machine has slept.

What was accepted, done and is to be done carries the time of the wall, as people and servers read it. Two things must
not follow it blindly. When it jumps ahead, all waiting mail would expire at once, though nobody had tried to deliver
it: so what expires, and what is erased for its age, goes by a time that runs no faster than the steady clock, until the
wall was right again or GRACE has passed. When it is set back, mail would wait for a due time that is days away: so what
was put off is put forward by as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from emailhub import logs
from emailhub.core.errors import OutboxError
from emailhub.core.status import ClockStatus

TOLERANCE = 60.0
"""Seconds by which the clock may be corrected without anybody being told."""
GRACE = 900.0
"""Seconds for which a jump ahead is not believed: time to put the clock right, and to try all mail once more."""
ROUND = 1.0

log = logs.get("clock")


class Clock:
    """`wall()` gives unix seconds and may jump, `steady()` counts seconds and never does."""

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self.now = wall
        self._steady = steady
        self._offset = self._line = wall() - steady()
        self._since: float | None = None

    def status(self) -> ClockStatus:
        """Whether the clock is believed."""
        if self._since is None:
            return ClockStatus()
        left = max(self._since + GRACE - self._steady(), 0.0)
        return ClockStatus(ahead=self._offset - self._line, believed_in=left)

    def sure(self, now: float | None = None) -> float:
        """`now`, or what it surely is by now when the clock has jumped ahead: what expires goes by it."""
        return min(self.now() if now is None else now, self._steady() + self._line + TOLERANCE)

    def look(self) -> float:
        """Compare the clocks; the seconds by which the wall jumped since the last look (negative: back), or 0.0."""
        before, self._offset = self._offset, self.now() - self._steady()
        ahead, steady = self._offset - self._line, self._steady()
        if ahead <= TOLERANCE:
            if self._since is not None:
                log.warning("the clock is back where it was expected")
            self._since, self._line = None, self._offset
        elif self._since is None:
            self._since = steady
            log.warning("the clock jumped ahead: nothing expires for a while", seconds=round(ahead), until=GRACE)
        elif steady - self._since >= GRACE:
            self._since, self._line = None, self._offset
            log.warning("the clock stays ahead: it is believed from now on", seconds=round(ahead))
        step = self._offset - before
        return step if abs(step) > TOLERANCE else 0.0


class PutOff(Protocol):
    """The outbox, as far as it knows times to come."""

    async def last_told(self) -> float | None: ...
    async def put_forward(self, seconds: float, now: float) -> int: ...


class ClockWatch:
    """Looks at the clock every second. `wake` is called when mail may be due that was not."""

    def __init__(self, clock: Clock, outbox: PutOff, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._outbox = outbox
        self._wake = wake
        self._owed = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            step = self._clock.look()
            if step < 0:
                self._owed -= step
            elif step > 0:
                self._wake()
            if self._owed:
                await self._pay()
            await asyncio.sleep(ROUND)

    async def _pay(self) -> None:
        try:
            await _make_up(self._outbox, self._owed, self._clock.now())
        except OutboxError as error:
            log.error("mail waits longer than it should", error=str(error))
        else:
            self._owed = 0.0
            self._wake()


async def catch_up(outbox: PutOff, now: float) -> None:
    """Make up for a clock that was set back while emailhub did not run. Raises OutboxError."""
    last = await outbox.last_told()
    if last is not None and last - now > TOLERANCE:
        await _make_up(outbox, last - now, now)


async def _make_up(outbox: PutOff, seconds: float, now: float) -> None:
    moved = await outbox.put_forward(seconds, now)
    log.warning("the clock was set back: what was put off is put forward", seconds=round(seconds), messages=moved)
