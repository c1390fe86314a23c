"""Works through jobs over many messages: one job at a time, a few messages a commit, at the pace that was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from emailhub import logs
from emailhub.core import mime
from emailhub.core.bulk import Action, Candidate, Job, Order, Phase, Preview
from emailhub.core.errors import OutboxError, WrongState
from emailhub.core.records import Filter
from emailhub.engine.desk import Actor

AHEAD = 200
"""Messages looked up at a time."""
TOGETHER = 20
"""Messages of one commit, some 10 ms of work, that goes as fast as it can."""
TICK = 0.1
"""Seconds between two commits of a fast pace."""
TROUBLE = 1.0
"""Seconds until it is tried again when the outbox could not be written."""

log = logs.get("bulk")


class BulkStore(Protocol):
    """The jobs in the outbox."""

    async def preview(self, filter: Filter, upto: int | None = None) -> Preview: ...
    async def add(self, id: str, order: Order, total: int, now: float) -> Job: ...
    async def find(self, id: str) -> Job: ...
    async def latest(self, limit: int) -> tuple[Job, ...]: ...
    async def next(self) -> Job | None: ...
    async def candidates(self, job: Job, limit: int) -> tuple[Candidate, ...]: ...
    async def step(
        self,
        id: str,
        some: Sequence[Candidate],
        ways: Callable[[Candidate], Sequence[str]],
        now: float,
        expires_at: float,
    ) -> Job: ...
    async def finish(self, id: str, now: float) -> None: ...
    async def stop(self, id: str, actor: str, note: str, now: float) -> Job: ...


class Ways(Protocol):
    """The desk, as far as it knows where mail goes."""

    @property
    def expire_after(self) -> float: ...
    def ways_for(self, domain: str, relay: str) -> tuple[str, ...]: ...


class Bulk:
    """The jobs in `store`. `wake` tells the couriers that something is due; `now` is unix seconds (UTC)."""

    def __init__(
        self,
        store: BulkStore,
        desk: Ways,
        *,
        wake: Callable[[], None],
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._desk = desk
        self._wake = wake
        self._now = now
        self._entropy = entropy
        self._sleep = sleep
        self._asked = asyncio.Event()

    async def preview(self, filter: Filter) -> Preview:
        """What `filter` wants now, by state."""
        return await self._store.preview(filter)

    async def start(
        self,
        action: Action,
        filter: Filter,
        query: str,
        actor: Actor,
        *,
        reason: str = "",
        pace: float | None = None,
        upto: int | None = None,
    ) -> Job:
        """Have `action` done to all that `filter` wants, up to message number `upto`; None: the latest there is."""
        preview = await self._store.preview(filter, upto)
        order = Order(
            action=action,
            filter=filter,
            query=query,
            upto=preview.upto,
            pace=pace,
            reason=reason,
            actor=str(actor),
        )
        total, now = sum(preview.touched(action).values()), self._now()
        job = await self._store.add(mime.new_id(now, self._entropy(10)), order, total, now)
        log.warning("bulk started", id=job.id, action=action.value, messages=total, actor=str(actor), note=reason)
        self._asked.set()
        return job

    async def find(self, id: str) -> Job:
        """The job as it stands. Raises NotFound."""
        return await self._store.find(id)

    async def latest(self, limit: int) -> tuple[Job, ...]:
        """The newest jobs."""
        return await self._store.latest(limit)

    async def current(self) -> Job | None:
        """The job that is worked on."""
        return await self._store.next()

    async def stop(self, id: str, actor: Actor, reason: str = "") -> Job:
        """Do no more of it; what is done stays so. Raises NotFound, JobEnded."""
        job = await self._store.stop(id, str(actor), reason, self._now())
        log.warning("bulk stopped", id=id, messages=job.done, actor=str(actor), note=reason)
        return job

    async def run(self) -> None:
        """Work until cancelled; what a restart broke off goes on where it was."""
        while True:
            self._asked.clear()
            try:
                job = await self._store.next()
                if job is not None:
                    await self._work(job)
            except OutboxError as error:
                log.error("bulk halted", error=str(error))
                await self._sleep(TROUBLE)
                continue
            if job is None:
                await self._asked.wait()

    async def _work(self, job: Job) -> None:
        """All that is left of one job, until somebody stops it."""
        while found := await self._store.candidates(job, AHEAD):
            at_once, pause = _stride(job.order.pace)
            for start in range(0, len(found), at_once):
                job = await self._step(job, found[start : start + at_once])
                if job.phase is not Phase.RUNNING:
                    return
                await self._sleep(pause)
        await self._store.finish(job.id, self._now())
        log.warning("bulk done", id=job.id, messages=job.done, skipped=job.skipped)

    async def _step(self, job: Job, some: Sequence[Candidate]) -> Job:
        now = self._now()
        job = await self._store.step(job.id, some, self._ways, now, now + self._desk.expire_after)
        self._wake()
        return job

    def _ways(self, one: Candidate) -> Sequence[str]:
        ways = self._desk.ways_for(one.domain, one.relay)
        if not ways:
            raise WrongState("retry", one.id, "kept", "no relay may send for this sender")
        return ways


def _stride(pace: float | None) -> tuple[int, float]:
    """How many messages a commit, and the seconds between two commits."""
    if pace is None:
        return TOGETHER, 0.0
    at_once = max(int(pace * TICK), 1)
    return at_once, at_once / pace
