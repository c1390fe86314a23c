"""A fleet at work in virtual time: real outbox, real breakers, relays that play scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite.relays import SqliteRelays
from emailhub.core.breaker import Rules
from emailhub.core.delivery import Policy, State
from emailhub.core.limits import Rate
from emailhub.core.records import AttemptRecord, Detail, Event
from emailhub.core.routing import Route
from emailhub.core.status import RelayStatus
from emailhub.core.turns import Spare
from emailhub.engine.fleet import Fleet, RelaySpec, Rig
from emailhub.engine.meter import Meter
from tests.support.clock import now
from tests.support.courier_line import WatchedOutbox
from tests.support.factories import Store, opened, parcel
from tests.support.relays import ScriptedRelay


def spec(relay: ScriptedRelay, *, rates: Sequence[Rate] = (), options: object = None, **route: Any) -> RelaySpec:
    """A relay of the fleet that is `relay` itself."""
    return RelaySpec(
        route=Route(name=relay.name, **route), build=lambda: relay, rates=tuple(rates), options=options or id(relay)
    )


class FleetLine:
    """The fleet, and what tests do with it."""

    def __init__(self, store: Store, failover_after: float) -> None:
        self.store = store
        self.outbox = WatchedOutbox(store.database)
        rig = Rig(
            outbox=self.outbox,
            breakers=store.upkeep,
            store=SqliteRelays(store.database),
            policy=Policy(),
            rules=Rules(),
            meter=Meter(),
            now=now,
            jitter=lambda: 0.0,
            draw=lambda: 0.0,
        )
        self.fleet = Fleet(rig, failover_after=failover_after, grace=5.0)
        self.task: asyncio.Task[None] | None = None

    async def accept(self, *ids: str, **given: Any) -> None:
        """Store messages at the relay their sender's domain belongs to, and wake its courier, as intake does."""
        sender = given.get("sender", "hub@example.org")
        relay = given.pop("relay", None) or self.fleet.home(sender.rpartition("@")[2])
        given = {"accepted_at": now(), "relay": relay, **given}
        for answer in await self.store.outbox.add([parcel(id, **given) for id in ids]):
            assert not isinstance(answer, Exception), answer
        self.fleet.wake()

    async def carried(self, *, within: float = 2 * 86400.0) -> None:
        """Wait until nothing is left to do."""
        deadline = now() + within
        while waiting := await self.store.rows("SELECT id FROM message WHERE final_at IS NULL AND state <> 'held'"):
            assert now() < deadline, f"still waiting: {waiting}"
            await asyncio.sleep(0.25)

    async def find(self, id: str) -> Detail:
        return await self.store.history.find(id)

    async def state(self, id: str) -> State:
        return (await self.find(id)).summary.state

    async def attempts(self, id: str) -> tuple[AttemptRecord, ...]:
        return await self.store.history.attempts(id)

    def told(self, *kinds: str) -> list[Event]:
        """The events of these kinds so far."""
        return [event for event in self.store.events if event.kind in kinds]

    def status(self, name: str) -> RelayStatus:
        return self.fleet.lines[name].status(now())


@asynccontextmanager
async def fleet_line(
    folder: Path, *specs: RelaySpec, failover_after: float = 60.0, spares: Sequence[Spare] = ()
) -> AsyncIterator[FleetLine]:
    """A running fleet on the outbox in `folder`; stopped afterwards, which must leave nothing being sent."""
    async with opened(folder / "hub.db") as store:
        at = FleetLine(store, failover_after)
        await at.fleet.apply(specs, spares=spares)
        task = asyncio.create_task(at.fleet.run())
        try:
            yield at
        finally:
            await at.fleet.stop(5.0)
            assert not task.done(), task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not await store.rows("SELECT seq FROM recipient WHERE state = 'sending'")
