"""After a crash: what was being sent is unknown; what had not reached the body is simply queued again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emailhub import logs
from emailhub.core.delivery import Policy, Reason
from emailhub.core.records import Job
from emailhub.core.verdict import Report
from emailhub.engine.findings import rescued
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox
from emailhub.engine.recorder import count

log = logs.get("rescuer")


class OpenJobs(Outbox, Protocol):
    """An outbox that remembers what was being sent."""

    async def open_jobs(self) -> list[tuple[Job, bool]]: ...


async def rescue(
    outbox: OpenJobs, *, policy: Policy, meter: Meter, now: Callable[[], float], jitter: Callable[[], float]
) -> int:
    """Close every attempt the last process left open; returns how many. To be called before anything is claimed.

    One process owns the file, so at this moment no attempt can be alive: nothing has to wait for a lease to end.
    """
    jobs = await outbox.open_jobs()
    for job, may_be_out in jobs:
        with logs.bound(message_id=job.id, correlation_id=job.correlation_id, request_id=job.request_id):
            await _close(outbox, job, may_be_out, policy, meter, now, jitter)
    return len(jobs)


async def _close(
    outbox: OpenJobs,
    job: Job,
    may_be_out: bool,
    policy: Policy,
    meter: Meter,
    now: Callable[[], float],
    jitter: Callable[[], float],
) -> None:
    if not may_be_out:
        await outbox.release(job, Reason.RESCUED, now())
        log.info("rescued", outcome="queued", why="the body had not been sent")
        return
    results = rescued(job, policy=policy, now=now(), jitter=jitter)
    for result in await outbox.record(job, results, Report(()), now()):
        count(meter, job.relay, result)
        log.warning("rescued", outcome=result.outcome.to.value, why=result.text, next_try=result.outcome.due_at)
