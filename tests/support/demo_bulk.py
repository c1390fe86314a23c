"""Jobs over many messages in memory, for the pages over canned messages: two that are there, and none is worked on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from emailhub.core.bulk import Action, Candidate, Job, Order, Phase, Preview
from emailhub.core.errors import JobEnded, NotFound
from emailhub.core.query import parse
from emailhub.core.records import Filter
from emailhub.engine.ports import History

RUNNING = "01M86ZVV9FQESMTXYZCHHB0001"
DONE = "01M86ZVV9FQESMTXYZCHHB0000"


class DemoBulk:
    """See `engine.bulk.BulkStore`."""

    def __init__(self, history: History, now: Callable[[], float], *, empty: bool) -> None:
        self._history = history
        order = Order(
            action=Action.RETRY,
            filter=Filter(terms=parse("state:failed code:550", now()).terms),
            query="state:failed code:550",
            upto=99,
            pace=10.0,
            reason="the mailbox is there again",
            actor="bea from 10.0.0.9",
        )
        canceled = replace(order, action=Action.CANCEL, query="subject:newsletter", pace=None, reason="sent twice")
        ended = Job(
            id=DONE, order=canceled, phase=Phase.DONE, made_at=now() - 4000, total=41, done=39, skipped=2,
            why="message 01M86ZVV9FQESMTXYZCHHA5N7M is sent: nothing in it to cancel", ended_at=now() - 3998,
        )  # fmt: skip
        running = Job(id=RUNNING, order=order, phase=Phase.RUNNING, made_at=now() - 31, total=1384, done=312)
        self.jobs = {} if empty else {ended.id: ended, running.id: running}

    async def preview(self, filter: Filter, upto: int | None = None) -> Preview:
        page = await self._history.page(filter, before=None, after=None, limit=1000)
        return Preview(99, Counter(one.state for one in page.items))

    async def add(self, id: str, order: Order, total: int, now: float) -> Job:
        self.jobs[id] = Job(id=id, order=order, phase=Phase.RUNNING, made_at=now, total=total)
        return self.jobs[id]

    async def find(self, id: str) -> Job:
        if id not in self.jobs:
            raise NotFound("bulk job", id)
        return self.jobs[id]

    async def latest(self, limit: int) -> tuple[Job, ...]:
        return tuple(sorted(self.jobs.values(), key=lambda job: -job.made_at))[:limit]

    async def next(self) -> Job | None:
        return next((job for job in self.jobs.values() if job.phase is Phase.RUNNING), None)

    async def candidates(self, job: Job, limit: int) -> tuple[Candidate, ...]:
        return ()

    async def step(
        self,
        id: str,
        some: Sequence[Candidate],
        ways: Callable[[Candidate], Sequence[str]],
        now: float,
        expires_at: float,
    ) -> Job:
        return self.jobs[id]

    async def finish(self, id: str, now: float) -> None:
        self.jobs[id] = replace(self.jobs[id], phase=Phase.DONE, ended_at=now)

    async def stop(self, id: str, actor: str, note: str, now: float) -> Job:
        job = await self.find(id)
        if job.phase is not Phase.RUNNING:
            raise JobEnded(id, job.phase.value)
        self.jobs[id] = replace(job, phase=Phase.STOPPED, ended_at=now, ended_by=actor)
        return self.jobs[id]
