"""What the courier of one relay may take now: its limits, its suspended senders, turns, and whose mail besides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext

from emailhub.core.breaker import Permit, Phase, Snapshot
from emailhub.core.claiming import ANY, Claimed, Position, Terms
from emailhub.core.limits import Flight, Limiter, words
from emailhub.core.records import Job
from emailhub.core.routing import Route
from emailhub.core.turns import Gate, Spare, Turn, first_of
from emailhub.core.verdict import Kind, Report
from emailhub.engine.cover import Cover, Duty, Standing
from emailhub.engine.suspensions import Suspensions

_TAKEN = (Kind.ACCEPTED, Kind.UNKNOWN)
PROBED = 2
"""A message that met so much trouble is no probe while another relay can carry it."""
_NOBODY = nullcontext()


class Gates:
    """The turns at recipients' domains, for all relays together."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._gates: tuple[Gate, ...] = ()
        self._inside: dict[int, list[tuple[Gate, Flight, float]]] = {}
        self._turn = asyncio.Lock()

    def __bool__(self) -> bool:
        """Whether any domain is spared."""
        return bool(self._gates)

    def change(self, spares: Iterable[Spare]) -> None:
        """Other rules; what is under way goes on under its own."""
        known = {gate.spare: gate for gate in self._gates}
        self._gates = tuple(known.get(spare) or Gate(spare, self._now()) for spare in spares)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """To be held while one claim uses the gates: two at a time would use the same free places twice."""
        return self._turn if self._gates else _NOBODY

    def turns(self) -> list[Turn]:
        """What one claim may use of each domain now."""
        now = self._now()
        return [gate.turn(now) for gate in self._gates]

    def claimed(self, claimed: Claimed) -> None:
        """Who goes, and who was put off."""
        now = self._now()
        for gate in self._gates:
            gate.queued(wait for wait in claimed.waits if wait.domain == gate.spare.domain)
        for job in claimed.jobs:
            self._enter(job, now)

    def _enter(self, job: Job, now: float) -> None:
        inside: dict[Gate, list[int]] = {}
        for recipient in job.recipients:
            gate = first_of(self._gates, recipient.address)
            if gate is not None:
                inside.setdefault(gate, []).append(recipient.id)
        for gate, ids in inside.items():
            flight = gate.begin(ids, now)
            self._inside.setdefault(job.attempt_id, []).append((gate, flight, now))

    def handed(self, job: Job) -> None:
        """The body was handed over."""
        for gate, flight, _ in self._inside.get(job.attempt_id, ()):
            gate.hand(flight, self._now())

    def ended(self, job: Job) -> None:
        """The attempt is over."""
        now = self._now()
        for gate, flight, since in self._inside.pop(job.attempt_id, ()):
            gate.end(flight, now, now - since)


