"""The day before the demo began: the same outbox, intake and verdicts as ever, only with a clock that runs ahead."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from random import Random

from emailhub.adapters.sqlite import Database, SqliteOutbox
from emailhub.adapters.sqlite.suppressions import SqliteSuppressions
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.adapters.sqlite.verbs import SqliteVerbs
from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import OnUnknown, Policy
from emailhub.core.message import Limits, Mailbox, Submission
from emailhub.core.records import DeadLetter, Job, Origin, Scalar
from emailhub.core.suppression import Listing, SuppressionOrigin
from emailhub.core.verdict import Envelope, Progress
from emailhub.demo.mail import KINDS, NEWS, PARTNER, Mail
from emailhub.demo.relays import HOUR, ROLES, PretendRelay
from emailhub.engine.findings import outcomes
from emailhub.engine.intake import Defaults, Intake
from emailhub.engine.meter import Meter
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker

_TRIES = 5
"""Attempts a relay in trouble gets before its breaker opens."""
_ACTOR = "ada"
_SUPPRESSED = {
    "bounced@example.org": (SuppressionOrigin.BOUNCE, "550 5.1.1 user unknown, since May"),
    "complained@example.net": (SuppressionOrigin.COMPLAINT, "reported the newsletter to the provider"),
    "left@example.org": (SuppressionOrigin.UNSUBSCRIBE, "wrote to support"),
}
_UNREADABLE = (
    (b"\xff\xfe\x00\x01", "unreadable: it is not UTF-8; publish JSON in UTF-8"),
    (
        b'{"to": "ada@example", "subject": "Your order", "body": "It is on its way."}',
        "invalid: to: needs a full domain",
    ),
    (b'{"to": "ada@example.org", "subject": "Half a mes', "unreadable: it is not JSON: Input data was truncated"),
)


class Past:
    """Writes the `hours` until `start` (unix seconds) into a new outbox; at the end `per_minute` messages came in."""

    def __init__(self, database: Database, random: Random, start: float, per_minute: float, hours: float = 24) -> None:
        self._start, self._random, self._per_minute = start, random, per_minute
        self._at = start - hours * HOUR
        self._mail = Mail(random)
        self._outbox = SqliteOutbox(database, dead_letters=False)
        self._verbs = SqliteVerbs(database, dead_letters=False)
        self._upkeep = SqliteUpkeep(database)
        self._listed = SqliteSuppressions(database)
        self._relays = {role.name: PretendRelay(role, random, lambda: self._at - start, pause=False) for role in ROLES}
        self._well = {role.name: True for role in ROLES}
        self._tries = dict.fromkeys(self._well, 0)
        self._intake = Intake(
            self._outbox,
            NoBroker(),
            wake=lambda _: None,
            room=Room(10**9, 0, free_disk=10**15),
            limits=Limits(),
            defaults=Defaults(Mailbox("shop@example.com", "Shop"), "gmail"),
            meter=Meter(),
            now=lambda: self._at,
            entropy=random.randbytes,
            home=self._home,
        )

    async def write(self) -> None:
        """All of it, in the order of time."""
        await self._suppress()
        for step in self._steps():
            await self._turns()
            await self._send(step)
            self._at += step
            await self._carry()
        self._at = self._start
        while await self._upkeep.count_times(self._start):
            pass
        await self._stand_still()

    def _steps(self) -> Iterator[float]:
        """Seconds from one look to the next: coarse long ago, by the minute where the chart shows minutes."""
        while self._at < self._start - 60:
            yield min(300.0 if self._at < self._start - 2.5 * HOUR else 60.0, self._start - self._at)

    def _home(self, domain: str) -> str:
        if domain == PARTNER:
            return "partner"
        if domain == NEWS:
            return "ses"
        return "gmail" if self._well["gmail"] else "ses"

    async def _suppress(self) -> None:
        listings = [Listing(who, why, note) for who, (why, note) in _SUPPRESSED.items()]
        await self._listed.add(listings, now=self._at, face="dashboard", actor=_ACTOR)

    async def _send(self, step: float) -> None:
        """What came in during the next `step` seconds: little at night, most by now."""
        age = (self._start - self._at) / HOUR
        rate = self._per_minute * (0.12 + 0.88 * math.exp(-((age / 1.6) ** 2)) + 0.05 * math.sin(age * 2.1))
        count = round(max(rate, 0.2) * step / 60 * self._random.uniform(0.7, 1.3))
        items = [(*self._mail.next(), None) for _ in range(count)]
        self._at += step - 0.05
        await self._intake.accept_many(items)
        self._at -= step - 0.05

    async def _carry(self) -> None:
        for name, relay in self._relays.items():
            limit = 500 if relay.trouble is None else _TRIES - self._tries[name]
            jobs = (await self._outbox.claim(name, limit=limit, now=self._at)).jobs if limit > 0 else []
            await asyncio.gather(*(self._attempt(relay, job) for job in jobs))
            self._tries[name] = 0 if relay.trouble is None else self._tries[name] + len(jobs)

    async def _attempt(self, relay: PretendRelay, job: Job) -> None:
        progress = Progress()
        envelope = Envelope(job.id, job.sender, tuple(one.address for one in job.recipients), job.content)
        report = await relay.attempt(envelope, fresh=False, progress=progress, before_body=None)
        finished = self._at + min(self._random.lognormvariate(-2.0, 0.7), 20.0)
        results = outcomes(
            job,
            report,
            policy=Policy(),
            now=finished,
            jitter=lambda: self._random.uniform(-1, 1),
            probe_at=None,
            relay_well_at=finished,
            captured=False,
        )
        await self._outbox.record(job, results, report, finished)

    async def _turns(self) -> None:
        """The breakers open and close as their relays fall ill and get well."""
        for role in ROLES:
            trouble = role.trouble(self._at - self._start)
            if self._well[role.name] is not (trouble is None):
                self._well[role.name] = trouble is None
                await self._turn(role.name, trouble.text if trouble else "")

    async def _turn(self, relay: str, cause: str) -> None:
        snapshot = Snapshot(since=self._at)
        if cause:
            snapshot = Snapshot(
                phase=Phase.OPEN,
                epoch=1,
                failures=5,
                openings=1,
                since=self._at,
                cause=cause,
                probe_at=self._start + 42,
                trouble_since=self._at,
            )
        data: dict[str, Scalar] = {"phase": snapshot.phase.value, "mode": Mode.AUTO.value, "text": cause}
        event = "breaker_opened" if cause else "breaker_closed"
        await self._upkeep.save_breaker(relay, snapshot, self._at, event, data)

    async def _stand_still(self) -> None:
        """One or more in every state in which mail stays: scheduled, held, canceled, suppressed, and dead letters."""
        for hours in (0.4, 2, 26):
            await self._accept(*self._mail.of(KINDS[6], scheduled_at=self._start + hours * HOUR))
        for kind, act, why in (
            (KINDS[1], self._verbs.hold, "the amount is wrong, billing looks into it"),
            (KINDS[2], self._verbs.hold, "the customer called"),
            (KINDS[0], self._verbs.cancel, "asked for twice"),
            (KINDS[4], self._verbs.cancel, "answered by telephone"),
        ):
            id = await self._accept(*self._mail.of(kind, scheduled_at=self._start + 60))
            await act(id, now=self._start, actor=_ACTOR, note=why)
        await self._accept(*self._mail.of(KINDS[2], on_unknown=OnUnknown.HOLD))
        for who in list(_SUPPRESSED)[:2]:
            await self._accept(*self._mail.of(KINDS[3], to=who))
        letters = [
            DeadLetter(
                id=0,
                at=self._start - 60 * (len(_UNREADABLE) - number),
                reason=reason,
                body=body,
                headers={},
                content_type="application/json",
                correlation_id=f"demo-{number}",
            )
            for number, (body, reason) in enumerate(_UNREADABLE)
        ]
        await self._upkeep.bury(letters)

    async def _accept(self, submission: Submission, origin: Origin) -> str:
        return (await self._intake.accept(submission, origin)).id
