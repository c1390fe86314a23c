"""Writes down what the attempts of one relay found out, however long the disk takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from emailhub import logs
from emailhub.core.delivery import Policy, Reason, State
from emailhub.core.errors import OutboxError
from emailhub.core.records import Job, Result
from emailhub.core.verdict import Kind, Report
from emailhub.engine.findings import outcomes
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay

UNRECORDED_WAIT = 1.0
"""Seconds between tries to write what could not be written."""
_CALM = (State.SENT, State.DEFERRED, State.CANCELED, State.SUPPRESSED)

log = logs.get("courier")


class Recorder:
    """Records results for the courier. Once `stop` is set, what cannot be written is left to the next start."""

    def __init__(
        self,
        relay: Relay,
        outbox: Outbox,
        *,
        policy: Policy,
        meter: Meter,
        now: Callable[[], float],
        jitter: Callable[[], float],
        stop: asyncio.Event,
    ) -> None:
        self.relay = relay
        self._outbox = outbox
        self._policy = policy
        self._meter = meter
        self._now = now
        self._jitter = jitter
        self._stop = stop
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Results that wait for the outbox to be writable again."""
        return self._waiting

    async def record(
        self, job: Job, report: Report, *, probe_at: float | None, well_at: float, elsewhere: bool = False
    ) -> float | None:
        """Write the outcome for every recipient; returns when the first of them is due again.

        `well_at` is when the relay last answered as it should, `probe_at` before when trouble is not tried again,
        `elsewhere` that another relay may carry the message.
        """
        results = outcomes(
            job,
            report,
            policy=self._policy,
            now=self._now(),
            jitter=self._jitter,
            probe_at=probe_at,
            relay_well_at=well_at,
            captured=self.relay.captures,
            elsewhere=elsewhere,
        )
        applied = await self._persist(lambda: self._outbox.record(job, results, report, self._now()))
        self._tell(job, applied)
        return min((r.outcome.due_at for r in applied if r.outcome.due_at is not None), default=None)

    async def give_back(self, job: Job, reason: Reason) -> None:
        """Nothing that could deliver the message was sent: it is as if it had not been claimed."""
        applied = await self._persist(lambda: self._outbox.release(job, reason, self._now()))
        wished = tuple(result for result in applied if result.outcome.to is not State.QUEUED)
        if len(wished) < len(applied):
            log.info("given back", relay=self.relay.name, reason=reason.value)
        self._tell(job, wished)

    async def _persist(self, write: Callable[[], Awaitable[tuple[Result, ...]]]) -> tuple[Result, ...]:
        waiting = False
        try:
            while True:
                try:
                    return await write()
                except OutboxError as error:
                    if not waiting:
                        waiting = True
                        self._waiting += 1
                        log.error("result not recorded, sending stops", relay=self.relay.name, error=str(error))
                    if self._stop.is_set():
                        # The row stays `sending`; the next start treats it as unknown, which is the truth.
                        return ()
                    await unless(self._stop, UNRECORDED_WAIT)
        finally:
            self._waiting -= waiting

    def _tell(self, job: Job, results: Sequence[Result]) -> None:
        for result in results:
            count(self._meter, self.relay.name, result)
            if result.outcome.to is State.SENT:
                self._meter.time_to_send(self._now() - job.accepted_at)
            calm = result.outcome.to in _CALM and result.outcome.reason is not Reason.SENDER_TROUBLE
            (log.info if calm else log.warning)(
                result.outcome.to.value,
                relay=self.relay.name,
                recipient=next(r.address for r in job.recipients if r.id == result.recipient_id),
                attempt=job.number,
                reason=result.outcome.reason.value,
                stage=result.stage.value,
                reply=result.text,
                next_try=result.outcome.due_at,
            )


def count(meter: Meter, relay: str, result: Result) -> None:
    """Count what became of a recipient over `relay`."""
    meter.recipient(result.outcome.to, result.outcome.reason)
    if result.kind == Kind.UNKNOWN:
        meter.unknown(relay)


async def unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not into the time in which the process has to end."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
