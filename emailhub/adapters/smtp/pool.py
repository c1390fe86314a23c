"""A bounded set of kept connections: first come first served, the warmest one reused, the odd ones never."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import partial

from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.dial import Trouble, trouble
from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import Wire
from emailhub.core.status import PoolFacts
from emailhub.core.verdict import Progress, Stage

_GOODBYE = 2.0
"""Seconds that closing connections get at the end before they are cut."""
Waiter = asyncio.Future[Connection | None]
"""Resolves to a connection to reuse, or None: a new one may be opened."""


class Pool:
    """Keeps up to `options.connections` connections that `opener` opens.

    After the start and after every outage they are opened 1, 2, 4 … at a time, so that a relay that has just recovered
    is not met by all at once. Whoever waits for a connection while none can be opened shares the one failure.

    Connections are closed for one of these causes: `messages`, `age`, `idle` (its share, its time, no work); `lost
    while idle`; `lost`, `late`, `421`, `garbage`, `out of step` with ` at ` and a stage; `lost`, `late`, `refused` with
    ` at RSET`; `lost`, `out of step` with ` after a refusal`; `refused during the body`; `BDAT refused`; `cancelled`;
    `replaced` by a fresh one; `probe`; `breaker opened`; `stopped`.
    """

    def __init__(
        self,
        options: SmtpOptions,
        opener: Callable[[Progress, Transcript], Awaitable[Connection]],
        clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._opener = opener
        self._clock = clock
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._opening = 0
        self._allowed = 1
        self._waiters: deque[tuple[bool, Waiter]] = deque()
        self._closing: set[Wire] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._stopped = False
        self._opens = 0
        self._reuses = 0
        self._closes: Counter[str] = Counter()

    def kept(self, log: Transcript) -> Connection | None:
        """A kept connection for one use, when there is one and nobody waits for it; to be given back or discarded."""
        found = self._warmest() if self._idle and not self._waiters and not self._stopped else None
        if found is None:
            return None
        self._busy.add(found)
        return self._reused(found, log)

    async def take(self, *, fresh: bool, progress: Progress, log: Transcript) -> Connection:
        """A connection for one use, a new one if `fresh`; to be given back or discarded. Raises Trouble."""
        if self._stopped:
            raise trouble(Stage.CONNECT, "the hub is stopping")
        kept = await self._slot(fresh)
        if kept is not None:
            return self._reused(kept, log)
        try:
            opened = await self._opener(progress, log)
        except Trouble as failure:
            self._not_opened(failure)
            raise
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opened(opened)
        return opened

    def give(self, connection: Connection) -> None:
        """Back from a use that left it in order."""
        cause = self._spent(connection, connection.answered_at)
        if cause:
            self.discard(connection, cause)
            return
        self._busy.discard(connection)
        self._idle.append(connection)
        if self._waiters:
            self._wake()
        if self._sweeper is None:
            self._watch()

    def discard(self, connection: Connection, cause: str, *, abort: bool = False) -> None:
        """Close it for `cause`; with `abort` at once, without a word."""
        self._busy.discard(connection)
        self._close(connection, cause, abort=abort)
        self._wake()

    def drop_idle(self, cause: str) -> None:
        """Close what is idle and start small again, after an outage."""
        while self._idle:
            self._close(self._idle.pop(), cause)
        self._start_small()

    async def close(self) -> None:
        """Close everything; whoever waits or still uses a connection meets trouble. Idempotent."""
        self._stopped = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._fail_waiters(trouble(Stage.CONNECT, "the hub is stopping"))
        self.drop_idle("stopped")
        for connection in list(self._busy):
            self.discard(connection, "stopped", abort=True)
        if self._closing:
            await asyncio.wait([wire.closed for wire in self._closing], timeout=_GOODBYE)
        for wire in list(self._closing):
            wire.abort()
            await wire.closed

    def facts(self) -> PoolFacts:
        """The numbers for screens."""
        idle, busy = len(self._idle), len(self._busy)
        return PoolFacts(
            open=idle + busy,
            idle=idle,
            busy=busy,
            opens=self._opens,
            reuses=self._reuses,
            closes=dict(self._closes),
        )

    # Who gets what.

    def _reused(self, connection: Connection, log: Transcript) -> Connection:
        self._reuses += 1
        log.note(f"reusing the connection to {connection.peer}, message {connection.uses + 1} on it")
        return connection

    async def _slot(self, fresh: bool) -> Connection | None:
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((fresh, waiter))
        self._wake()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._hand_back(waiter)
            raise

    def _hand_back(self, waiter: Waiter) -> None:
        """The waiter was cancelled, perhaps just after it had been served."""
        if not waiter.done() or waiter.cancelled() or waiter.exception() is not None:
            waiter.cancel()
            return
        kept = waiter.result()
        if kept is not None:
            self.give(kept)
            return
        self._opening -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            fresh, waiter = self._waiters[0]
            if not waiter.done() and not self._serve(fresh, waiter):
                return
            self._waiters.popleft()

    def _serve(self, fresh: bool, waiter: Waiter) -> bool:
        kept = None if fresh else self._warmest()
        if kept is not None:
            self._busy.add(kept)
            waiter.set_result(kept)
            return True
        if fresh and self._idle and self._count() >= self._allowed:
            self._close(self._idle.pop(0), "replaced")
        if self._count() >= self._allowed:
            return False
        self._opening += 1
        waiter.set_result(None)
        return True

    def _warmest(self) -> Connection | None:
        now = self._clock()
        while self._idle:
            connection = self._idle.pop()
            cause = self._worn(connection, now) or self._expired(connection, now)
            if not cause:
                return connection
            self._close(connection, cause)
        return None

    def _count(self) -> int:
        return self._opening + len(self._busy) + len(self._idle)

    def _opened(self, connection: Connection) -> None:
        self._opening -= 1
        self._opens += 1
        connection.answered_at = self._clock()
        connection.wire.on_odd = partial(self._went_odd, connection)
        self._busy.add(connection)
        # Each one that opened makes room for two more: 1, 2, 4 … at a time.
        self._allowed = min(self._allowed + 2, self._options.connections)
        self._wake()

    def _not_opened(self, failure: Trouble) -> None:
        self._opening -= 1
        self._start_small()
        if not self._busy and not self._idle:
            self._fail_waiters(failure)
        self._wake()

    def _start_small(self) -> None:
        self._allowed = min(len(self._busy) + len(self._idle) + 1, self._options.connections)

    def _fail_waiters(self, failure: Trouble) -> None:
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(Trouble(failure.verdict))

    # What must go.

    def _spent(self, connection: Connection, now: float) -> str:
        return "lost while idle" if not connection.wire.usable else self._worn(connection, now)

    def _worn(self, connection: Connection, now: float) -> str:
        if connection.uses >= self._options.messages_per_connection:
            return "messages"
        return "age" if now - connection.opened_at >= self._options.max_age else ""

    def _expired(self, connection: Connection, now: float) -> str:
        return "idle" if now - connection.answered_at >= self._options.idle_for else ""

    def _went_odd(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            self._close(connection, "lost while idle")

    def _close(self, connection: Connection, cause: str, *, abort: bool = False) -> None:
        wire = connection.wire
        self._closes[cause] += 1
        if wire.closed.done():
            return
        self._closing.add(wire)
        wire.closed.add_done_callback(lambda _: self._closing.discard(wire))
        wire.abort() if abort or not wire.usable else wire.quit()

    # One timer for all idle connections.

    def _watch(self) -> None:
        if self._sweeper is None and self._idle and not self._stopped:
            oldest = min(
                min(c.answered_at + self._options.idle_for, c.opened_at + self._options.max_age) for c in self._idle
            )
            delay = max(oldest - self._clock(), 0.0)
            self._sweeper = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._clock()
        for connection in list(self._idle):
            cause = self._expired(connection, now) or self._spent(connection, now)
            if cause:
                self._idle.remove(connection)
                self._close(connection, cause)
        self._wake()
        self._watch()
