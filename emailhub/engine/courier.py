"""The courier of one relay: takes what is due, carries it, records what became of it.

It never claims more than the relay has free connections, nothing while the breaker is open, and nothing while an
earlier result could not be recorded: a message that was sent and not recorded would be sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from emailhub import logs
from emailhub.core.breaker import Permit, Phase, Snapshot
from emailhub.core.delivery import OnUnknown, Policy, Reason, State
from emailhub.core.errors import OutboxError
from emailhub.core.judge import judge_failure
from emailhub.core.records import Job, Result
from emailhub.core.verdict import STAGES, Envelope, Progress, Report, Stage
from emailhub.engine.findings import outcomes, signal_of
from emailhub.engine.fuse import Fuse
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay

OFFERS = 20_000
"""Handed-off ids kept in memory; those beyond it are due by themselves a few seconds later."""
IDLE = 30.0
"""Longest sleep in seconds without a signal: a safety net against a wake that was never sent."""
UNRECORDED_WAIT = 1.0

log = logs.get("courier")


class _Carry:
    """An attempt under way."""

    __slots__ = ("job", "progress", "reason", "task")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress = Progress()
        self.reason = Reason.STOPPED
        self.task: asyncio.Task[None] | None = None

    @property
    def harmless(self) -> bool:
        """True while no byte of the body was given to the relay."""
        return STAGES.index(self.progress.stage) < STAGES.index(Stage.BODY)


class Courier:
    """See the module. `jitter()` gives a random number in [-1, 1]."""

    def __init__(
        self,
        relay: Relay,
        outbox: Outbox,
        fuse: Fuse,
        *,
        policy: Policy,
        meter: Meter,
        now: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._relay = relay
        self._outbox = outbox
        self._fuse = fuse
        self._policy = policy
        self._meter = meter
        self._now = now
        self._jitter = jitter
        self._offers: deque[str] = deque(maxlen=OFFERS)
        self._carries: set[_Carry] = set()
        self._signal = asyncio.Event()
        self._next_due: float | None = 0.0
        self._ramp = relay.capacity
        self._unrecorded = 0
        self._last_well = 0.0
        self._stopping = False
        self._probing: asyncio.Task[None] | None = None
        self._dropping: asyncio.Task[None] | None = None
        fuse.on_change = self._breaker_changed

    @property
    def in_flight(self) -> int:
        return len(self._carries)

    @property
    def unrecorded(self) -> int:
        """Results that wait for the outbox to be writable again."""
        return self._unrecorded

    @property
    def last_well(self) -> float | None:
        """When the relay last accepted or refused something by itself, which shows it is well."""
        return self._last_well or None

    def offer(self, ids: Iterable[str]) -> None:
        """Fresh messages handed over by RabbitMQ: claim them now rather than when they are due by themselves."""
        self._offers.extend(ids)
        self._signal.set()

    def wake(self) -> None:
        """Something may be due: look."""
        self._next_due = 0.0
        self._signal.set()

    async def run(self) -> None:
        """Work until `stop`. Raises only what is a bug."""
        while not self._stopping:
            self._signal.clear()
            await self._round()
            if not self._stopping:
                await self._rest()

    async def stop(self, grace: float) -> None:
        """Claim nothing more; give back what is harmless to give back; let the rest finish for `grace` seconds."""
        self._stopping = True
        self._signal.set()
        self._interrupt(Reason.STOPPED)
        if self._probing is not None:
            self._probing.cancel()
        tasks = [carry.task for carry in self._carries if carry.task]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for carry in list(self._carries):
            if carry.task:
                carry.task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._relay.close()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._pause()):
                await self._signal.wait()
        except TimeoutError:
            pass

    def _pause(self) -> float:
        now = self._now()
        times = [now + IDLE]
        probe = self._fuse.next_probe
        if probe is not None:
            times.append(probe)
        elif self._next_due is not None and self._room() > 0 and self._fuse.would_permit():
            times.append(self._next_due)
        return max(min(times) - now, 0.0)

    def _room(self) -> int:
        if self._unrecorded:
            return 0
        return min(self._relay.capacity, self._ramp) - len(self._carries)

    async def _round(self) -> None:
        try:
            while not self._stopping and await self._take():
                pass
        except OutboxError as error:
            log.error("cannot claim", relay=self._relay.name, error=str(error))
            await asyncio.sleep(UNRECORDED_WAIT)

    async def _take(self) -> bool:
        """Claim and start what there is room for; True when there may be more to take at once."""
        room = self._room()
        if room <= 0 or not self._fuse.would_permit() or not self._anything_due():
            return False
        permit = self._fuse.permit()
        if permit is None:
            return False
        return await (self._probe(permit) if permit.probe else self._claim(permit, room))

    def _anything_due(self) -> bool:
        if self._offers or self._fuse.snapshot.phase is not Phase.CLOSED:
            return True
        return self._next_due is not None and self._next_due <= self._now()

    async def _claim(self, permit: Permit, room: int) -> bool:
        ids = [self._offers.popleft() for _ in range(min(room, len(self._offers)))]
        # Set before the claim: a `wake` that arrives while it runs must not be overwritten by its answer.
        self._next_due = None
        jobs = await self._outbox.claim(self._relay.name, limit=room, now=self._now(), ids=ids)
        for job in jobs:
            self._start(job, permit)
        if len(jobs) >= room:
            self._due_by(self._now())
        elif not self._offers:
            due = await self._outbox.next_due(self._relay.name)
            if due is not None:
                self._due_by(due)
        return len(jobs) < room and bool(jobs or self._offers)

    def _due_by(self, due: float) -> None:
        self._next_due = due if self._next_due is None else min(self._next_due, due)

    async def _probe(self, permit: Permit) -> bool:
        try:
            jobs = await self._outbox.claim(self._relay.name, limit=1, now=self._now(), probe=True)
        except BaseException:
            self._fuse.release(permit)
            raise
        if jobs:
            self._start(jobs[0], permit)
        else:
            self._probing = asyncio.create_task(self._probe_without_mail(permit), name=f"probe {self._relay.name}")
        return False

    async def _probe_without_mail(self, permit: Permit) -> None:
        try:
            report = await self._relay.probe(progress=Progress())
        except asyncio.CancelledError:
            self._fuse.release(permit)
            raise
        verdict = report.verdicts[0]
        self._note(permit, report)
        log.info("probed", relay=self._relay.name, verdict=verdict.kind.value, text=verdict.text)

    def _start(self, job: Job, permit: Permit) -> None:
        carry = _Carry(job)
        self._carries.add(carry)
        carry.task = asyncio.create_task(self._carry(carry, permit), name=f"attempt {job.id}")
        carry.task.add_done_callback(partial(self._done, carry))

    def _done(self, carry: _Carry, task: asyncio.Task[None]) -> None:
        self._carries.discard(carry)
        self._signal.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt broke", relay=self._relay.name, message_id=carry.job.id, exc=task.exception())

    async def _carry(self, carry: _Carry, permit: Permit) -> None:
        job = carry.job
        with logs.bound(message_id=job.id, correlation_id=job.correlation_id, request_id=job.request_id):
            try:
                report = await self._attempt(carry, fresh=permit.probe)
            except asyncio.CancelledError:
                self._fuse.release(permit)
                await _finish(self._interrupted(carry))
                return
            self._note(permit, report)
            await _finish(self._record(job, report))

    async def _attempt(self, carry: _Carry, *, fresh: bool) -> Report:
        job, started = carry.job, self._now()
        envelope = Envelope(job.id, job.sender, tuple(r.address for r in job.recipients), job.content, job.smtputf8)
        cautious = job.on_unknown is not OnUnknown.RETRY
        try:
            report = await self._relay.attempt(
                envelope,
                fresh=fresh,
                progress=carry.progress,
                before_body=partial(self._mark_body, job) if cautious else None,
            )
        except Exception as error:  # noqa: BLE001 - a bug, or a disk that cannot note the body: the fate is still known
            log.error("attempt failed inside", relay=self._relay.name, exc=error)
            text = f"emailhub: {type(error).__name__}"
            verdict = judge_failure(carry.progress.stage, text, body_sent=carry.progress.body_sent)
            report = Report((verdict,) * len(job.recipients))
        for kind in {verdict.kind for verdict in report.verdicts}:
            self._meter.attempt(self._relay.name, kind.value, self._now() - started)
        return report

    async def _mark_body(self, job: Job) -> None:
        await self._outbox.mark_body(job, self._now())

    def _note(self, permit: Permit, report: Report) -> None:
        signal, cause = signal_of(report)
        before = self._fuse.snapshot.phase
        self._fuse.record(permit, signal, cause)
        if self._fuse.snapshot.phase is Phase.CLOSED and before is Phase.CLOSED and cause == "":
            self._last_well = self._now()
            self._ramp = min(max(self._ramp * 2, 1), self._relay.capacity)

    async def _record(self, job: Job, report: Report) -> None:
        results = outcomes(
            job,
            report,
            policy=self._policy,
            now=self._now(),
            jitter=self._jitter,
            probe_at=self._fuse.next_probe,
            relay_well_at=self._last_well,
            captured=self._relay.captures,
        )
        if not await self._persist(lambda: self._outbox.record(job, results, report, self._now())):
            return
        for result in results:
            self._tell(job, result)
            if result.outcome.due_at is not None:
                self._due_by(result.outcome.due_at)

    async def _interrupted(self, carry: _Carry) -> None:
        job = carry.job
        if carry.progress.body_sent:
            text = "emailhub stopped while it waited for the final reply: the mail may have been delivered"
            verdict = judge_failure(Stage.FINAL, text, body_sent=True)
            await self._record(job, Report((verdict,) * len(job.recipients)))
            return
        await self._persist(lambda: self._outbox.release(job, carry.reason, self._now()))
        log.info("given back", relay=self._relay.name, reason=carry.reason.value)
        self.wake()

    async def _persist(self, write: Callable[[], Awaitable[bool]]) -> bool:
        """Write a result, however long it takes: until it is on the disk nothing more is sent."""
        waiting = False
        try:
            while True:
                try:
                    return await write()
                except OutboxError as error:
                    if not waiting:
                        waiting = True
                        self._unrecorded += 1
                        log.error("result not recorded, sending stops", relay=self._relay.name, error=str(error))
                    if self._stopping:
                        # The row stays `sending`; the next start treats it as unknown, which is the truth.
                        return False
                    await asyncio.sleep(UNRECORDED_WAIT)
        finally:
            self._unrecorded -= waiting

    def _tell(self, job: Job, result: Result) -> None:
        outcome = result.outcome
        self._meter.recipient(outcome.to, outcome.reason)
        if outcome.reason is Reason.UNKNOWN:
            self._meter.unknown(self._relay.name)
        if outcome.to is State.SENT:
            self._meter.time_to_send(self._now() - job.accepted_at)
        say = log.info if outcome.to in (State.SENT, State.DEFERRED) else log.warning
        address = next(r.address for r in job.recipients if r.id == result.recipient_id)
        say(
            outcome.to.value,
            relay=self._relay.name,
            recipient=address,
            attempt=job.number,
            reason=outcome.reason.value,
            stage=result.stage.value,
            reply=result.text,
            next_try=outcome.due_at,
        )

    def _breaker_changed(self, before: Snapshot, after: Snapshot) -> None:
        if after.phase is Phase.OPEN and before.phase is Phase.CLOSED:
            self._interrupt(Reason.BREAKER_OPENED)
            self._dropping = asyncio.create_task(self._relay.drop_idle(), name=f"drop idle {self._relay.name}")
        if after.phase is Phase.CLOSED and before.phase is not Phase.CLOSED:
            # All connections at once against a server that just came back would knock it over again.
            self._ramp = 1
            self._last_well = self._now()
        self.wake()

    def _interrupt(self, reason: Reason) -> None:
        current = asyncio.current_task()
        for carry in list(self._carries):
            if carry.task and carry.task is not current and carry.harmless:
                carry.reason = reason
                carry.task.cancel()


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even when cancelled: what the relay has said is never forgotten."""
    task = asyncio.create_task(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    task.result()
