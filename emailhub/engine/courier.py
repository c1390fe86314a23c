"""The courier of one relay: takes what is due, carries it, records what became of it.

It never claims more than the relay has free connections, or will have by the time the claim is stored, and its limits
allow; nothing while the breaker is open, and nothing while an earlier result could not be recorded: a message that was
sent and not recorded would be sent again.
After its own mail it carries that of relays which cannot, when it is the one to stand in for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from emailhub import logs
from emailhub.core.breaker import Permit, Phase, Snapshot
from emailhub.core.claiming import Claimed, Position
from emailhub.core.delivery import Policy, Reason
from emailhub.core.errors import OutboxError
from emailhub.engine.allowance import Allowance
from emailhub.engine.carrying import Carrier, Seat
from emailhub.engine.cover import Duty
from emailhub.engine.fuse import Fuse
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay
from emailhub.engine.recorder import UNRECORDED_WAIT, unless

OFFERS = 20_000
"""Handed-off ids kept in memory; those beyond it are due by themselves a few seconds later."""
OFFERED = 100
"""Of these so many are looked at for a probe."""
EXPIRED_WAIT = 1.0
NOTHING_WAIT = 1.0
"""Seconds until mail of another relay is looked for again where none was found."""
IDLE = 30.0
"""Longest sleep in seconds without a signal: a safety net against a wake that was never sent."""

log = logs.get("courier")


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
        allowance: Allowance | None = None,
    ) -> None:
        self._name = relay.name
        self._outbox = outbox
        self._fuse = fuse
        self._now = now
        self._offers: deque[str] = deque(maxlen=OFFERS)
        self._signal = asyncio.Event()
        self._next_due: float | None = 0.0
        self._look_at = 0.0
        """When mail of other relays is looked for next."""
        self._places: dict[str, Position] = {}
        self._stop = asyncio.Event()
        self._turn = asyncio.Lock()
        self._allowance = allowance or Allowance(relay.name, now=now)
        self._carrier = Carrier(
            relay,
            outbox,
            fuse,
            self._allowance,
            policy=policy,
            meter=meter,
            now=now,
            jitter=jitter,
            stop=self._stop,
            on_end=self._signal.set,
            on_due=self._due_by,
        )
        fuse.on_change = self._breaker_changed

    @property
    def in_flight(self) -> int:
        return self._carrier.in_flight

    @property
    def unrecorded(self) -> int:
        """Results that wait for the outbox to be writable again."""
        return self._carrier.unrecorded

    @property
    def last_well(self) -> float | None:
        """When the relay last accepted or refused something by itself, which shows it is well."""
        return self._carrier.last_well or None

    def offer(self, ids: Iterable[str]) -> None:
        """Fresh messages handed over by RabbitMQ: claim them now rather than when they are due by themselves."""
        self._offers.extend(ids)
        self._signal.set()

    def wake(self) -> None:
        """Something may be due: look."""
        self._next_due = 0.0
        self._look_at = 0.0
        self._signal.set()

    def seat(self) -> Seat | None:
        """A place for a message that is being accepted, when it would go at once anyhow; None: it waits in line."""
        if self._stop.is_set() or self._turn.locked() or self._anything_due() or not self._allowance.free:
            return None
        permit = self._fuse.permit() if self._carrier.room > 0 else None
        return self._carrier.seat(permit) if permit is not None else None

    async def exchange(self, relay: Relay) -> None:
        """Carry over `relay`, of the same name, from now on; returns when the old one is closed."""
        self.wake()
        await self._carrier.exchange(relay)

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
        self._carrier.interrupt(Reason.STOPPED)
        await self._end_turn(deadline)
        await self._carrier.end(deadline)

    async def _end_turn(self, deadline: float) -> None:
        """Wait for a claim under way: what it takes has to be given back before the outbox is closed."""
        try:
            async with asyncio.timeout_at(deadline), self._turn:
                pass
        except TimeoutError:
            log.error("a claim does not end", relay=self._name)

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
        if self._carrier.room > 0:
            probe = self._fuse.next_probe
            if probe is not None:
                times.append(probe)
            elif self._fuse.would_permit() and (due := self._next_claim()) is not None:
                times.append(due)
        return max(min(times) - now, 0.0)

    def _next_claim(self) -> float | None:
        """When there is something to claim that the limits let go; None: only a signal can tell."""
        times = [] if self._next_due is None else [self._next_due]
        if self._offers:
            times.append(self._now())
        if self._duties():
            times.append(self._look_at)
        if not times or self._allowance.open():
            return min(times, default=None)
        opens = self._allowance.opens_at()
        return None if opens is None else max(min(times), opens)

    async def _round(self) -> None:
        try:
            while not self._stop.is_set() and await self._take():
                pass
        except OutboxError as error:
            log.error("cannot claim", relay=self._name, error=str(error))
            self._next_due = 0.0
            await unless(self._stop, UNRECORDED_WAIT)

    async def _take(self) -> bool:
        """Claim and start what there is room for; True when there may be more to take at once."""
        room = self._carrier.room
        own, duties = self._anything_due(), self._duties_due()
        if room <= 0 or not (own or duties) or not self._fuse.would_permit():
            return False
        if not self._allowance.open() and self._fuse.snapshot.phase is Phase.CLOSED:
            return False
        permit = self._fuse.permit()
        if permit is None:
            return False
        if permit.probe:
            return await self._probe(permit)
        if own and await self._claim(permit, room):
            return True
        return bool(duties) and await self._relieve(permit, duties)

    def _anything_due(self) -> bool:
        breaker = self._fuse.snapshot
        if self._offers or (breaker.phase is not Phase.CLOSED and not breaker.ready):
            return True
        return self._next_due is not None and self._next_due <= self._now()

    def _duties(self) -> tuple[Duty, ...]:
        # One that has to prove itself by the next message of its own carries nothing for others.
        return self._allowance.duties() if self._fuse.snapshot.phase is Phase.CLOSED else ()

    def _duties_due(self) -> tuple[Duty, ...]:
        return self._duties() if self._look_at <= self._now() else ()

    async def _claim(self, permit: Permit, room: int) -> bool:
        ids = [self._offers.popleft() for _ in range(min(room, len(self._offers)))]
        # Set before the claim: a `wake` that arrives while it runs must not be overwritten by its answer.
        self._next_due = None
        self._carrier.claim_begins()
        async with self._allowance.turn():
            terms = self._allowance.terms()
            claimed = await self._outbox.claim(self._name, limit=room, now=self._now(), ids=ids, terms=terms)
            self._allowance.claimed(claimed)
        self._carrier.claim_ends()
        self._carrier.begin(claimed.jobs, permit)
        if len(claimed.jobs) >= room or claimed.wanted or claimed.after is not None:
            self._due_by(self._now())
        elif not self._offers:
            await self._look_when_due(none=not claimed.jobs)
        more = claimed.jobs or self._offers or claimed.after is not None
        return len(claimed.jobs) < room and bool(more) and not claimed.wanted

    async def _look_when_due(self, *, none: bool) -> None:
        """Look again when the next message is due; `none` could be claimed now."""
        due, now = await self._outbox.next_due(self._name), self._now()
        if due is not None:
            # What is due and could not be claimed has expired, and the keeper's next round ends it: looking again at
            # once, and again, would only be in its way.
            self._due_by(now + EXPIRED_WAIT if none and due <= now else due)

    def _due_by(self, due: float) -> None:
        self._next_due = due if self._next_due is None else min(self._next_due, due)

    async def _relieve(self, permit: Permit, duties: Iterable[Duty]) -> bool:
        """Carry mail of relays that cannot. True when there may be more to take at once."""
        more = False
        for duty in duties:
            room = self._carrier.room
            if room <= 0 or not self._allowance.open():
                return False
            claimed = await self._claim_of(duty, room)
            self._carrier.begin(claimed.jobs, permit)
            more = more or bool(claimed.jobs) or claimed.after is not None
        if not more:
            self._look_at = self._now() + NOTHING_WAIT
        return more

    async def _claim_of(self, duty: Duty, room: int) -> Claimed:
        async with self._allowance.turn():
            terms = self._allowance.terms(duty, after=self._places.pop(duty.home, None))
            claimed = await self._outbox.claim(self._name, limit=room, now=self._now(), terms=terms)
            self._allowance.claimed(claimed, duty)
        if claimed.after is not None:
            self._places[duty.home] = claimed.after
        return claimed

    async def _probe(self, permit: Permit) -> bool:
        # As for a claim: a `wake` that arrives while it runs is not to be overwritten by its answer.
        self._next_due = None
        try:
            claimed = await self._claim_probe(permit)
        except BaseException:
            self._fuse.release(permit)
            raise
        self._carrier.begin(claimed.jobs, permit)
        if claimed.jobs:
            return False
        if permit.message:
            self._fuse.release(permit)
            await self._look_when_due(none=True)
        else:
            self._carrier.probe(permit)
        return False

    async def _claim_probe(self, permit: Permit) -> Claimed:
        if not self._allowance.open():
            return Claimed()
        ids = [self._offers.popleft() for _ in range(min(OFFERED, len(self._offers)))]
        async with self._allowance.turn():
            terms = self._allowance.terms(probe=permit)
            claimed = await self._outbox.claim(self._name, limit=1, now=self._now(), ids=ids, probe=True, terms=terms)
            self._allowance.claimed(claimed)
        if claimed.jobs:
            self._offers.extendleft(reversed([id for id in ids if id != claimed.jobs[0].id]))
        return claimed

    def _breaker_changed(self, before: Snapshot, after: Snapshot) -> None:
        if after.phase is Phase.OPEN and before.phase is not Phase.OPEN:
            self._carrier.interrupt(Reason.BREAKER_OPENED)
            self._carrier.errand(self._carrier.relay.drop_idle(), f"drop idle {self._name}")
        if after.phase is Phase.CLOSED and before.phase is not Phase.CLOSED:
            # All connections at once against a server that just came back would knock it over again.
            self._carrier.ramp = 1
            self._carrier.last_well = self._now()
        self._allowance.changed()
        self.wake()
