"""Attempts under way over one relay: carried, noted at the breaker and the limits, written down, interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from emailhub import logs
from emailhub.core.breaker import Permit, Phase
from emailhub.core.claiming import Claimed
from emailhub.core.delivery import OnUnknown, Policy, Reason
from emailhub.core.errors import OutboxError
from emailhub.core.judge import judge_failure
from emailhub.core.records import Job
from emailhub.core.verdict import Envelope, Kind, Progress, Report
from emailhub.engine.allowance import Allowance
from emailhub.engine.findings import cut_short, health_of
from emailhub.engine.fuse import Fuse
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay
from emailhub.engine.recorder import Recorder

_TROUBLES = (Kind.RELAY, Kind.SENDER)

log = logs.get("courier")


class Carry:
    """An attempt under way over `relay`; `on_body` is called when a body was handed over."""

    __slots__ = ("decided", "job", "landed", "permit", "progress", "reason", "relay", "started", "task")

    def __init__(self, job: Job, permit: Permit, relay: Relay, on_body: Callable[[], None] | None) -> None:
        self.job = job
        self.permit = permit
        self.relay = relay
        self.progress = Progress(on_body)
        self.reason: Reason | None = None
        self.started = False
        self.decided = False
        """What becomes of the message is known and is being written down."""
        self.landed = False
        self.task: asyncio.Task[None] | None = None

    @property
    def harmless(self) -> bool:
        """True while the whole message can be given back: nothing was delivered, and no answer would be forgotten."""
        return self.progress.harmless

    def interrupt(self, reason: Reason) -> None:
        """End the attempt; what follows is recorded by its own task."""
        self.reason = reason
        # A task cancelled before its first step runs none of its lines: the message would stay claimed for ever. And
        # one that has an answer has to write it down: what the relay has said is never forgotten.
        if self.started and not self.decided and self.task is not None:
            self.task.cancel()


class Seat:
    """A place kept for a message that is about to be stored. Whoever got it calls `leave` in the end in any case."""

    __slots__ = ("_carrier", "_permit")

    def __init__(self, carrier: Carrier, permit: Permit) -> None:
        self._carrier = carrier
        self._permit = permit

    def take(self, job: Job) -> None:
        """The message is stored, its attempt open: carry it."""
        self._carrier.seated(self, job, self._permit)

    def leave(self) -> None:
        """Give the place back, if it was not taken."""
        self._carrier.left(self, self._permit)


class Carrier:
    """Makes the attempts of one courier. `on_end` is called after each, `on_due` with the time something is due again.

    `relay` may be exchanged while it works: attempts that run end over the one they began with.
    """

    def __init__(
        self,
        relay: Relay,
        outbox: Outbox,
        fuse: Fuse,
        allowance: Allowance,
        *,
        policy: Policy,
        meter: Meter,
        now: Callable[[], float],
        jitter: Callable[[], float],
        stop: asyncio.Event,
        on_end: Callable[[], None],
        on_due: Callable[[float], None],
    ) -> None:
        self.relay = relay
        self.ramp = relay.capacity
        self._landings = 0
        """Attempts the relay was done with since the latest claim began."""
        self._claim_began = 0.0
        self._pace = 0.0
        """Attempts that ended, a second, between the two latest claims."""
        self._ahead = 0
        self.last_well = 0.0
        self._outbox = outbox
        self._fuse = fuse
        self._allowance = allowance
        self._meter = meter
        self._now = now
        self._stop = stop
        self._on_end = on_end
        self._on_due = on_due
        self._carries: set[Carry] = set()
        self._landed = 0
        self._seats: set[Seat] = set()
        self._all_left = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._recorder = Recorder(relay, outbox, policy=policy, meter=meter, now=now, jitter=jitter, stop=stop)

    @property
    def in_flight(self) -> int:
        return len(self._carries)

    @property
    def unrecorded(self) -> int:
        """Results that wait for the outbox to be writable again."""
        return self._recorder.waiting

    @property
    def room(self) -> int:
        """How many more attempts may begin."""
        if self._recorder.waiting:
            return 0
        # What has landed has given its connection back; bounded, as a crash would make all of it unknown.
        landed = min(self._landed, self.relay.capacity)
        # A relay that has just come back gets no queue in front of its few connections.
        ahead = self._ahead if self.ramp >= self.relay.capacity else 0
        return min(self.relay.capacity, self.ramp) + ahead + landed - len(self._carries) - len(self._seats)

    def claim_begins(self) -> None:
        """A claim is about to be stored."""
        now = self._now()
        self._pace = self._landings / (now - self._claim_began) if now > self._claim_began else 0.0
        self._claim_began, self._landings = now, 0

    def claim_ends(self) -> None:
        """It is stored: the next ones claim ahead as many as end in the time one takes.

        Connections would otherwise wait for the disk. With a slow relay next to nothing ends meanwhile, and nothing is
        claimed that a crash would leave as if it might have been sent.
        """
        usual = round(self._pace * max(self._now() - self._claim_began, 0.0))
        self._ahead = min(max(usual, self._landings, self._ahead - 1), self.relay.capacity)

    def begin(self, jobs: Iterable[Job], permit: Permit) -> None:
        """Start the attempts; those whose permission ended while they were claimed only give their message back."""
        for job in jobs:
            carry = Carry(job, permit, self.relay, None if self._allowance.free else partial(self._handed, job))
            if self._stop.is_set():
                carry.reason = Reason.STOPPED
            elif not self._fuse.holds(permit):
                carry.reason = Reason.BREAKER_OPENED
            self._carries.add(carry)
            carry.task = asyncio.create_task(self._carry(carry), name=f"attempt {job.id}")
            carry.task.add_done_callback(partial(self._done, carry))

    def seat(self, permit: Permit) -> Seat:
        """Keep a place for a message that is being accepted."""
        seat = Seat(self, permit)
        self._seats.add(seat)
        return seat

    def seated(self, seat: Seat, job: Job, permit: Permit) -> None:
        """Start the attempt of a message that was stored for `seat`."""
        self._seats.discard(seat)
        self._allowance.claimed(Claimed(jobs=[job]))
        self.begin([job], permit)

    def left(self, seat: Seat, permit: Permit) -> None:
        """The seat is free again, if it was not taken."""
        if seat in self._seats:
            self._seats.discard(seat)
            self._fuse.release(permit)
            self._on_end()
        if not self._seats:
            self._all_left.set()

    def probe(self, permit: Permit) -> None:
        """Ask the relay how it is, without a message."""
        self.errand(self._probe(permit), f"probe {self.relay.name}")

    async def _probe(self, permit: Permit) -> None:
        try:
            report = await self.relay.probe(progress=Progress())
        except BaseException:
            self._fuse.release(permit)
            raise
        verdict = report.verdicts[0]
        self._note(permit, report, message=False)
        log.info("probed", relay=self.relay.name, verdict=verdict.kind.value, text=verdict.text)

    def errand(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the attempts; cancelled when the courier stops."""
        task = asyncio.create_task(work, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def interrupt(self, reason: Reason) -> None:
        """Give back what can be given back without harm."""
        current = asyncio.current_task()
        for carry in list(self._carries):
            if carry.task is not current and carry.harmless:
                carry.interrupt(reason)

    async def exchange(self, relay: Relay) -> None:
        """Begin attempts over `relay` from now on; returns when those over the old one have ended and it is closed."""
        old, self.relay = self.relay, relay
        self.ramp = relay.capacity
        self._recorder.relay = relay
        tasks = [carry.task for carry in self._carries if carry.relay is old and carry.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        await old.close()

    async def end(self, deadline: float) -> None:
        """Let the attempts finish until `deadline` (the loop's time), then interrupt them; errands end at once."""
        for errand in self._errands:
            errand.cancel()
        await self._end_seats(deadline)
        await self._end_carries(deadline)
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self.relay.close()

    async def _end_seats(self, deadline: float) -> None:
        """Wait for what is being stored: what sets out then is to be given back before the outbox is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._seats:
                    self._all_left.clear()
                    await self._all_left.wait()

    async def _end_carries(self, deadline: float) -> None:
        tasks = [carry.task for carry in self._carries if carry.task]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=max(deadline - asyncio.get_running_loop().time(), 0.0))
        for carry in list(self._carries):
            carry.interrupt(Reason.STOPPED)
        await asyncio.wait(tasks)

    def _handed(self, job: Job) -> None:
        """The body is on its way: a rate goes on from here, however long the answer takes."""
        if self._allowance.handed(job):
            self._on_end()

    def _land(self, carry: Carry) -> None:
        """The relay is done with the message; what remains is to write down what it said."""
        carry.landed = True
        self._landed += 1
        self._landings += 1
        self._on_end()

    def _done(self, carry: Carry, task: asyncio.Task[None]) -> None:
        self._carries.discard(carry)
        self._landed -= carry.landed
        self._on_end()
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt broke", relay=self.relay.name, message_id=carry.job.id, exc=task.exception())

    async def _carry(self, carry: Carry) -> None:
        job, permit = carry.job, carry.permit
        carry.started = True
        with logs.bound(message_id=job.id, correlation_id=job.correlation_id, request_id=job.request_id):
            report = None
            if carry.reason is None:
                # An OutboxError: the disk could not note that the body is about to go, so it did not go.
                with suppress(asyncio.CancelledError, OutboxError):
                    report = await self._attempt(carry, fresh=permit.probe)
            carry.decided = True
            if report is None:
                self._fuse.release(permit)
                await self._interrupted(carry)
                return
            self._note(permit, report)
            self._allowance.ended(job, report)
            self._land(carry)
            await self._record(job, report)

    async def _attempt(self, carry: Carry, *, fresh: bool) -> Report:
        job, started = carry.job, self._now()
        envelope = Envelope(job.id, job.sender, tuple(r.address for r in job.recipients), job.content, job.smtputf8)
        cautious = job.on_unknown is not OnUnknown.RETRY
        try:
            report = await carry.relay.attempt(
                envelope,
                fresh=fresh,
                progress=carry.progress,
                before_body=partial(self._mark_body, job) if cautious else None,
            )
        except OutboxError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours: what became of the message is known all the same
            log.error("attempt failed inside", relay=self.relay.name, exc=error)
            text = f"emailhub: {type(error).__name__}"
            verdict = judge_failure(carry.progress.stage, text, body_sent=carry.progress.body_sent)
            report = Report(carry.progress.verdicts(len(job.recipients), verdict))
        for kind in {verdict.kind for verdict in report.verdicts}:
            self._meter.attempt(self.relay.name, kind.value, self._now() - started)
        return report

    async def _mark_body(self, job: Job) -> None:
        await self._outbox.mark_body(job, self._now())

    def _note(self, permit: Permit, report: Report, *, message: bool = True) -> None:
        signal, cause, at_mail = health_of(report)
        before = self._fuse.snapshot.phase
        self._fuse.record(permit, signal, cause, at_mail=at_mail and message)
        if self._fuse.snapshot.phase is Phase.CLOSED and before is Phase.CLOSED and cause == "":
            self.last_well = self._now()
            self.ramp = min(self.ramp + 1, self.relay.capacity)

    async def _record(self, job: Job, report: Report) -> None:
        probe_at, elsewhere = self._fuse.next_probe, False
        if any(verdict.kind in _TROUBLES for verdict in report.verdicts):
            probe_at = self._allowance.not_before(job, report, probe_at)
            elsewhere = self._allowance.elsewhere(job) is not None
        due = await self._recorder.record(job, report, probe_at=probe_at, well_at=self.last_well, elsewhere=elsewhere)
        self._allowance.recorded(report)
        if due is not None:
            self._on_due(due)

    async def _interrupted(self, carry: Carry) -> None:
        progress = carry.progress
        if progress.body_sent or progress.settled:
            report = cut_short(progress, len(carry.job.recipients))
            self._allowance.ended(carry.job, report)
            await self._record(carry.job, report)
            return
        self._allowance.ended(carry.job, None)
        await self._recorder.give_back(carry.job, carry.reason or Reason.STOPPED)
        self._on_due(0.0)
