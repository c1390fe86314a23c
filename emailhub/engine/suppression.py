"""The suppression list as operators and services use it: who is on it, put on it, taken off it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from emailhub import logs
from emailhub.core.errors import NotFound
from emailhub.core.suppression import Listing, Suppression, SuppressionFilter, SuppressionPage
from emailhub.engine.desk import Actor
from emailhub.engine.meter import Meter

log = logs.get("suppression")


class Suppressions(Protocol):
    """The list in the outbox."""

    async def add(
        self, listings: Sequence[Listing], *, now: float, face: str, actor: str
    ) -> tuple[tuple[Suppression, ...], int]: ...
    async def lift(
        self, keys: Sequence[str], *, now: float, face: str, actor: str, note: str
    ) -> tuple[Suppression, ...]: ...
    async def find(self, key: str) -> Suppression: ...
    async def page(
        self, wanted: SuppressionFilter, *, before: int | None, after: int | None, limit: int
    ) -> SuppressionPage: ...
    async def listed(self, addresses: Sequence[str]) -> frozenset[str]: ...


class SuppressionList:
    """The list in `store`. Every change of it is recorded with who made it and why."""

    def __init__(self, store: Suppressions, *, meter: Meter, now: Callable[[], float]) -> None:
        self._store = store
        self._meter = meter
        self._now = now

    async def add(self, listings: Sequence[Listing], actor: Actor) -> tuple[Suppression, ...]:
        """Put addresses on the list; the entries, each address once. One that is there already stays as it is.

        What waits for them is suppressed in the same commit; what is being sent now is not tried again.
        """
        found, stopped = await self._store.add(listings, now=self._now(), face=actor.face, actor=str(actor))
        if stopped:
            self._meter.suppressed(stopped)
        for one in found:
            log.info("suppressed", recipient=one.address, origin=one.origin.value, actor=str(actor), note=one.note)
        return found

    async def lift(self, key: str, actor: Actor, note: str = "") -> Suppression:
        """Take the address or id `key` off the list. Raises NotFound.

        What was suppressed stays so: whoever wants it sent retries it.
        """
        found = await self.lift_all([key], actor, note)
        if not found:
            raise NotFound("suppression", key)
        return found[0]

    async def lift_all(self, keys: Sequence[str], actor: Actor, note: str = "") -> tuple[Suppression, ...]:
        """Take those of `keys` off the list that are on it; what they were."""
        found = await self._store.lift(keys, now=self._now(), face=actor.face, actor=str(actor), note=note)
        for one in found:
            log.info("suppression lifted", recipient=one.address, actor=str(actor), note=note)
        return found

    async def find(self, key: str) -> Suppression:
        """The entry with the address or id `key`. Raises NotFound."""
        return await self._store.find(key)

    async def page(
        self,
        wanted: SuppressionFilter,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> SuppressionPage:
        """Newest first: those older than the entry with the id `before`, or the ones just newer than `after`."""
        return await self._store.page(wanted, before=before, after=after, limit=limit)

    async def listed(self, addresses: Sequence[str]) -> frozenset[str]:
        """Those of `addresses` that are on the list."""
        return await self._store.listed(addresses)
