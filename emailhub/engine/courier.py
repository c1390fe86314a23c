"""The courier of one relay: takes what is due, carries it, records what became of it.

It never claims more than the relay has free connections, nothing while the breaker is open, and nothing while an
earlier result could not be recorded: a message that was sent and not recorded would be sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from emailhub import logs
from emailhub.core.breaker import Permit, Phase, Snapshot
from emailhub.core.delivery import OnUnknown, Policy, Reason
from emailhub.core.errors import OutboxError
from emailhub.core.judge import judge_failure
from emailhub.core.records import Job
from emailhub.core.verdict import Envelope, Progress, Report
from emailhub.engine.findings import cut_short, signal_of
from emailhub.engine.fuse import Fuse
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay
from emailhub.engine.recorder import UNRECORDED_WAIT, Recorder, finished, unless

OFFERS = 20_000
"""Handed-off ids kept in memory; those beyond it are due by themselves a few seconds later."""
EXPIRED_WAIT = 1.0
IDLE = 30.0
"""Longest sleep in seconds without a signal: a safety net against a wake that was never sent."""

log = logs.get("courier")


class _Carry:
    """An attempt under way."""

    __slots__ = ("job", "permit", "progress", "reason", "started", "task")

    def __init__(self, job: Job, permit: Permit) -> None:
        self.job = job
        self.permit = permit
        self.progress = Progress()
        self.reason: Reason | None = None
        self.started = False
        self.task: asyncio.Task[None] | None = None

    @property
    def harmless(self) -> bool:
        """True while the whole message can be given back: nothing was delivered, and no answer would be forgotten."""
        return self.progress.harmless

    def interrupt(self, reason: Reason) -> None:
        """End the attempt; what follows is recorded by its own task."""
        self.reason = reason
        # A task cancelled before its first step runs none of its lines: the message would stay claimed for ever.
        if self.started and self.task is not None:
            self.task.cancel()


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
        self._meter = meter
        self._now = now
        self._offers: deque[str] = deque(maxlen=OFFERS)
        self._carries: set[_Carry] = set()
        self._signal = asyncio.Event()
        self._next_due: float | None = 0.0
        self._ramp = relay.capacity
        self._last_well = 0.0
        self._stop = asyncio.Event()
        self._recorder = Recorder(relay, outbox, policy=policy, meter=meter, now=now, jitter=jitter, stop=self._stop)
        self._turn = asyncio.Lock()
        self._errands: set[asyncio.Task[None]] = set()
        fuse.on_change = self._breaker_changed

    @property
    def in_flight(self) -> int:
        return len(self._carries)

    @property
    def unrecorded(self) -> int:
        """Results that wait for the outbox to be writable again."""
        return self._recorder.waiting

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
        while not self._stop.is_set():
            self._signal.clear()
            async with self._turn:
                await self._round()
            if not self._stop.is_set():
                await self._rest()

    async def stop(self, grace: float) -> None:
        """Claim nothing more; give back what is harmless to give back; let the rest finish for `grace` seconds."""
        deadline = asyncio.get_running_loop().time() + grace
        self._stop.set()
        self._signal.set()
        self._interrupt(Reason.STOPPED)
        for errand in self._errands:
            errand.cancel()
        await self._end_turn(deadline)
        await self._end_carries(deadline)
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._relay.close()

    async def _end_turn(self, deadline: float) -> None:
        """Wait for a claim under way: what it takes has to be given back before the outbox is closed."""
        try:
            async with asyncio.timeout_at(deadline), self._turn:
                pass
        except TimeoutError:
            log.error("a claim does not end", relay=self._relay.name)

    async def _end_carries(self, deadline: float) -> None:
        tasks = [carry.task for carry in self._carries if carry.task]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=max(deadline - asyncio.get_running_loop().time(), 0.0))
        for carry in list(self._carries):
            carry.interrupt(Reason.STOPPED)
        await asyncio.wait(tasks)

    async def _rest(self) -> None:
        pause = self._pause()
        try:
            async with asyncio.timeout(pause):
                await self._signal.wait()
        except TimeoutError:
            if pause >= IDLE:
                self._next_due = 0.0

    def _pause(self) -> float:
        now = self._now()
        times = [now + IDLE]
        # Without room the end of an attempt is what to wait for: a probe that is due meanwhile must not make this spin.
        if self._room() > 0:
            probe = self._fuse.next_probe
            if probe is not None:
                times.append(probe)
            elif self._next_due is not None and self._fuse.would_permit():
                times.append(self._next_due)
        return max(min(times) - now, 0.0)

    def _room(self) -> int:
        if self._recorder.waiting:
            return 0
        return min(self._relay.capacity, self._ramp) - len(self._carries)

    async def _round(self) -> None:
        try:
            while not self._stop.is_set() and await self._take():
                pass
        except OutboxError as error:
            log.error("cannot claim", relay=self._relay.name, error=str(error))
            self._next_due = 0.0
            await unless(self._stop, UNRECORDED_WAIT)

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
        jobs = (await self._outbox.claim(self._relay.name, limit=room, now=self._now(), ids=ids)).jobs
        self._begin(jobs, permit)
        if len(jobs) >= room:
            self._due_by(self._now())
        elif not self._offers:
            due = await self._outbox.next_due(self._relay.name)
            if due is not None:
                # What is due and could not be claimed has expired, and the keeper's next round ends it: looking again
                # at once, and again, would only be in its way.
                self._due_by(due if jobs else max(due, self._now() + EXPIRED_WAIT))
        return len(jobs) < room and bool(jobs or self._offers)

    def _due_by(self, due: float) -> None:
        self._next_due = due if self._next_due is None else min(self._next_due, due)

    async def _probe(self, permit: Permit) -> bool:
        try:
            jobs = (await self._outbox.claim(self._relay.name, limit=1, now=self._now(), probe=True)).jobs
        except BaseException:
            self._fuse.release(permit)
            raise
        self._begin(jobs, permit)
        if not jobs:
            self._errand(self._probe_without_mail(permit), f"probe {self._relay.name}")
        return False

    async def _probe_without_mail(self, permit: Permit) -> None:
        try:
            report = await self._relay.probe(progress=Progress())
        except BaseException:
            self._fuse.release(permit)
            raise
        verdict = report.verdicts[0]
        self._note(permit, report)
        log.info("probed", relay=self._relay.name, verdict=verdict.kind.value, text=verdict.text)

    def _errand(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _begin(self, jobs: Iterable[Job], permit: Permit) -> None:
        """Start the attempts; those whose permission ended while they were claimed only give their message back."""
        for job in jobs:
            carry = _Carry(job, permit)
            if self._stop.is_set():
                carry.reason = Reason.STOPPED
            elif not self._fuse.holds(permit):
                carry.reason = Reason.BREAKER_OPENED
            self._carries.add(carry)
            carry.task = asyncio.create_task(self._carry(carry), name=f"attempt {job.id}")
            carry.task.add_done_callback(partial(self._done, carry))

    def _done(self, carry: _Carry, task: asyncio.Task[None]) -> None:
        self._carries.discard(carry)
        self._signal.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt broke", relay=self._relay.name, message_id=carry.job.id, exc=task.exception())

    async def _carry(self, carry: _Carry) -> None:
        job, permit = carry.job, carry.permit
        carry.started = True
        with logs.bound(message_id=job.id, correlation_id=job.correlation_id, request_id=job.request_id):
            report = None
            if carry.reason is None:
                # An OutboxError: the disk could not note that the body is about to go, so it did not go.
                with suppress(asyncio.CancelledError, OutboxError):
                    report = await self._attempt(carry, fresh=permit.probe)
            if report is None:
                self._fuse.release(permit)
                await finished(self._interrupted(carry))
                return
            self._note(permit, report)
            await finished(self._record(job, report))

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
        except OutboxError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours: what became of the message is known all the same
            log.error("attempt failed inside", relay=self._relay.name, exc=error)
            text = f"emailhub: {type(error).__name__}"
            verdict = judge_failure(carry.progress.stage, text, body_sent=carry.progress.body_sent)
            report = Report(carry.progress.verdicts(len(job.recipients), verdict))
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
            self._ramp = min(self._ramp + 1, self._relay.capacity)

    async def _record(self, job: Job, report: Report) -> None:
        probe_at = self._fuse.next_probe
        due = await self._recorder.record(job, report, probe_at=probe_at, well_at=self._last_well)
        if due is not None:
            self._due_by(due)

    async def _interrupted(self, carry: _Carry) -> None:
        progress = carry.progress
        if progress.body_sent or progress.settled:
            await self._record(carry.job, cut_short(progress, len(carry.job.recipients)))
            return
        await self._recorder.give_back(carry.job, carry.reason or Reason.STOPPED)
        self.wake()

    def _breaker_changed(self, before: Snapshot, after: Snapshot) -> None:
        if after.phase is Phase.OPEN and before.phase is not Phase.OPEN:
            self._interrupt(Reason.BREAKER_OPENED)
            self._errand(self._relay.drop_idle(), f"drop idle {self._relay.name}")
        if after.phase is Phase.CLOSED and before.phase is not Phase.CLOSED:
            # All connections at once against a server that just came back would knock it over again.
            self._ramp = 1
            self._last_well = self._now()
        self.wake()

    def _interrupt(self, reason: Reason) -> None:
        current = asyncio.current_task()
        for carry in list(self._carries):
            if carry.task is not current and carry.harmless:
                carry.interrupt(reason)
