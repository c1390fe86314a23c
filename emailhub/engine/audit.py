"""The audit log as the faces use it: read, and told what no change of the outbox tells."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from emailhub.core.audit import DONE, AuditFilter, AuditPage, Deed, Entry
from emailhub.engine.desk import Actor

_STEP = 500
"""Entries read at a time when many are asked for."""


class AuditStore(Protocol):
    """The log in the outbox."""

    async def record(self, deed: Deed) -> None: ...
    async def page(self, wanted: AuditFilter, *, before: int | None, after: int | None, limit: int) -> AuditPage: ...


class AuditLog:
    """The log in `store`. What changes the outbox is in it already, by the same commit; see `core.audit`."""

    def __init__(self, store: AuditStore, *, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def record(
        self, actor: Actor, what: str, target: str = "", *, reason: str = "", result: str = DONE, detail: str = ""
    ) -> None:
        """Keep what changed nothing in the outbox, or was refused."""
        deed = Deed(
            at=self._now(),
            actor=actor.name,
            peer=actor.peer,
            what=what,
            target=target,
            reason=reason,
            result=result,
            detail=detail,
        )
        await self._store.record(deed)

    async def page(
        self, wanted: AuditFilter, *, before: int | None = None, after: int | None = None, limit: int
    ) -> AuditPage:
        """Newest first: those older than the entry with the id `before`, or the ones just newer than `after`."""
        return await self._store.page(wanted, before=before, after=after, limit=limit)

    async def newest(self, wanted: AuditFilter, most: int) -> AsyncIterator[Entry]:
        """The newest `most` of them, newest first, read a few at a time."""
        before: int | None = None
        while most > 0:
            page = await self._store.page(wanted, before=before, after=None, limit=min(_STEP, most))
            for entry in page.items:
                yield entry
            most -= len(page.items)
            if page.older is None:
                return
            before = page.older
