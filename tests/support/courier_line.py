"""A courier at work in virtual time: real outbox, real breaker, a relay that plays a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite import Database, SqliteOutbox
from emailhub.core.breaker import Rules, Snapshot
from emailhub.core.claiming import ANY, Claimed, Terms
from emailhub.core.delivery import Policy, Reason, State
from emailhub.core.errors import OutboxFull
from emailhub.core.records import Detail, Job, Result
from emailhub.core.verdict import Report
from emailhub.engine.courier import Courier
from emailhub.engine.fuse import Fuse
from emailhub.engine.meter import Meter
from tests.support.clock import now, settled
from tests.support.factories import Store, opened, parcel
from tests.support.relays import ScriptedRelay


class WatchedOutbox(SqliteOutbox):
    """Counts its calls, and can be full for a while."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, dead_letters=True)
        self.calls: list[str] = []
        self.full: set[str] = set()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.full:
            raise OutboxFull("the disk is full")

    async def claim(
        self,
        relay: str,
        *,
        limit: int,
        now: float,
        ids: Sequence[str] = (),
        probe: bool = False,
        terms: Terms = ANY,
    ) -> Claimed:
        self._called("claim")
        return await super().claim(relay, limit=limit, now=now, ids=ids, probe=probe, terms=terms)

    async def next_due(self, relay: str) -> float | None:
        self._called("next_due")
        return await super().next_due(relay)

    async def mark_body(self, job: Job, now: float) -> None:
        self._called("mark_body")
        await super().mark_body(job, now)

    async def record(self, job: Job, results: Sequence[Result], report: Report, now: float) -> bool:
        self._called("record")
        return await super().record(job, results, report, now)

    async def release(self, job: Job, reason: Reason, now: float) -> bool:
        self._called("release")
        return await super().release(job, reason, now)


class Line:
    """The parts, and what tests do with them."""

    def __init__(self, store: Store, relay: ScriptedRelay, policy: Policy, rules: Rules, snapshot: Snapshot) -> None:
        self.store = store
        self.relay = relay
        self.outbox = WatchedOutbox(store.database)
        self.fuse = Fuse(relay.name, rules, snapshot, store.upkeep, now=now, jitter=lambda: 0.0)
        self.courier = Courier(relay, self.outbox, self.fuse, policy=policy, meter=Meter(), now=now, jitter=lambda: 0.0)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self.courier.run()), asyncio.create_task(self.fuse.run())]

    async def accept(self, *ids: str, **given: Any) -> None:
        """Store messages that are due now (unless told) and wake the courier, as intake does."""
        given = {"accepted_at": now(), **given}
        for answer in await self.store.outbox.add([parcel(id, **given) for id in ids]):
            assert not isinstance(answer, Exception), answer
        self.courier.wake()

    async def carried(self, *ids: str, within: float = 86400.0) -> None:
        """Wait until nothing is left to do for `ids`, or for all."""
        deadline = now() + within
        while True:
            waiting = await self.store.rows("SELECT id FROM message WHERE final_at IS NULL AND state <> 'held'")
            if not {row[0] for row in waiting} & (set(ids) or {row[0] for row in waiting}):
                return
            assert now() < deadline, f"still waiting: {waiting}"
            await asyncio.sleep(0.25)

    async def rest(self) -> None:
        """Wait until no attempt runs."""
        await asyncio.sleep(0.25)
        await settled(lambda: not self.courier.in_flight)

    async def find(self, id: str) -> Detail:
        return await self.store.history.find(id)

    async def state(self, id: str) -> State:
        return (await self.find(id)).summary.state

    async def told(self, id: str) -> list[str]:
        """The kinds of the events of message `id`."""
        return [event.kind for event in await self.store.history.events(id)]

    async def stop(self, grace: float = 5.0) -> None:
        await self.courier.stop(grace)
        await self.tasks[0]
        self.tasks[1].cancel()
        await asyncio.gather(self.tasks[1], return_exceptions=True)
        self.tasks = []


@asynccontextmanager
async def line(
    folder: Path,
    relay: ScriptedRelay,
    *,
    policy: Policy | None = None,
    rules: Rules | None = None,
    snapshot: Snapshot | None = None,
) -> AsyncIterator[Line]:
    """A running courier on the outbox in `folder`; stopped afterwards, which must leave nothing being sent."""
    async with opened(folder / "hub.db") as store:
        parts = Line(store, relay, policy or Policy(), rules or Rules(), snapshot or Snapshot())
        parts.start()
        yield parts
        if parts.tasks:
            await parts.stop()
        assert relay.closed
        assert not await store.rows("SELECT seq FROM recipient WHERE state = 'sending'")