class Allowance:
    """See the module. Without limits, suspensions, gates and cover everything may go.

    `wake(names)` tells the couriers of other relays that they got mail.
    """

    def __init__(
        self,
        relay: str,
        *,
        now: Callable[[], float],
        limiter: Limiter | None = None,
        suspensions: Suspensions | None = None,
        gates: Gates | None = None,
        cover: Cover | None = None,
        route: Route | None = None,
        wake: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        self.limiter = limiter or Limiter()
        self.suspensions = suspensions
        self.route = route or Route(name=relay)
        self._relay = relay
        self._now = now
        self._gates = gates or Gates(now)
        self._cover = cover
        self._wake = wake
        self._flights: dict[int, Flight] = {}
        self._wanted = 0
        self._down: float | None = None

    @property
    def cover(self) -> Cover | None:
        return self._cover

    def duties(self) -> tuple[Duty, ...]:
        """Whose mail is to be carried beside the own."""
        return self._cover.duties(self._relay) if self._cover is not None else ()

    def open(self) -> bool:
        """Whether the limits let anything go now."""
        if not self.limiter:
            return True
        now = self._now()
        return self.limiter.fits(self._wanted, now) if self._wanted else self.limiter.allowance(now) > 0

    @property
    def free(self) -> bool:
        """Whether no limit, no suspension and no domain's turn has to be asked for the relay's own mail."""
        return not (self.limiter or self._gates or self.suspensions)

    def opens_at(self) -> float | None:
        """When the limits let something go; None when that depends on what is under way."""
        now = self._now()
        return self.limiter.next_free(self._wanted, now) if self._wanted else self.limiter.batch(now)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """To be held from `terms` to `claimed`."""
        return self._gates.turn()

    def terms(self, duty: Duty | None = None, *, after: Position | None = None, probe: Permit | None = None) -> Terms:
        """What may be claimed now, of the own mail (with `probe`: as the one probe) or of that the `duty` is about."""
        limited, spared = bool(self.limiter), bool(self._gates)
        suspended = duty is None and self.suspensions is not None and bool(self.suspensions)
        # Others carry its mail meanwhile: no message shall wait because every probe takes just that one.
        # But where only a message can tell that the trouble is over, one that an unknown outcome pins here has to do.
        covered = (
            probe is not None
            and not probe.message
            and self._cover is not None
            and self._cover.covered(self._relay) is not None
        )
        if duty is None and not (limited or spared or suspended or covered):
            return ANY
        now = self._now()
        return Terms(
            budget=self.limiter.allowance(now) if limited else None,
            largest=self._wanted,
            home=duty.home if duty else None,
            why=duty.why if duty else "",
            fits=duty.fits if duty else None,
            late=duty.late if duty else 0.0,
            after=after,
            stays=self.suspensions.stays(self._elsewhere, probe=probe is None)
            if suspended and self.suspensions is not None
            else {},
            troubles=PROBED if covered else None,
            turns=self._gates.turns() if spared else (),
        )

    def claimed(self, claimed: Claimed, duty: Duty | None = None) -> None:
        """What was claimed on these terms."""
        now = self._now()
        self._wanted = claimed.wanted
        for job in claimed.jobs:
            self._flights[job.attempt_id] = self.limiter.begin(len(job.recipients), now)
        if self._gates:
            self._gates.claimed(claimed)
        if self.suspensions and duty is None:
            for job in claimed.jobs:
                self.suspensions.claimed(job)
        if duty is not None and claimed.jobs and self._cover is not None:
            self._cover.carried(duty.home, self._relay)
        if claimed.moved:
            self._wake(claimed.moved)

    def handed(self, job: Job) -> bool:
        """The body was handed over; whether a limit may let more go because of that."""
        if (flight := self._flights.get(job.attempt_id)) is not None:
            self.limiter.hand(flight, self._now())
        self._gates.handed(job)
        return bool(self.limiter)

    def ended(self, job: Job, report: Report | None) -> None:
        """What the attempt found out; None: the message was given back."""
        count = len(job.recipients)
        taken = sum(verdict.kind in _TAKEN for verdict in report.verdicts) if report else 0
        self.limiter.end(self._flights.pop(job.attempt_id), self._now(), tried=count if report else 0, taken=taken)
        self._gates.ended(job)
        if self.suspensions is not None:
            self.suspensions.ended(job, report)

    def elsewhere(self, job: Job) -> str | None:
        """Another relay that may carry the message, and can."""
        return self._elsewhere(job.domain)

    def not_before(self, job: Job, report: Report, probe_at: float | None) -> float | None:
        """The time before which trying again is of no use: the next probe of what was refused; None: any time.

        No reason to wait for this relay when another one can carry the message.
        """
        if self.elsewhere(job) is not None:
            return None
        if self.suspensions is not None and any(verdict.kind is Kind.SENDER for verdict in report.verdicts):
            return self.suspensions.next_try(job.domain)
        return probe_at

    def standing(self, breaker: Snapshot) -> Standing:
        """How the relay stands, for those that may have to stand in."""
        suspended = self.suspensions.domains if self.suspensions is not None else frozenset[str]()
        if breaker.phase is Phase.CLOSED:
            self._down = None
        elif self._down is None:
            # Not `since` of now: probing in between is not sending.
            self._down = breaker.since
        if self._down is not None:
            cause, ready = cause_of(breaker), breaker.ready
            return Standing(carrying=False, ready=ready, since=self._down, cause=cause, suspended=suspended)
        reached = self.limiter.reached_since(self._now()) if self.limiter else None
        if reached is not None:
            return Standing(carrying=False, limited=True, since=reached, cause=self._reached(), suspended=suspended)
        return Standing(suspended=suspended)

    def recorded(self, report: Report) -> None:
        """What the attempt found out is stored."""
        if self._cover is not None and any(verdict.kind is Kind.RELAY for verdict in report.verdicts):
            self._cover.troubled()

    def changed(self) -> None:
        """Something about the relay changed that others may have to answer to."""
        if self._cover is not None:
            self._cover.changed()

    def _reached(self) -> str:
        full = [limit for limit in self.limiter.status(self._now()) if limit.used >= limit.limit * 0.95]
        return f"its limit of {words(full[-1])} is reached" if full else "its limit is reached"

    def _elsewhere(self, domain: str) -> str | None:
        return self._cover.elsewhere(self._relay, domain) if self._cover is not None else None


def cause_of(breaker: Snapshot) -> str:
    """Why a relay does not send, in a few words."""
    if breaker.actor:
        return f"stopped by {breaker.actor}" + (f": {breaker.note}" if breaker.note else "")
    return breaker.cause or "its breaker is open"
